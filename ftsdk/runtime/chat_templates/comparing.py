"""Compares what LLaMA-Factory composes with the model's own chat template, and chooses the template that agrees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile

from ftsdk.runtime.chat_templates import parsing
from ftsdk.runtime.chat_templates.probes import ANSWER, PROBES, QUESTION, SYSTEM, THOUGHT, TOOL, with_system
from ftsdk.runtime.chat_templates.rendering import Texts

BOS, EOS = "\ufdd0", "\ufdd1"
"""Stand for the tokenizer's tokens in the texts of a named template (code points that no text has)."""
_EMPTY_THOUGHT = re.compile(r"<think>\s*</think>\s*")
SHOWN_CHARACTERS = 60
MULTIMODAL = (
    "vision_config", "audio_config", "thinker_config", "visual", "vision_tower", "mm_vision_tower", "img_processor",
    "image_token_id", "image_token_index", "audio_token_index",
)  # fmt: skip
"""Keys of a config.json of which every model that reads more than text has one (transformers 5.6, `models/`)."""
DESCRIBED = {
    "one": "one turn",
    "turns": "two turns",
    "system": "a system prompt",
    "thought": "a thought",
    "tools": "tools",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTemplate:
    """One of LLaMA-Factory's templates, as texts."""

    texts: Texts
    """Probe -> composed text, with `default_system` empty."""
    default_system: str
    media_tokens: Mapping[str, str]
    """image, video, audio -> the token that stands for it; only those that the template supports."""
    efficient_eos: bool = False
    """Whether an end of text stands only after the last answer; then prompts cannot be learned."""
    stop_words: tuple[str, ...] = ()
    """Texts that become end-of-text tokens of the tokenizer."""
    removes_thoughts: bool = False
    """Whether `enable_thinking: false` and methods that compare answers remove `<think>` blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTemplate:
    """A model's chat template and what its tokenizer adds."""

    texts: Texts
    """Probe -> rendered text."""
    bos: str
    eos: str
    prefix: str
    """What the tokenizer puts before every text, such as `<s>`."""
    reads_clock: bool
    special: frozenset[str]
    """Texts that are one token by declaration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the rows contain beside questions and answers."""

    tools: bool = False
    media: frozenset[str] = frozenset()
    """Of image, video, audio."""
    text_only: bool = False
    """Whether the model has inputs for text alone: LLaMA-Factory's templates for images fail with it on every row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateChoice:
    """A template that composes the model's own text."""

    name: str | None
    """LLaMA-Factory's name; None if its reading of the model's template is right."""
    default_system: str | None = None
    """The system prompt of rows without one; None leaves the named template's own."""
    num_probes: int = 0
    """Conversations on which the texts are equal."""
    left_out: str = ""
    """Text of the model's template before a row's system prompt, which the named template leaves out."""


def choose(
    own: OwnTemplate, table: Mapping[str, NamedTemplate], needs: Needs, *, resembling: str = ""
) -> TemplateChoice | str:
    """The choice, or what differs.

    Args:
        own: the model's template.
        table: LLaMA-Factory's templates.
        needs: what the rows contain.
        resembling: the model's type; among equal templates the one with the closest name is taken.
    """
    probes = relevant_probes(own, needs)
    parsed = parsing.compose(own.texts, own.prefix)
    differs = [name for name in probes if not _equal(own, name, own.texts[name], parsed.get(name))]
    if probes and not differs and not needs.media and not own.reads_clock:
        return TemplateChoice(name=None, num_probes=len(probes))
    fitting = list(_fitting(own, table, needs, probes))
    if fitting:
        return min(fitting, key=lambda choice: _rank(choice, own, table, needs, resembling))
    return _difference(own, table, needs, resembling)


def differing_probe(own: OwnTemplate, named: NamedTemplate, default_system: str, needs: Needs) -> str | None:
    """The first conversation on which a named template differs from the model's own; None if there is none."""
    for name in relevant_probes(own, needs):
        if not _equal(own, name, own.texts[name], composed(named, name, default_system, own)):
            return name
    return None


def relevant_probes(own: OwnTemplate, needs: Needs) -> list[str]:
    """Conversations that the model's template accepts and shows wholly; those with tools only if the rows have some."""
    return [
        name
        for name, probe in PROBES.items()
        if (text := own.texts.get(name)) is not None
        and (not probe.tools or (needs.tools and TOOL in text))
        and ("thought" not in name or THOUGHT in text)
        and (not probe.system or SYSTEM in text)
        and QUESTION in text
        and ANSWER in text
    ]


def composed(named: NamedTemplate, name: str, default_system: str, own: OwnTemplate) -> str | None:
    """The text of a conversation by a named template with a default system prompt."""
    if PROBES[name].system or not default_system:
        text = named.texts[name]
    else:
        text = named.texts[with_system(name)]
        text = text and text.replace(SYSTEM, default_system, 1)
    return text and text.replace(BOS, own.bos).replace(EOS, own.eos)


def _equal(own: OwnTemplate, name: str, text: str | None, other: str | None) -> bool:
    """Whether two texts of a conversation are the same to a model.

    They may differ in white space at the end, in empty thoughts (they depend on `enable_thinking`), in white space
    around a description of tools, and in a last end-of-text token after the one that ends the answer.
    """
    if text is None or other is None:
        return False
    ours, theirs = _plain(text), _plain(other)
    if PROBES[name].tools:
        ours, theirs = ("".join(side.split()) for side in (ours, theirs))
    return ours == theirs or (ours == theirs + own.eos and any(theirs.endswith(token) for token in own.special))


def _plain(text: str) -> str:
    return _EMPTY_THOUGHT.sub("", text).rstrip()


def _fitting(
    own: OwnTemplate, table: Mapping[str, NamedTemplate], needs: Needs, probes: list[str]
) -> Iterator[TemplateChoice]:
    for name, named in table.items():
        if not probes or (needs.text_only and "image" in named.media_tokens):
            continue
        if not all(named.media_tokens.get(kind) in own.special for kind in needs.media):
            continue
        default_system = _default_system(own, named)
        left_out = _left_out(own, named)
        if all(
            _equal(own, probe, _without(own, probe, left_out), composed(named, probe, default_system, own))
            for probe in probes
        ):
            changed = default_system if default_system != named.default_system else None
            yield TemplateChoice(name=name, default_system=changed, num_probes=len(probes), left_out=left_out)


def _default_system(own: OwnTemplate, named: NamedTemplate) -> str:
    """The system prompt that the model's template writes by itself, with the marks of the named template."""
    if _equal(own, "one", own.texts["one"], composed(named, "one", named.default_system, own)):
        return named.default_system
    return _inside_system(own.texts["one"], named, own) or ""


def _left_out(own: OwnTemplate, named: NamedTemplate) -> str:
    inside = _inside_system(own.texts["system"], named, own)
    return inside.removesuffix(SYSTEM) if inside and inside.endswith(SYSTEM) else ""


def _inside_system(text: str | None, named: NamedTemplate, own: OwnTemplate) -> str | None:
    """The part of a text where the named template has the system prompt."""
    pattern = composed(named, "system", "", own)
    if text is None or pattern is None or SYSTEM not in pattern:
        return None
    before, after = _plain(pattern).split(SYSTEM, 1)
    plain = _plain(text)
    fits = plain.startswith(before) and plain.endswith(after) and len(plain) >= len(before) + len(after)
    return plain[len(before) : len(plain) - len(after)] if fits else None


def _without(own: OwnTemplate, name: str, left_out: str) -> str | None:
    text = own.texts[name]
    return text.replace(left_out + SYSTEM, SYSTEM, 1) if text and left_out and PROBES[name].system else text


def _rank(
    choice: TemplateChoice, own: OwnTemplate, table: Mapping[str, NamedTemplate], needs: Needs, resembling: str
) -> tuple[object, ...]:
    """Smallest first: nothing left out, thoughts as the model has them, fewest changes, the closest name.

    With media the name decides more, because it says how images become tokens.
    """
    name = choice.name or ""
    thinks = "<think>" in (own.texts["parser_user"] or "") + (own.texts["one"] or "")
    short, kind = name.replace("_", ""), resembling.replace("_", "")
    return (
        bool(choice.left_out),
        -_num_equal(short, kind) if needs.media else 0,
        thinks != ("<think>" in (table[name].texts["one"] or "")),
        choice.default_system is not None,
        -len(short) if kind.startswith(short) else 0,
        bool(table[name].media_tokens) != bool(needs.media),
        -_num_equal(short, kind),
        len(name),
        name,
    )


def _num_equal(one: str, other: str) -> int:
    """Equal characters at the beginning of two texts."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _difference(own: OwnTemplate, table: Mapping[str, NamedTemplate], needs: Needs, resembling: str) -> str:
    """A clause: what LLaMA-Factory would write otherwise."""
    probes = relevant_probes(own, needs)
    if not probes:
        return "it cannot be rendered on a question and its answer"
    if needs.media:
        return _media_difference(own, table, needs, resembling)
    nearest = choose(own, table, replace(needs, tools=False), resembling=resembling) if needs.tools else ""
    if isinstance(nearest, TemplateChoice) and nearest.name:
        tried = f"template {nearest.name}"
        texts = {name: composed(table[nearest.name], name, nearest.default_system or "", own) for name in probes}
    else:
        tried, texts = "LLaMA-Factory", parsing.compose(own.texts, own.prefix)
    for name in probes:
        if not _equal(own, name, own.texts[name], texts.get(name)):
            return _described_difference(name, own.texts[name] or "", texts.get(name), tried)
    return "no template with its text fixes the date that it takes from the clock"


def _media_difference(own: OwnTemplate, table: Mapping[str, NamedTemplate], needs: Needs, resembling: str) -> str:
    """The tokens that the tokenizer lacks, where a template has the text and the media."""
    kinds, text_only = sorted(needs.media), replace(needs, media=frozenset())
    fitting = [choice.name or "" for choice in _fitting(own, table, text_only, relevant_probes(own, needs))]
    for name in sorted(fitting, key=lambda name: -_num_equal(name.replace("_", ""), resembling.replace("_", ""))):
        tokens = table[name].media_tokens
        if lacking := [tokens[kind] for kind in kinds if kind in tokens and tokens[kind] not in own.special]:
            return f"template {name} has its text, and the model's tokenizer has no token {' and '.join(lacking)}"
    return f"no template with its text has {' and '.join(kinds)}s"


def _described_difference(name: str, text: str, other: str | None, tried: str) -> str:
    what = f"in a conversation with {DESCRIBED[name.removeprefix('system_')]}"
    ours = _plain(text)
    if other is None:
        return f"{what} it writes “{shown(ours)}”, which {tried} cannot"
    theirs = _plain(other)
    at = _num_equal(ours, theirs)
    return f"{what} it writes “{shown(ours[at:])}” where {tried} would write “{shown(theirs[at:])}”"


def shown(text: str) -> str:
    """The beginning of a text on one line."""
    short = text[:SHOWN_CHARACTERS].replace("\n", "\\n")
    return short + "…" if len(text) > SHOWN_CHARACTERS else short
