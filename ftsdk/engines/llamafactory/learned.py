"""What is unusual in what will be learned, from the first rows and the texts of the template. Pure.

`ftsdk data preview` finds the same in the tokens of all rows with the trainer's own functions. This needs no trainer
and no tokens, so every plan can afford it; a test compares both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftsdk.data.statistics import row_features
from ftsdk.engines.llamafactory.templates import known_templates
from ftsdk.runtime.chat_templates import parsing
from ftsdk.runtime.chat_templates.comparing import BOS, EOS, NamedTemplate, OwnTemplate, shown
from ftsdk.runtime.chat_templates.probes import ANSWER, CALLED_WITH, QUESTION, RESULT, SYSTEM, TOOL
from ftsdk.runtime.chat_templates.rendering import Texts
from ftsdk.runtime.programs.preview.findings import SENTENCES, sentence

if TYPE_CHECKING:
    from ftsdk.data.statistics.row_features import RowFeatures
    from ftsdk.facts import Facts

SUPERVISED = "sft"
Count = tuple[int, int]
"""Rows, and the first of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """The template of a training, named or read from the model's own."""

    texts: Texts
    default_system: str
    ends: frozenset[str]
    """Texts that end an answer."""
    bos: str
    """Empty where the tokenizer has none, or is not on this machine."""
    removes_thoughts: bool


def unusual(config: Mapping[str, object], facts: Facts, *, named: str | None) -> Iterator[str]:
    """A sentence for each kind of finding in the first rows of each training file that is on this machine.

    `named` is the template that the user names, None for the model's own or one that writes the same.
    """
    own = facts.model.chat_template
    own_text = facts.model.tokenizer.chat_template if facts.model.tokenizer else ""
    template = _template(config, own)
    for source in facts.train:
        if source.row_features is None:
            continue
        findings = dict(_findings(source.row_features, config, template))
        rows = source.row_features.num_rows
        of = f"of the first {rows:,} rows" if source.num_rows is None or rows < source.num_rows else f"of {rows:,} rows"
        for code in (code for code in SENTENCES if code in findings):
            text = f"{of} of {source.name}, {sentence(code, *findings[code])}"
            added = _added_system(template.default_system, named, own_text) if template and code == "system" else ""
            yield f"{text[:-1]}{added}."


def _added_system(default_system: str, named: str | None, own_text: str) -> str:
    if named is None or default_system in own_text:
        return f": the model's own template writes “{shown(default_system)}”, also when the model is served"
    return f': template {named} writes “{shown(default_system)}”, default_system: "" leaves it out'


def _template(config: Mapping[str, object], own: OwnTemplate | None) -> _Template | None:
    """None where the template is the model's own and not on this machine."""
    name, default_system = config.get("template"), config.get("default_system")
    if name is not None:
        return _of_named(known_templates()[str(name)], own, default_system)
    parsed = parsing.parse(own.texts, own.prefix) if own else None
    if own is None or parsed is None:
        return None
    return _Template(
        texts=parsing.compose(own.texts, own.prefix),
        default_system=parsed.default_system if default_system is None else str(default_system),
        ends=frozenset(filter(None, (own.eos, *own.special))),
        bos=own.bos,
        removes_thoughts=parsed.is_reasoning,
    )


def _of_named(named: NamedTemplate, own: OwnTemplate | None, default_system: object) -> _Template:
    bos = own.bos if own else ""
    return _Template(
        texts={probe: text and text.replace(BOS, bos) for probe, text in named.texts.items()},
        default_system=named.default_system if default_system is None else str(default_system),
        ends=frozenset((EOS, *named.stop_words, *(own.special if own else ()))),
        bos=bos,
        removes_thoughts=named.removes_thoughts,
    )


def _findings(
    rows: RowFeatures, config: Mapping[str, object], template: _Template | None
) -> Iterator[tuple[str, Count]]:
    """(code, rows) as `ftsdk data preview` has them."""
    counts, is_supervised = rows.counts, config["stage"] == SUPERVISED
    unlearned = row_features.LAST_UNLEARNED if config.get("mask_history") else row_features.UNLEARNED
    if is_supervised and unlearned in counts:
        yield "nothing learned", counts[unlearned]
    if is_supervised and config.get("train_on_prompt"):
        yield "prompt learned", counts[row_features.ALL]
    if template is None:
        return
    if twice := _bos_twice(counts, template):
        yield "bos twice", twice
    if endless := _endless(counts, template, last_alone=is_supervised and bool(config.get("mask_history"))):
        yield "eos never", endless
    if removed := _removed_thoughts(config, template):
        yield from (("thoughts", counts[code]) for code in (removed,) if code in counts)
    if template.default_system and row_features.NO_SYSTEM in counts:
        yield "system", counts[row_features.NO_SYSTEM]
    if row_features.TOOLS in counts and TOOL not in (template.texts.get("tools") or TOOL):
        yield "tools", counts[row_features.TOOLS]


def _endless(counts: Mapping[str, Count], template: _Template, *, last_alone: bool) -> Count | None:
    """Rows of which no learned answer and no learned call ends with an end of text."""
    after_answer = (template.texts.get("one") or "").partition(ANSWER)[2]
    if any(end in after_answer for end in template.ends):
        return None
    after_call = (template.texts.get("tools") or "").rpartition(RESULT)[0].rpartition(CALLED_WITH)[2]
    calls_end = any(end in after_call for end in template.ends)
    answered = row_features.LAST_LEARNED if last_alone else row_features.LEARNED
    return _sum([counts.get(answered), None if calls_end or last_alone else counts.get(row_features.CALL_LEARNED)])


def _sum(counts: list[Count | None]) -> Count | None:
    known = [count for count in counts if count]
    return (sum(rows for rows, _ in known), min(first for _, first in known)) if known else None


def _bos_twice(counts: Mapping[str, Count], template: _Template) -> Count | None:
    """Rows whose text begins with the token that the template writes itself."""
    system, one = (template.texts.get(probe) or "" for probe in ("system", "one"))
    twice: list[Count | None] = []
    if template.bos and system.startswith(template.bos + SYSTEM):
        twice.append(counts.get(row_features.SYSTEM_OPENS + template.bos))
    if template.bos and one.startswith(template.bos + QUESTION) and not template.default_system:
        twice.append(counts.get(row_features.QUESTION_OPENS + template.bos))
    return _sum(twice)


def _removed_thoughts(config: Mapping[str, object], template: _Template) -> str:
    """Which thoughts the template removes: those of all answers, of earlier ones, or none (empty)."""
    if not template.removes_thoughts:
        return ""
    if config.get("enable_thinking") is False:
        return row_features.THOUGHTS
    keeps = config.get("preserve_thinking") or (config["stage"] == SUPERVISED and not config.get("mask_history"))
    return "" if keeps else row_features.EARLIER_THOUGHTS
