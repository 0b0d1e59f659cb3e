"""What is allowed and yet likely to be wrong: a sentence with the reason for each, and no error. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import log10
from typing import TYPE_CHECKING

from ftsdk.engines.llamafactory.templates import known_templates
from ftsdk.spec import JobSpec, Lora

if TYPE_CHECKING:
    from ftsdk.facts import Facts
    from ftsdk.facts.sources import SourceFacts

BETA = (0.1, 0.5)
"""Range that PAI's Model Gallery guide gives for `dpo_beta`."""
ALPHA_PER_RANK = (0.5, 2.0)
"""Range of lora_alpha over lora_rank in PAI's guide; LLaMA-Factory's own default is 2."""
ROWS_AND_EPOCHS = ((100, 15.0), (1_000, 10.0), (10_000, 2.0))
"""PAI's guide: (rows, epochs that go well with them). A rule of thumb."""
EPOCHS_WITHOUT_ROWS = 3.0
MANY_TIMES_THE_RULE = 2
NOT_IN_THE_IMAGE: Mapping[str, str] = {
    "use_unsloth": "unsloth",
    "use_galore": "galore_torch",
    "use_apollo": "apollo_torch",
    "use_badam": "badam",
    "use_adam_mini": "adam-mini",
    "use_swanlab": "swanlab",
    "mixture_of_depths": "mixture-of-depth",
    "use_kt": "kt-kernel, transformers-kt and accelerate-kt",
    "deepspeed": "deepspeed",
    "fp8": "torchao",
}
"""Switch -> the package it needs, which `containers/locks` do not have."""


def epochs_for(num_rows: int) -> float:
    """Epochs by the number of rows, between the rule's points on a logarithmic scale, as a whole number."""
    (least, most), *_, (many, few) = ROWS_AND_EPOCHS
    if num_rows <= least or num_rows >= many:
        return most if num_rows <= least else few
    (low, above), (high, below) = next(pair for pair in pairwise(ROWS_AND_EPOCHS) if num_rows <= pair[1][0])
    share = (log10(num_rows) - log10(low)) / (log10(high) - log10(low))
    return float(round(above + share * (below - above)))


def rows_of(spec: JobSpec, facts: Facts) -> int | None:
    """Training rows that are used; None if they are not known."""
    counts = [source.num_rows for source in facts.train]
    if None in counts:
        return None
    return sum(min(count or 0, spec.dataset.max_samples or count or 0) for count in counts)


def with_epochs(spec: JobSpec, facts: Facts) -> tuple[JobSpec, tuple[str, ...]]:
    """The spec with `num_train_epochs: auto` made a number, and a sentence that says so."""
    if spec.hyperparameters.num_train_epochs != "auto":
        return spec, ()
    rows = rows_of(spec, facts)
    epochs = EPOCHS_WITHOUT_ROWS if rows is None else epochs_for(rows)
    why = "an unknown number of rows" if rows is None else f"{rows:,} rows"
    given = spec.hyperparameters.model_copy(update={"num_train_epochs": epochs})
    told = f"num_train_epochs: auto is {epochs:g} for {why}, by a rule of thumb; set a number to choose yourself."
    return spec.model_copy(update={"hyperparameters": given}), (told,)


def notes(spec: JobSpec, facts: Facts) -> Iterator[str]:
    """Values that the field's guides call unwise."""
    beta = spec.method.beta
    if spec.method.stage == "dpo" and beta is not None and not BETA[0] <= beta <= BETA[1]:
        effect = "the model may drift far from its reference" if beta < BETA[0] else "the model hardly moves"
        yield f"method.beta {beta:g} is outside {BETA[0]}–{BETA[1]}: {effect}."
    tuning = spec.tuning
    if isinstance(tuning, Lora) and tuning.alpha is not None:
        low, high = (limit * tuning.rank for limit in ALPHA_PER_RANK)
        if not low <= tuning.alpha <= high:
            yield (
                f"tuning.alpha {tuning.alpha} is outside {low:g}–{high:g} (half to twice the rank {tuning.rank}): "
                f"the adapters' learning rate is scaled by alpha / rank."
            )
    yield from _epochs(spec, facts)
    if spec.hyperparameters.passed_through.get("push_to_hub") and "HF_TOKEN" not in spec.secrets:
        yield "push_to_hub needs a token inside the job: name HF_TOKEN in `secrets`."


