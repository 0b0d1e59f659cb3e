"""JobSpec -> LLaMA-Factory's configuration (0.9.5). Pure.

The output folder, the dataset folder and the checkpoint to resume from are added inside the job (see
`ftsdk.runtime.programs.llamafactory`); everything else is decided here, so that a plan shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ftsdk.engines import combinations, sharding, shared
from ftsdk.engines.base import Arguments, Layout, Rendered
from ftsdk.engines.llamafactory import adapters, learned, warnings
from ftsdk.engines.llamafactory.arguments import choices, known_arguments
from ftsdk.engines.llamafactory.capabilities import CAPABILITIES as CAPABILITIES
from ftsdk.engines.llamafactory.chat_template import checked_template, reads_text_alone, refuse_unfit
from ftsdk.engines.llamafactory.templates import known_templates
from ftsdk.errors import SpecError, UnsupportedError, did_you_mean
from ftsdk.spec import Freeze, Full, Hyperparameters, JobSpec, Lora, Method, Oft, QLora, Tuning
from ftsdk.spec.names import LOSSES, written

if TYPE_CHECKING:
    from ftsdk.facts import Facts

NAME = "llamafactory"
DEFAULT_WARMUP_RATIO = 0.1
ADAPTER_LEARNING_RATE, FULL_LEARNING_RATE = 1e-4, 1e-5
"""LLaMA-Factory's own examples, for adapters and for full tuning."""


