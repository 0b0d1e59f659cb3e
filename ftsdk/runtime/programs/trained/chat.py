"""Generates answers piece by piece, to a chat or to plain text, by a model or by the base under its adapter."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ftsdk.contract.foreign import JsonObject

BASE = "base"
DEFAULT_TOKENS = 512
"""Tokens of an answer at most, where a request names no limit."""


class BadRequestError(Exception):
    """A request that cannot be answered; the message is a sentence for the client."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Piece(NamedTuple):
    """A part of an answer; the last one says why it ends."""

    text: str
    finish_reason: str | None = None
    """`stop` or `length`, on the last piece only."""
    prompt_tokens: int = 0
    tokens: int = 0
    """Generated tokens, known with the last piece."""


class Speaker:
    """A loaded model; one answer is generated at a time."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
        self._model, self._tokenizer, self._name = model, tokenizer, name
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Names that a request may give as `model`: with an adapter also `base`."""
        return [self._name, BASE] if hasattr(self._model, "disable_adapter") else [self._name]

    def name_of(self, request: Mapping[str, object]) -> str:
        """The requested model, by default the first. Raises BadRequestError for an unknown one."""
        name = str(request.get("model") or self._name)
        if name not in self.names:
            raise BadRequestError(f"There is no model {name!r} here; there is {' and '.join(self.names)}.", 404)
        return name

    def answer(self, request: JsonObject, *, chat: bool) -> Iterator[Piece]:
        """Pieces of the answer; closing the iterator ends the generation. Raises BadRequestError at the first piece."""
        name = self.name_of(request)
        prompt = self._prompt(request, chat=chat)
        with self._lock, self._model.disable_adapter() if name == BASE else contextlib.nullcontext():
            yield from self._generate(prompt, options(request, self._tokenizer))

    def _prompt(self, request: JsonObject, *, chat: bool) -> list[int]:
        if not chat:
            if not isinstance(text := request.get("prompt"), str):
                raise BadRequestError("prompt: give one text.")
            return list(self._tokenizer(text)["input_ids"])
        if self._tokenizer.chat_template is None:
            raise BadRequestError("This model has no chat template; use /v1/completions.")
        try:
            messages = [{**message, "content": _text(message["content"])} for message in request["messages"]]
            return list(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
        except Exception as problem:  # templates raise errors of their own
            raise BadRequestError(f"messages: the chat template refuses them ({problem}).") from None

    def _generate(self, prompt: list[int], settings: JsonObject) -> Iterator[Piece]:
        import torch
        from transformers import StoppingCriteriaList, TextIteratorStreamer

        cancelled, made = threading.Event(), list["Tensor | Exception"]()
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        ids = torch.tensor([prompt], device=self._model.get_input_embeddings().weight.device)

        def run() -> None:
            try:
                made.append(
                    self._model.generate(
                        input_ids=ids,
                        attention_mask=torch.ones_like(ids),
                        streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([lambda ids, scores, **_: cancelled.is_set()]),
                        **settings,
                    )
                )
            except Exception as problem:
                made.append(problem)
                streamer.end()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            for text in streamer:
                if text:
                    yield Piece(text)
        finally:
            cancelled.set()
            thread.join()
        if isinstance(made[0], Exception):
            raise BadRequestError(f"The model cannot answer this ({made[0]}).")
        count = made[0].shape[1] - len(prompt)
        reason = "length" if count >= settings["max_new_tokens"] else "stop"
        yield Piece("", reason, len(prompt), count)


def options(request: JsonObject, tokenizer: PreTrainedTokenizerBase) -> JsonObject:
    """A request's settings as transformers names them. Raises BadRequestError."""
    try:
        limit = int(request.get("max_completion_tokens") or request.get("max_tokens") or DEFAULT_TOKENS)
        settings: JsonObject = {"max_new_tokens": limit, "pad_token_id": tokenizer.pad_token_id}
        if (temperature := request.get("temperature")) is not None:
            settings |= {"do_sample": True, "temperature": float(temperature)} if temperature else {"do_sample": False}
        if (top_p := request.get("top_p")) is not None:
            settings["top_p"] = float(top_p)
        if stop := request.get("stop"):
            settings |= {"stop_strings": [stop] if isinstance(stop, str) else list(stop), "tokenizer": tokenizer}
    except (TypeError, ValueError) as problem:
        raise BadRequestError(f"A setting of the request is no number ({problem}).") from None
    if int(request.get("n") or 1) != 1:
        raise BadRequestError("n: one answer is made for a request.")
    return settings


def _text(content: str | list[JsonObject] | None) -> str:
    """A message's text, which may come in parts. Raises BadRequestError for images."""
    if isinstance(content, list):
        if any(part.get("type") != "text" for part in content):
            raise BadRequestError("messages: only text is answered.")
        return "".join(part["text"] for part in content)
    return str(content or "")
