"""JobSpec -> LLaMA-Factory's configuration (0.9.5). Pure.

What the supervisor owns (output folder, resume, dataset folder) is added inside the job, see
`ftsdk.runtime.programs.llamafactory`; here everything else is decided, so that a plan shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ftsdk.engines import advice, combinations, sharding
from ftsdk.engines.base import Layout, Rendered
from ftsdk.engines.llamafactory.arguments import choices, known_arguments
from ftsdk.engines.llamafactory.templates import known_templates
from ftsdk.errors import SpecError, UnsupportedError, did_you_mean
from ftsdk.spec import Hyperparameters, JobSpec, Lora, Method, Oft, QLora, Tuning
from ftsdk.spec.names import LLAMAFACTORY, LOSSES, REPLACED, written

if TYPE_CHECKING:
    from ftsdk.facts import Facts
    from ftsdk.facts.sources import SourceFacts

OWNED: Mapping[str, str] = {
    **REPLACED,
    **{name: f"set `{place.path}`" for name, place in LLAMAFACTORY.items()},
    "adapter_name_or_path": "give the adapter's folder as `model`",
    "val_size": "set `dataset.eval_fraction` or `dataset.eval_rows`",
}
"""Arguments that a user may not set through `hyperparameters`, with the reason or the right place."""

NO_BF16 = ("T4", "V100", "P100", "P4", "RTX20", "GTX")
"""Cards older than Ampere compute bfloat16 in software only (NVIDIA compute capability < 8.0)."""
PLAIN_KINDS: Mapping[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)}
"""Types of passed-through arguments that can be checked before the trainer starts."""
DEFAULT_WARMUP_RATIO = 0.1
ADAPTER_LEARNING_RATE, FULL_LEARNING_RATE = 1e-4, 1e-5
"""LLaMA-Factory's own examples, for adapters and for full tuning."""


