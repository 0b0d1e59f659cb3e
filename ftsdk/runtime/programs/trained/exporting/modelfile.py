"""Ollama's Modelfile for an exported model: its chat template in Ollama's form, and the tokens at which it stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ftsdk.runtime.programs.trained.exporting.conversations import CONVERSATIONS, Message, end_of_answer, rendered

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SYSTEM, QUESTION, ANSWER, SECOND = "~system~", "~question~", "~answer~", "~second~"


class Affixes(NamedTuple):
    """What a chat template writes around each message."""

    begin: str
    """Before a conversation without a system prompt."""
    around: dict[str, tuple[str, str]]
    """Role -> text before and after a message."""
    prompt: str
    """The beginning of the next answer."""

    def write(self, conversation: list[Message]) -> str:
        """The conversation as Ollama writes it with these texts, ready for the next answer."""
        begin = "" if conversation[0]["role"] == "system" else self.begin
        parts = (self.around[message["role"]][0] + message["content"] + self.around[message["role"]][1]
                 for message in conversation)  # fmt: skip
        return begin + "".join(parts) + self.prompt


def modelfile(tokenizer: PreTrainedTokenizerBase, file: str) -> str:
    """A Modelfile for a GGUF file that lies beside it.

    It has a TEMPLATE where the chat template writes the same text around every message of a role; for any other,
    Ollama takes the file's own chat template as far as it knows it.
    """
    lines = ["# Made by ftsdk: ollama create NAME -f Modelfile", f"FROM ./{file}"]
    if (affixes := find_affixes(tokenizer)) is not None:
        lines.append(f'TEMPLATE """{go_template(affixes)}"""')
    if (token := end_of_answer(tokenizer)) is not None:
        lines.append(f'PARAMETER stop "{tokenizer.convert_ids_to_tokens(token)}"')
    return "\n".join(lines) + "\n"


def go_template(affixes: Affixes) -> str:
    """The texts as a template of Go's text/template, which Ollama renders."""
    branches = "{{ else if ".join(
        f'eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}' for role, (before, after) in affixes.around.items()
    )
    begin = f"{{{{ if not .System }}}}{affixes.begin}{{{{ end }}}}" if affixes.begin else ""
    return f"{begin}{{{{ range .Messages }}}}{{{{ if {branches}{{{{ end }}}}{{{{ end }}}}{affixes.prompt}"


def find_affixes(tokenizer: PreTrainedTokenizerBase) -> Affixes | None:
    """The texts around messages, if they write every conversation byte for byte as the template does; else None.

    The token that begins a text is left out: Ollama puts it there.
    """
    affixes = _affixes(tokenizer) if tokenizer.chat_template is not None else None
    if affixes is None or '"""' in (written := go_template(affixes)) or "{{{" in written:
        return None
    for conversation in CONVERSATIONS:
        text = rendered(tokenizer, conversation) if conversation[-1]["role"] == "user" else None
        if text is not None and _without_bos(tokenizer, text) != affixes.write(conversation):
            return None
    return affixes


def _affixes(tokenizer: PreTrainedTokenizerBase) -> Affixes | None:
    """The texts of a template that writes nothing else; the caller compares them with it."""
    user, answer, second = _message("user", QUESTION), _message("assistant", ANSWER), _message("user", SECOND)
    turns = rendered(tokenizer, [user, answer, second])
    prompt, conversation = (rendered(tokenizer, chat, generates=False) for chat in ([user], [user, answer]))
    if turns is None or prompt is None or conversation is None:
        return None
    start, _, rest = _without_bos(tokenizer, turns).partition(QUESTION)
    middle, _, rest = rest.partition(ANSWER)
    between, _, end = rest.partition(SECOND)
    after_question, after_answer = prompt.partition(QUESTION)[2], conversation.partition(ANSWER)[2]
    before_question = between.removeprefix(after_answer)
    around = {
        "user": (before_question, after_question),
        "assistant": (middle.removeprefix(after_question), after_answer),
    }
    system = rendered(tokenizer, [_message("system", SYSTEM), user], generates=False)
    if system is not None:
        before_system, _, rest = _without_bos(tokenizer, system).partition(SYSTEM)
        around["system"] = before_system, rest.partition(QUESTION)[0].removesuffix(before_question)
    return Affixes(start.removesuffix(before_question), around, end.removeprefix(after_question))


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _without_bos(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    return text.removeprefix(tokenizer.bos_token or "")
