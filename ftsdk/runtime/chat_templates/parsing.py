"""How LLaMA-Factory reads a chat template when none is named (0.9.5, `parse_template` in `data/template.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from ftsdk.runtime.chat_templates.probes import PLACEHOLDER, PROBES, Probe
from ftsdk.runtime.chat_templates.rendering import Texts


@dataclass(frozen=True, slots=True)
class ParsedTemplate:
    """The texts around messages."""

    prefix: str
    system: str
    user: str
    answer: str
    default_system: str
    is_reasoning: bool


def compose(own: Texts, prefix: str) -> Texts:
    """Every probe without tools as the parsed template composes it; empty if the template cannot be parsed.

    LLaMA-Factory gives a parsed template its format `default` for tools, which is no model's own.
    """
    parsed = parse(own, prefix)
    if parsed is None:
        return {}
    return {name: _composed(parsed, probe) for name, probe in PROBES.items() if not probe.tools}


def parse(own: Texts, prefix: str) -> ParsedTemplate | None:
    """The parsed template; None if LLaMA-Factory raises an error for it."""
    texts = [own[f"parser_{name}"] for name in ("system", "empty_system", "user", "answer")]
    if any(text is None for text in texts):
        return None
    system, empty_system, user, answer = (str(text)[len(prefix) :] for text in texts)
    answer = answer[len(user) :]
    is_reasoning = "<think>" in answer
    answer = answer.replace("<think>", "").replace("</think>", "").lstrip("\n")
    default_system = ""
    if len(user) > len(empty_system):
        default_system = _missing_part(empty_system, user)
        user = user[len(system.replace(PLACEHOLDER, default_system, 1)) :]
    if not all(PLACEHOLDER in slot for slot in (system, user, answer)):
        return None
    return ParsedTemplate(prefix, system, user, answer, default_system, is_reasoning)


def _missing_part(short: str, long: str) -> str:
    """The characters of `long` that are passed over while `short` is found in it."""
    matched, missing = 0, []
    for character in long:
        if matched == len(short):
            break
        if short[matched] == character:
            matched += 1
        else:
            missing.append(character)
    return "".join(missing)


def _composed(parsed: ParsedTemplate, probe: Probe) -> str:
    system = probe.system or parsed.default_system
    text = parsed.prefix + (parsed.system.replace(PLACEHOLDER, system, 1) if system else "")
    for message in probe.turns:
        slot = parsed.user if message["role"] == "user" else parsed.answer
        text += slot.replace(PLACEHOLDER, message["content"], 1)
    return text