def render(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    """LLaMA-Factory's arguments for a spec. Raises SpecError for names it does not know or that are not the user's."""
    check_passed_through(spec.hyperparameters.passed_through)
    combinations.check(spec)
    _check_template(spec.hyperparameters.template)
    warnings = [*_notes(spec, facts), *advice.traps(spec, facts)]
    bf16, fp16 = precision(spec, facts)
    names = dataset_names((*facts.train, *facts.eval))
    train, held_out = names[: len(facts.train)], names[len(facts.train) :]
    config = {
        **_model(spec, facts, layout),
        **_reference(spec, facts, layout),
        **sharding.arguments(spec.sharding),
        **_method(spec.method),
        **_tuning(spec.tuning),
        **_data(spec, train, held_out),
        **_hyperparameters(spec),
        "bf16": bf16,
        "fp16": fp16,
        "do_train": True,
        "report_to": report_to(spec),
        "run_name": spec.name,
        "plot_loss": False,
        **spec.hyperparameters.passed_through,
        **_attached(facts, layout),
    }
    _check_choices(config)
    info = {name: entry(source, layout) for name, source in zip(names, (*facts.train, *facts.eval), strict=True)}
    if bf16 and fp16:
        raise SpecError("hyperparameters: bf16 and fp16 exclude each other; set one of them.")
    return Rendered(
        trainer="llamafactory",
        config={key: value for key, value in config.items() if value is not None},
        dataset_info=info,
        warnings=tuple(warnings),
    )


def check_passed_through(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that LLaMA-Factory does not know or that ftsdk owns. Raises SpecError."""
    known = known_arguments()
    for name, value in arguments.items():
        if name == "pref_loss" and value not in LOSSES:  # no method of ours stands for it
            continue
        if name in OWNED:
            raise SpecError(f"hyperparameters.{name} is not yours to set: {OWNED[name]}.")
        if name not in known:
            typed = Hyperparameters.model_fields
            hint = did_you_mean(name, [*typed, *(k for k in known if k not in OWNED)])
            raise SpecError(f"hyperparameters.{name}: neither ftsdk nor LLaMA-Factory knows this name{hint}.")
        kinds = PLAIN_KINDS.get(known[name])
        if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            raise SpecError(f"hyperparameters.{name}: should be {known[name]}, not {value!r}.")


def _check_choices(config: Mapping[str, Any]) -> None:
    """Values out of a list: of some that it does not know LLaMA-Factory makes the default without a word."""
    for name, known in choices().items():
        value = config.get(name)
        if isinstance(value, str) and value not in known:
            hint = did_you_mean(value, known) or f" (one of {', '.join(known)})"
            raise SpecError(f"{name}: LLaMA-Factory has no {value!r}{hint}.")


def _check_template(name: str | None) -> None:
    if name is not None and name not in (known := known_templates()):
        hint = did_you_mean(name, known) or f" (one of {', '.join(sorted(known))})"
        raise SpecError(f"hyperparameters.template {name!r}: LLaMA-Factory has no such template{hint}.")


def _model(spec: JobSpec, facts: Facts, layout: Layout) -> dict[str, Any]:
    model = facts.model
    adapter = layout.inside(model.address) if model.base != model.address else None
    inside = layout.inside(model.base)
    return {"model_name_or_path": inside, "adapter_name_or_path": adapter, "model_revision": spec.revision}


def _reference(spec: JobSpec, facts: Facts, layout: Layout) -> dict[str, Any]:
    """The model that a preference method compares with, where the training goes on from an adapter.

    Left alone, LLaMA-Factory switches the adapter off and compares with the bare base model, which is another
    objective: the reference is what the training starts from (DPO, 2305.18290, section 4).
    """
    model = facts.model
    if model.base == model.address or spec.method.stage not in combinations.REFERENCED:
        return {}
    inside = layout.inside(model.base) if model.kind == "path" else model.base
    bits = spec.tuning.bits if isinstance(spec.tuning, QLora) else None
    return {
        "ref_model": inside,
        "ref_model_adapters": layout.inside(model.address),
        "ref_model_quantization_bit": bits,
    }


def _notes(spec: JobSpec, facts: Facts) -> Iterator[str]:
    """What a person should know before the training starts."""
    hyperparameters = spec.hyperparameters
    if hyperparameters.packing and not hyperparameters.neat_packing:
        yield "packing without neat_packing lets examples in one row see each other; add neat_packing: true."
    if facts.model.base == facts.model.address:
        return
    if not isinstance(spec.tuning, Lora):
        raise UnsupportedError(
            f"tuning {spec.tuning.type} cannot go on from the adapter {facts.model.address}: use `tuning: lora`, or "
            f"merge it into its base model first."
        )
    yield "the training goes on with the adapter's own rank, targets and dropout; those of `tuning` do not count."
    if spec.method.stage in combinations.REFERENCED:
        yield "the reference is the adapter as it is at the start: a second copy of the base model is loaded for it."


def _method(method: Method) -> dict[str, Any]:
    found = {**written(method, "method"), "reward_model": None}
    return found if method.stage == "dpo" else {**found, "dpo_label_smoothing": None}


def _tuning(tuning: Tuning) -> dict[str, Any]:
    found = written(tuning, "tuning")
    if isinstance(tuning, Lora):
        found = {**found, "oft_target": None, "lora_alpha": tuning.alpha or 2 * tuning.rank}
    if isinstance(tuning, Oft):
        found["lora_target"] = None
    return {**found, "quantization_method": "bnb" if found.get("quantization_bit") else None}


def _data(spec: JobSpec, train: list[str], held_out: list[str]) -> dict[str, Any]:
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


def _hyperparameters(spec: JobSpec) -> dict[str, Any]:
    given = spec.hyperparameters
    straight = {name: getattr(given, name) for name in Hyperparameters.model_fields if name not in RENAMED_OR_COMPUTED}
    adapters = isinstance(spec.tuning, Lora | Oft)
    evaluates = bool(spec.dataset.eval or spec.dataset.eval_fraction or spec.dataset.eval_rows)
    straight["learning_rate"] = given.learning_rate or (ADAPTER_LEARNING_RATE if adapters else FULL_LEARNING_RATE)
    if given.warmup_ratio is None and given.warmup_steps is None:
        straight["warmup_ratio"] = DEFAULT_WARMUP_RATIO
    if given.eval_strategy is None:
        straight["eval_strategy"] = "epoch" if evaluates else "no"
    elif given.eval_strategy != "no" and not evaluates:
        raise SpecError("hyperparameters.eval_strategy needs held-out rows: set dataset.eval or dataset.eval_fraction.")
    if evaluates and given.per_device_eval_batch_size is None:
        straight["per_device_eval_batch_size"] = given.per_device_train_batch_size
    straight["disable_gradient_checkpointing"] = not given.gradient_checkpointing
    best = bool(given.passed_through.get("load_best_model_at_end"))  # the best is among those saved at an evaluation
    straight["save_strategy"] = straight["eval_strategy"] if best else "no"  # our cadence saves, see CheckpointPolicy
    straight["save_steps"] = given.eval_steps if best else None
    return straight


def precision(spec: JobSpec, facts: Facts) -> tuple[bool, bool]:
    """(bf16, fp16): what the user said, else bfloat16 on cards that compute in it, else float16, on a CPU neither."""
    given = spec.hyperparameters
    if given.bf16 is not None or given.fp16 is not None:
        return bool(given.bf16), bool(given.fp16)
    card = spec.resources.accelerator or next(iter(facts.machine.accelerators), None)
    if card is None:
        return False, False
    old = any(mark in card.upper().replace(" ", "") for mark in NO_BF16)
    return not old, old


def report_to(spec: JobSpec) -> list[str] | str:
    """A list: transformers takes `wandb,tensorboard` for the name of one integration."""
    return [name for name in ("wandb", "tensorboard") if getattr(spec.tracking, name)] or "none"


def dataset_names(sources: tuple[SourceFacts, ...]) -> list[str]:
    """A name for each source that LLaMA-Factory can hold in a comma-separated list, none twice."""
    names: list[str] = []
    for source in sources:
        base = "".join(c if c.isalnum() or c in "-_" else "_" for c in source.name) or "data"
        number = sum(name == base or name.startswith(f"{base}__") for name in names)
        names.append(f"{base}__{number + 1}" if number else base)
    return names


def entry(source: SourceFacts, layout: Layout) -> dict[str, Any]:
    """The entry of dataset_info.json, with paths inside."""
    paths = {key: source.entry[key] for key in ("file_name", "script_url") if key in source.entry}
    travel = {key: path for key, path in paths.items() if source.is_here or "://" in path}
    return {**source.entry, **{key: layout.inside(path) for key, path in travel.items()}}