def render(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    """LLaMA-Factory's arguments for a spec. Raises SpecError for names it does not know or that are not the user's."""
    _check_arguments(spec.hyperparameters)
    combinations.check(spec)
    adapters.refuse(spec, facts)
    if reads_text_alone(facts.model):
        shared.refuse_media((*facts.train, *facts.eval), f"the model {facts.model.address}")
    template = checked_template(spec, facts)
    bf16, fp16 = shared.precision(spec, facts)
    names = shared.dataset_names((*facts.train, *facts.eval))
    train, held_out = names[: len(facts.train)], names[len(facts.train) :]
    config = {
        **_model(spec, facts, layout),
        **_reference(spec, facts, layout),
        **sharding.arguments(spec.sharding),
        **_method(spec.method),
        **_data(spec, train, held_out),
        **_hyperparameters(spec),
        **_tuning(spec.tuning),
        "bf16": bf16,
        "fp16": fp16,
        "do_train": True,
        **shared.tracking_arguments(spec),
        "plot_loss": False,
        **spec.hyperparameters.passed_through,
        **_attached(facts, layout),
        **template.arguments,
    }
    _check_choices(config)
    refuse_unfit(config, facts.model)
    unusual = learned.unusual(config, facts, named=spec.hyperparameters.template) if spec.method.stage != "pt" else ()
    info = {name: shared.entry(source, layout) for name, source in zip(names, (*facts.train, *facts.eval), strict=True)}
    return Rendered(
        trainer="llamafactory",
        config={key: value for key, value in config.items() if value is not None},
        dataset_info=info,
        warnings=(
            *_notes(spec, facts),
            *adapters.notes(spec),
            *warnings.pitfalls(spec, facts),
            *template.warnings,
            *unusual,
        ),
        checked=template.checked,
    )


def _check_arguments(given: Hyperparameters) -> None:
    """Refuse unknown templates, and arguments that LLaMA-Factory does not know or that ftsdk owns. Raises SpecError."""
    others = {
        name: value
        for name, value in given.passed_through.items()
        if name != "pref_loss" or not isinstance(value, str) or value in LOSSES  # another loss has no method of ours
    }
    shared.check_passed_through(others, known=known_arguments(), owned=shared.OWNED, trainer="LLaMA-Factory")
    template, known = given.template, known_templates()
    if template is not None and template not in known:
        hint = did_you_mean(template, known) or f" (one of {', '.join(sorted(known))})"
        raise SpecError(f"hyperparameters.template {template!r}: LLaMA-Factory has no such template{hint}.")


def _check_choices(config: Mapping[str, object]) -> None:
    """Refuse values that are not in an argument's list: LLaMA-Factory replaces some of them by the default silently."""
    for name, known in choices().items():
        value = config.get(name)
        if isinstance(value, str) and value not in known:
            hint = did_you_mean(value, known) or f" (one of {', '.join(known)})"
            raise SpecError(f"{name}: LLaMA-Factory has no {value!r}{hint}.")


def _model(spec: JobSpec, facts: Facts, layout: Layout) -> Arguments:
    model = facts.model
    adapter = layout.inside(model.address) if model.base != model.address else None
    inside = layout.inside(model.base)
    return {"model_name_or_path": inside, "adapter_name_or_path": adapter, "model_revision": spec.revision}


def _reference(spec: JobSpec, facts: Facts, layout: Layout) -> Arguments:
    """The model that a preference method compares with, where the training continues an adapter.

    Left alone, LLaMA-Factory switches the adapter off and compares with the bare base model, which is another
    objective: the reference is what the training starts from (DPO, 2305.18290, section 4).
    """
    model = facts.model
    if model.base == model.address or spec.method.stage not in combinations.REFERENCED:
        return {}
    inside = layout.inside(model.base)
    bits = spec.tuning.bits if isinstance(spec.tuning, QLora) else None
    return {
        "ref_model": inside,
        "ref_model_adapters": layout.inside(model.address),
        "ref_model_quantization_bit": bits,
    }


def _notes(spec: JobSpec, facts: Facts) -> Iterator[str]:
    """Warnings about packing and adapters. Raises UnsupportedError for a tuning that cannot continue an adapter."""
    hyperparameters = spec.hyperparameters
    if hyperparameters.packing and not hyperparameters.neat_packing:
        yield "packing without neat_packing lets examples in one row see each other; add neat_packing: true."
    if facts.model.base == facts.model.address:
        return
    if not isinstance(spec.tuning, Lora):
        raise UnsupportedError(
            f"tuning {spec.tuning.type} cannot continue the adapter {facts.model.address}: use `tuning: lora`, or "
            f"merge it into its base model first."
        )
    yield "the training continues with the adapter's own rank, targets and dropout; those of `tuning` are not used."
    if spec.method.stage in combinations.REFERENCED:
        yield "the reference is the adapter as it is at the start: a second copy of the base model is loaded for it."


def _method(method: Method) -> Arguments:
    arguments = {**written(method, "method"), "reward_model": None}
    return arguments if method.stage == "dpo" else {**arguments, "dpo_label_smoothing": None}


def _tuning(tuning: Tuning) -> Arguments:
    if own := adapters.arguments(tuning):
        return own
    arguments = written(tuning, "tuning")
    if isinstance(tuning, Lora):
        arguments = {**arguments, "oft_target": None, "lora_alpha": tuning.alpha or 2 * tuning.rank}
    if isinstance(tuning, Oft):
        arguments["lora_target"] = None
    return {**arguments, "quantization_method": "bnb" if arguments.get("quantization_bit") else None}


def _data(spec: JobSpec, train: list[str], held_out: list[str]) -> Arguments:
    data = spec.dataset
    return {
        "dataset": ",".join(train),
        "eval_dataset": ",".join(held_out) or None,
        "val_size": (data.eval_fraction or data.eval_rows) if not held_out else None,
        "max_samples": data.max_samples,
        "streaming": data.streaming or None,
        "dataset_dir": data.directory if data.on_hub else None,  # else the job's own, see the runtime
    }


def _attached(facts: Facts, layout: Layout) -> dict[str, str]:
    """Arguments that name a file or folder, as paths inside."""
    named = [item for item in facts.attached if item.argument]
    folders = {item.path for item in named if item.argument == "media_dir"}
    if len(folders) > 1:
        raise SpecError(
            f"The data sets have their media in several folders ({', '.join(sorted(folders))}); "
            f"set hyperparameters.media_dir to one that holds them all."
        )
    return {item.argument: layout.inside(item.path) for item in named}


RENAMED_OR_COMPUTED = frozenset({"gradient_checkpointing", "bf16", "fp16", "save_steps"})
"""Typed hyperparameters that do not pass straight through."""


def _hyperparameters(spec: JobSpec) -> Arguments:
    given = spec.hyperparameters
    straight = {name: getattr(given, name) for name in Hyperparameters.model_fields if name not in RENAMED_OR_COMPUTED}
    evaluates = bool(spec.dataset.eval or spec.dataset.eval_fraction or spec.dataset.eval_rows)
    straight["learning_rate"] = given.learning_rate or _learning_rate(spec.tuning)
    if given.warmup_ratio is None and given.warmup_steps is None:
        straight["warmup_ratio"] = DEFAULT_WARMUP_RATIO
    if given.eval_strategy is None:
        straight["eval_strategy"] = ("steps" if given.eval_steps else "epoch") if evaluates else "no"
    elif given.eval_strategy != "no" and not evaluates:
        raise SpecError("hyperparameters.eval_strategy needs held-out rows: set dataset.eval or dataset.eval_fraction.")
    if evaluates and given.per_device_eval_batch_size is None:
        straight["per_device_eval_batch_size"] = given.per_device_train_batch_size
    straight["disable_gradient_checkpointing"] = not given.gradient_checkpointing
    best = bool(given.passed_through.get("load_best_model_at_end"))  # the best is among those saved at an evaluation
    straight["save_strategy"] = straight["eval_strategy"] if best else "no"  # our cadence saves, see CheckpointPolicy
    straight["save_steps"] = (given.eval_steps or given.logging_steps) if best else None  # the trainer's own default
    return straight


def _learning_rate(tuning: Tuning) -> float:
    whole = FULL_LEARNING_RATE if isinstance(tuning, Full | Freeze) else ADAPTER_LEARNING_RATE
    return adapters.LEARNING_RATES.get(tuning.type, whole)
