"""Warnings about settings that LLaMA-Factory accepts silently, or with a line that is lost in its log. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ftsdk.contract.packages import required
from ftsdk.engines.llamafactory.templates import known_templates
from ftsdk.spec import JobSpec

if TYPE_CHECKING:
    from ftsdk.facts import Facts, SourceFacts


def pitfalls(spec: JobSpec, facts: Facts) -> Iterator[str]:
    """One sentence for each setting with an effect that the user may not expect."""
    for source in facts.train:
        yield from _cut_rows(source, spec)
    if spec.method.stage != "pt":
        yield from _template(spec, facts)
    given = spec.hyperparameters.passed_through
    if given.get("flash_attn") == "fa2":
        yield (
            "flash_attn: fa2 needs the package flash-attn, which ftsdk's image does not have; without it the trainer "
            "uses another attention. Leave it out (auto), or use an image that has it."
        )
    for row in required(given):
        if not row.in_image:
            yield f"{row.argument} needs {row.package}, which ftsdk's own image does not have: use an image that does."


def _cut_rows(source: SourceFacts, spec: JobSpec) -> Iterator[str]:
    truncation, limit = source.truncation, spec.hyperparameters.cutoff_len
    if truncation is None or not (truncation.prompts or truncation.answers):
        return
    packed = spec.hyperparameters.packing or spec.hyperparameters.neat_packing
    first = "" if source.num_rows is not None and truncation.num_rows >= source.num_rows else "first "
    what = (
        "are dropped whole"
        if packed
        else f"lose tokens ({truncation.prompts:,} of the prompt, {truncation.answers:,} of the answer)"
    )
    either = max(truncation.prompts, truncation.answers)
    yield (
        f"cutoff_len {limit} is too short for {source.name}: "
        f"at least {either:,} of the {first}{truncation.num_rows:,} rows {what}; "
        f"the longest has {truncation.longest:,} tokens"
        f"{'' if truncation.exact else ' (estimated: the tokenizer is not on this machine)'}."
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
    if (
        template.default_system
        and "default_system" not in spec.hyperparameters.passed_through
        and template.default_system not in own
        and any(source.row_features is None for source in facts.train)  # else the rows without one are counted
    ):
        yield (
            f"template {name} puts the system prompt “{template.default_system}” before rows that have none; "
            f'write default_system: "" for none, or use the same prompt with the trained model.'
        )
