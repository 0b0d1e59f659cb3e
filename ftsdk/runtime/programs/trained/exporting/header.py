"""What a GGUF file says beside its weights, compared with the tokenizer of the model that it was made from."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ftsdk.runtime.programs.trained.exporting.conversations import CONVERSATIONS, end_of_answer, rendered, texts
from ftsdk.runtime.programs.trained.loading import ModelError

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import PreTrainedTokenizerBase

SENTENCEPIECE, BYTE_LEVEL = "llama", "gpt2"
"""llama.cpp's names for the two usual kinds of tokenizers."""
SPACE = "\u2581"
STOPS = frozenset({
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>", "</s>",
    "<|eom_id|>", "<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<eos>",
})  # fmt: skip
"""Tokens at which llama.cpp stops whatever the file says (its src/llama-vocab.cpp)."""


class GgufHeader(NamedTuple):
    """The part of a file's metadata on which the text of a prompt and the end of an answer depend."""

    kind: str
    tokens: list[str]
    scores: list[float]
    adds_space: bool
    """Whether llama.cpp puts a space before a text; its default for sentencepiece."""
    adds_bos: bool
    """Whether llama.cpp begins a text with the token `bos`; its default for sentencepiece."""
    template: str | None
    special: dict[str, int]
    """`bos`, `eos`, `eot` … -> token id."""


def header_of(reader: GGUFReader) -> GgufHeader:
    """The header of a GGUF file."""
    fields = {name: field.contents() for name, field in reader.fields.items()}
    mark, end = "tokenizer.ggml.", "_token_id"
    ids = {name[len(mark) : -len(end)]: int(value) for name, value in fields.items() if name.endswith(end)}
    return GgufHeader(
        kind=fields[f"{mark}model"],
        tokens=fields[f"{mark}tokens"],
        scores=fields.get(f"{mark}scores", []),
        adds_space=bool(fields.get(f"{mark}add_space_prefix", True)),
        adds_bos=bool(fields.get(f"{mark}add_bos_token", fields[f"{mark}model"] == SENTENCEPIECE)),
        template=fields.get("tokenizer.chat_template"),
        special=ids,
    )


def refuse_other_text(header: GgufHeader, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise ModelError if prompts become other tokens, or answers end elsewhere, than with the model's tokenizer."""
    _compare_vocabulary(header, tokenizer)
    if header.kind == SENTENCEPIECE:
        _compare_tokens(header, tokenizer)
    _compare_beginning(header, tokenizer)
    if tokenizer.chat_template is not None:
        _compare_template(header, tokenizer)
        _compare_stop(header, tokenizer)


def _compare_vocabulary(header: GgufHeader, tokenizer: PreTrainedTokenizerBase) -> None:
    if header.kind not in (SENTENCEPIECE, BYTE_LEVEL):
        return
    added = tokenizer.added_tokens_decoder
    ours = tokenizer.convert_ids_to_tokens([*range(min(len(tokenizer), len(header.tokens)))])
    for token, (text, theirs) in enumerate(zip(ours, header.tokens, strict=False)):
        if token not in added and text != theirs:
            raise ModelError(f"The exported vocabulary differs: token {token} is {theirs!r} instead of {text!r}; give "
                             f"the model the tokenizer.model that belongs to its tokenizer.json.")  # fmt: skip


def _compare_tokens(header: GgufHeader, tokenizer: PreTrainedTokenizerBase) -> None:
    ids = {text: token for token, text in enumerate(header.tokens)}
    for text in texts():
        ours = tokenizer(text, add_special_tokens=False)["input_ids"]
        if ours != sentencepiece_tokens(text, ids, header):
            raise ModelError(f"llama.cpp would read {text!r:.40} as other tokens than the model was trained on: its "
                             f"tokenizer needs the base model's tokenizer.model beside its tokenizer.json, and an "
                             f"architecture whose prefix space llama.cpp knows.")  # fmt: skip


def sentencepiece_tokens(text: str, ids: dict[str, int], header: GgufHeader) -> list[int]:
    """Token ids as llama.cpp makes them: the adjacent pair of the best score is joined until none is in the vocabulary.

    (llama.cpp, src/llama-vocab.cpp, llm_tokenizer_spm_session.)
    """
    parts = list((f" {text}" if header.adds_space else text).replace(" ", SPACE))
    while pairs := [
        (-header.scores[ids[left + right]], place)
        for place, (left, right) in enumerate(pairwise(parts))
        if left + right in ids
    ]:
        place = min(pairs)[1]
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return [token for part in parts for token in _part_tokens(part, ids)]


def _part_tokens(part: str, ids: dict[str, int]) -> list[int]:
    """A part of the vocabulary, or its bytes."""
    return [ids[part]] if part in ids else [ids.get(f"<0x{byte:02X}>", -1) for byte in part.encode()]


def adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a prompt of the model begins with the token `bos`, written by its chat template if it has one."""
    text = rendered(tokenizer, CONVERSATIONS[0])
    if text is not None:
        return bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    return bool(tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id])


def _compare_beginning(header: GgufHeader, tokenizer: PreTrainedTokenizerBase) -> None:
    ours = adds_bos(tokenizer)
    if header.adds_bos != ours:
        raise ModelError(f"llama.cpp would begin a prompt {'with' if header.adds_bos else 'without'} the token bos and "
                         f"the model {'without' if header.adds_bos else 'with'} it: set add_bos_token to "
                         f"{str(ours).lower()} in the model's tokenizer_config.json.")  # fmt: skip


def _compare_template(header: GgufHeader, tokenizer: PreTrainedTokenizerBase) -> None:
    names = {f"{name}_token": header.tokens[token] for name, token in header.special.items() if name in ("bos", "eos")}
    for conversation in CONVERSATIONS:
        ours = rendered(tokenizer, conversation)
        if ours != rendered(tokenizer, conversation, {"chat_template": header.template or "", **names}):
            raise ModelError(
                f"The exported chat template writes {conversation[0]['content']!r:.40} differently from the "
                f"model's own: check chat_template, bos_token and eos_token in the model's tokenizer_config.json."
            )


def _compare_stop(header: GgufHeader, tokenizer: PreTrainedTokenizerBase) -> None:
    token = end_of_answer(tokenizer)
    if token is None:
        return
    text = tokenizer.convert_ids_to_tokens(token)
    if text not in STOPS and token not in header.special.values():
        stop = header.special.get("eos")
        raise ModelError(
            f"Answers end with {text!r}, and the exported file stops at {header.tokens[stop] if stop else 'nothing'!r} "
            f"only: set eos_token in the model's tokenizer_config.json to {text!r}."
        )
