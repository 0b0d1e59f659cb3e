"""Tokens that know where they come from, while LLaMA-Factory's own functions put them together.

LLaMA-Factory builds the ids of a row from lists of integers. `trace` lets its template make integers that carry a kind
and a row, so that whatever the processors do with the lists (cut, join, pack), each id still says what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from llamafactory.data.template import Template
    from transformers import PreTrainedTokenizerBase

    from ftsdk.contract.programs import ChatMessage

PlainSlot = str | set[str] | dict[str, str]
"""A piece of a template: text, or the name or id of a special token."""
Pair = tuple[list[int], list[int]]
Pairs = TypeVar("Pairs", Pair, list[Pair])
"""(prompt, answer) as ids: of one turn, or of all."""

KINDS = {
    "format_prefix": "prompt",
    "format_user": "prompt",
    "format_assistant": "answer",
    "format_function": "answer",
    "format_observation": "tool",
    "format_system": "system",
}
"""Part of a LLaMA-Factory template -> kind of its tokens."""


_INSIDE: Mapping[str, tuple[str, ...]] = {"system": ("tool",), "prompt": ("system", "tool")}
"""Kind -> kinds of which a part can stand in its text."""
PART = "\ufffd"
"""What a tokenizer decodes a token to that is a part of a character."""


class Token(int):
    """A token id with its kind (system, prompt, tool, thought, answer) and its row, counted from 1."""

    kind: str
    row: int

    @classmethod
    def of(cls, number: int, kind: str, row: int) -> Token:
        """A token."""
        token = cls(number)
        token.kind, token.row = kind, row
        return token


class _Text(str):
    kind: str


class _Set(set[str]):
    kind: str


class _Dict(dict[str, str]):
    kind: str


MarkedSlot = _Text | _Set | _Dict


class Trace:
    """What a template composed since `start`."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.row = 0
        self.sizes: list[int] = []
        """Tokens of each encoded conversation before `cutoff_len` cuts it."""
        self.inner_texts: dict[str, str] = {}
        """Kind -> text of this kind inside of another text: tools in a system prompt, that in a question."""
        self.thought_words = ("", "")
        self._tokenizer = tokenizer
        self._texts: dict[int, str] = {}

    def start(self, row: int) -> None:
        """A row begins."""
        self.row, self.sizes = row, []

    def text(self, number: int) -> str:
        """The text of one token."""
        if number not in self._texts:
            self._texts[number] = self._tokenizer.decode([number])
        return self._texts[number]

    def tokens(self, ids: list[int], kind: str) -> list[Token]:
        """Ids of one piece of text, with the kinds of its parts: tools in a system prompt, thoughts in an answer."""
        kinds = [kind] * len(ids)
        texts = self.texts(ids) if kind == "answer" or self.inner_texts else []
        if kind == "answer":
            _mark_inside(kinds, texts, *self.thought_words, "thought")
        for inner in _INSIDE.get(kind, ()):
            part = self.inner_texts.get(inner, "")
            if _mark_inside(kinds, texts, part, part, inner):
                del self.inner_texts[inner]  # it stands once in a row
        return [Token.of(number, each, self.row) for number, each in zip(ids, kinds, strict=True)]

    def texts(self, ids: list[int]) -> list[str]:
        """The text of each token; that of several tokens which only together are a character stands at the first."""
        texts = [self.text(number) for number in ids]
        for is_part, group in groupby(range(len(ids)), key=lambda place: PART in texts[place]):
            if is_part and len(places := list(group)) > 1:
                whole = self._tokenizer.decode([ids[place] for place in places])
                texts[places[0] : places[-1] + 1] = [whole, *[""] * (len(places) - 1)]
        return texts


def _mark_inside(kinds: list[str], texts: list[str], opening: str, closing: str, inner: str) -> bool:
    """Give another kind to the tokens from `opening` to the end of `closing`; whether they are there."""
    text = "".join(texts)
    begin = text.find(opening) if opening else -1
    if begin < 0:
        return False
    end, position = text.find(closing, begin) + len(closing), 0
    for place, piece in enumerate(texts):
        if position < end and (begin <= position or begin < position + len(piece)):  # a space may belong to its token
            kinds[place] = inner
        position += len(piece)
    return True


def trace(template: Template, tokenizer: PreTrainedTokenizerBase) -> Trace:
    """Let a template make traced tokens; returns the trace."""
    from llamafactory.data.template import Llama2Template

    traced = Trace(tokenizer)
    traced.thought_words = tuple(word.strip() for word in template.thought_words)
    if isinstance(template, Llama2Template):  # its system prompt is a part of the first question
        template.format_system = copy(template.format_system)
        template.format_system.apply = _remembering(template.format_system.apply, traced, "system")
    for part, kind in KINDS.items():
        formatter = copy(getattr(template, part))  # parts may share one
        formatter.apply = _marking(formatter.apply, kind)
        setattr(template, part, formatter)
    template.format_tools = copy(template.format_tools)
    template.format_tools.apply = _remembering(template.format_tools.apply, traced, "tool")
    convert, thought_ids = template._convert_elements_to_ids, template.get_thought_word_ids

    def traced_ids(tokenizer: PreTrainedTokenizerBase, elements: list[PlainSlot]) -> list[Token]:
        pieces = ((convert(tokenizer, [item]), getattr(item, "kind", "prompt")) for item in elements)
        return [token for ids, kind in pieces for token in traced.tokens(ids, kind)]

    template._convert_elements_to_ids = traced_ids
    template.get_thought_word_ids = lambda tokenizer: [
        Token.of(number, "thought", traced.row) for number in thought_ids(tokenizer)
    ]
    for name in ("encode_oneturn", "encode_multiturn"):
        setattr(template, name, _measured(getattr(template, name), traced))
    return traced


def _marking(apply: Callable[..., list[PlainSlot]], kind: str) -> Callable[..., list[MarkedSlot]]:
    def marked(**values: object) -> list[MarkedSlot]:
        return [_marked(slot, kind) for slot in apply(**values)]

    return marked


def _marked(slot: PlainSlot, kind: str) -> MarkedSlot:
    kept = _Text(slot) if isinstance(slot, str) else _Set(slot) if isinstance(slot, set) else _Dict(slot)
    kept.kind = kind
    return kept


def _remembering(apply: Callable[..., list[PlainSlot]], traced: Trace, kind: str) -> Callable[..., list[PlainSlot]]:
    def remembered(**values: object) -> list[PlainSlot]:
        slots = apply(**values)
        traced.inner_texts[kind] = str(slots[0]).strip()
        return slots

    return remembered


def _measured(encode: Callable[..., Pairs], traced: Trace) -> Callable[..., Pairs]:
    def measured(
        tokenizer: PreTrainedTokenizerBase,
        messages: list[ChatMessage],
        system: str | None = None,
        tools: str | None = None,
        *rest: object,
    ) -> Pairs:
        traced.inner_texts.clear()
        made = encode(tokenizer, messages, system, tools, *rest)
        pairs = made if isinstance(made, list) else [made]
        traced.sizes.append(sum(len(source) + len(target) for source, target in pairs))
        return made

    return measured
