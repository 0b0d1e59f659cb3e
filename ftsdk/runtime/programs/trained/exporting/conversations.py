"""Ten conversations by which a chat template, its stop token and a tokenizer are compared after an export."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = dict[str, str]
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def _conversation(*texts: str, system: str = "") -> list[Message]:
    """Questions and answers in turns, after a system prompt if there is one."""
    roles = ("user", "assistant")
    turns = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    return [{"role": "system", "content": system}, *turns] if system else turns


CONVERSATIONS: Final = (
    _conversation("What is the capital of France?"),
    _conversation("What is the capital of France?", "Paris.", "And of Spain?"),
    _conversation("Hello!", system="You are a helpful assistant."),
    _conversation("Hi", "Hello! How can I help?", "Tell me a joke.", "No.", "Why?", system="Answer in one word."),
    _conversation("请用三句话介绍一下人工智能。", "好的。", "继续"),
    _conversation("Write a function.\n\n```python\ndef f(x):\n    return x + 1\n```\n"),
    _conversation('{"name": "Ada", "year": 1815, "tags": ["<b>", "&", "\\n"]}', '{"ok": true}'),
    _conversation("  Spaces before,   between and after  ", "Tabs\tand\r\nline ends"),
    _conversation("Emoji 👩‍💻 and accents: é ü ñ ß – “quotes”", "Ωmega ≥ 日本"),
    _conversation("1 + 1 = 2; 3.14159; 1,000,000; 0x1F; 2026-11-30", system="数字"),
)


def texts() -> list[str]:
    """The contents of all messages."""
    return [message["content"] for conversation in CONVERSATIONS for message in conversation]


def rendered(
    tokenizer: PreTrainedTokenizerBase,
    conversation: list[Message],
    changed: Mapping[str, str] = NOTHING,
    *,
    generates: bool | None = None,
) -> str | None:
    """The conversation in the model's chat template; None where the template refuses it.

    `changed` are variables of the template, such as `chat_template` itself and `eos_token`. `generates`: with the
    beginning of the next answer; by default after a question.
    """
    begins = conversation[-1]["role"] == "user" if generates is None else generates
    try:
        text: str = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=begins, **changed)
    except Exception:  # templates raise whatever they like
        return None
    return text


def end_of_answer(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The token that ends an answer in the chat template, which a generation has to stop at; None without one."""
    mark = "ANSWER"
    text = rendered(tokenizer, _conversation("question", mark))
    if text is None:
        return None
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    after: list[int] = tokenizer(text.rpartition(mark)[2], add_special_tokens=False)["input_ids"]
    return next((token for token in after if token in special), None)