def _epochs(spec: JobSpec, facts: Facts) -> Iterator[str]:
    rows, asked = rows_of(spec, facts), spec.hyperparameters.epochs
    if spec.hyperparameters.max_steps or spec.method.stage == "pt" or rows is None:
        return
    wise = epochs_for(rows)
    if asked > MANY_TIMES_THE_RULE * wise:
        yield (
            f"num_train_epochs {asked:g} is much for {rows:,} rows (a rule of thumb says {wise:g}): "
            f"the model may learn them by heart; hold some out with dataset.eval_fraction and watch eval_loss."
        )


def traps(spec: JobSpec, facts: Facts) -> Iterator[str]:
    """What LLaMA-Factory does without a word, or with one that is lost in its log."""
    for source in facts.train:
        yield from _cut(source, spec)
    if spec.method.stage != "pt":
        yield from _template(spec, facts)
    given = spec.hyperparameters.passed_through
    if given.get("flash_attn") == "fa2":
        yield (
            "flash_attn: fa2 needs the package flash-attn, which ftsdk's image does not have; without it the trainer "
            "goes on with another attention. Leave it out (auto), or use an image that has it."
        )
    for switch, package in NOT_IN_THE_IMAGE.items():
        if given.get(switch):
            yield f"{switch} needs {package}, which ftsdk's own image does not have: use an image that does."


def _cut(source: SourceFacts, spec: JobSpec) -> Iterator[str]:
    cut, limit = source.cut, spec.hyperparameters.cutoff_len
    if cut is None or not (cut.prompts or cut.answers):
        return
    packed = spec.hyperparameters.packing or spec.hyperparameters.neat_packing
    first = "" if source.num_rows is not None and cut.num_rows >= source.num_rows else "first "
    what = (
        "are dropped whole" if packed else f"lose tokens ({cut.prompts:,} of the prompt, {cut.answers:,} of the answer)"
    )
    either = max(cut.prompts, cut.answers)
    yield (
        f"cutoff_len {limit} is too short for {source.name}: at least {either:,} of the {first}{cut.num_rows:,} rows "
        f"{what}; the longest has {cut.longest:,} tokens"
        f"{'' if cut.exact else ' (estimated: the tokenizer is not on this machine)'}."
    )


def _template(spec: JobSpec, facts: Facts) -> Iterator[str]:
    name, tokenizer = spec.hyperparameters.template, facts.model.tokenizer
    if name is None:
        if tokenizer and not tokenizer.chat_template:
            yield (
                f"{facts.model.base} has no chat template and the spec names none: nothing will stand between prompt "
                f"and answer, and no end mark after it; set hyperparameters.template, e.g. default or chatml."
            )
        return
    template = known_templates()[name]
    missing = [mark for mark in template.marks if tokenizer and mark not in tokenizer.special]
    if missing:
        yield (
            f"template {name} does not fit the tokenizer of {facts.model.base}: it has no {', '.join(missing)}, which "
            f"will be learned as new or split tokens; leave the template out to use the model's own."
        )
    own = tokenizer.chat_template if tokenizer else ""
    if template.default_system and not _has_default_system(spec) and template.default_system not in own:
        yield (
            f"template {name} puts the system prompt “{template.default_system}” before rows that have none; "
            f'write default_system: "" for none, or use the same prompt with the trained model.'
        )


def _has_default_system(spec: JobSpec) -> bool:
    return "default_system" in spec.hyperparameters.passed_through
