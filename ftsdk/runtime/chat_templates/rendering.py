"""Renders a chat template on the probe conversations, as transformers does: a Jinja text in a sandbox.

A chat template comes with a model, so it is untrusted. `python -m ftsdk.runtime.chat_templates.rendering` renders in a
process of its own, with limits on time and memory: it reads {"template", "tokens"} and writes the texts, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ftsdk.runtime.chat_templates.probes import PARSER_PROBES, PROBES, Messages, Probe

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from jinja2.parser import Parser

DATE = datetime(2024, 7, 26)
"""The day on which a template that reads the clock is rendered: Llama 3's own default."""
CPU_SECONDS, MEMORY_BYTES, MAX_CHARACTERS = 2, 2**30, 100_000
CONTENT_END = 8
"""Last characters of a message that its text must show: templates may strip thoughts before them."""
Texts = dict[str, str | None]
"""Probe -> text; None where the template raises an error."""


def render_probes(template: str, tokens: dict[str, str]) -> Texts:
    """Every probe as text. `tokens` are special tokens by name (`bos_token`, `eos_token` …)."""
    compiled = _environment().from_string(template)
    return {name: _render(compiled, probe, tokens) for name, probe in {**PROBES, **PARSER_PROBES}.items()}


def _render(template: Template, probe: Probe, tokens: dict[str, str]) -> str | None:
    """The text; None where the template refuses the conversation.

    Without a clock first, so that a default date stays; then with contents as lists, which templates with media expect.
    """
    values = {
        "tools": list(probe.tools) or None,
        "documents": None,
        "add_generation_prompt": probe.generates,
        **tokens,
    }
    shown = str(probe.messages[-1]["content"])[-CONTENT_END:]
    forms: tuple[Sequence[Mapping[str, object]], ...] = (probe.messages, _with_parts(probe.messages))
    for messages in forms:
        for clock in ({}, {"strftime_now": DATE.strftime}):
            with suppress(Exception):  # templates raise whatever they like
                text: str = template.render(**values, **clock, messages=messages)
                if shown in text:
                    return text if len(text) <= MAX_CHARACTERS else None
    return None


def _with_parts(messages: Messages) -> list[Mapping[str, object]]:
    return [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]


def _environment() -> Environment:
    """As in transformers' `utils/chat_template_utils.py`."""
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}…{% endgeneration %}` marks an answer; its content is rendered as it is."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    return environment


def _to_json(value: object, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> None:
    raise ValueError(message)


def main() -> None:
    """Render what standard input names, within the limits."""
    with suppress(ImportError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    request = json.load(sys.stdin)
    json.dump(render_probes(request["template"], request["tokens"]), sys.stdout)


if __name__ == "__main__":
    main()
