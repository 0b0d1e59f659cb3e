"""The table of LLaMA-Factory's chat templates: name -> its marks and the system prompt that it adds.

Regenerate it with the trainer's Python:
python -m ftsdk.engines.llamafactory.templates > ftsdk/engines/llamafactory/templates.json
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

TABLE = "templates.json"
_MARK = re.compile(r"<[|｜][^<>\s]+[|｜]>|<(?:start|end)_of_turn>")
"""Texts that only make sense as one token."""
_PARTS = ("format_user", "format_assistant", "format_system", "format_prefix")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplate:
    """The parts of a template that can silently fail to fit a tokenizer."""

    marks: tuple[str, ...]
    """Texts around messages that should be one token of the model's tokenizer."""
    default_system: str
    """Beginning of the system prompt that rows without one are given; empty for none."""


@cache
def known_templates() -> dict[str, ChatTemplate]:
    """Every template of the supported LLaMA-Factory release."""
    table: dict[str, Any] = json.loads(resources.files("ftsdk.engines.llamafactory").joinpath(TABLE).read_text("utf-8"))
    return {
        name: ChatTemplate(marks=tuple(template["marks"]), default_system=template["default_system"])
        for name, template in table["templates"].items()
    }


def read_templates() -> dict[str, Any]:
    """Read the release and the templates of the installed LLaMA-Factory."""
    from importlib.metadata import version

    from llamafactory.data.template import TEMPLATES

    templates = {
        name: {"marks": sorted(_marks(template)), "default_system": template.default_system.split("\n")[0][:80]}
        for name, template in sorted(TEMPLATES.items())
    }
    return {"release": version("llamafactory"), "templates": templates}


def _marks(template: Any) -> set[str]:
    slots = [slot for part in _PARTS for slot in getattr(getattr(template, part), "slots", ())]
    texts = [slot.get("token", "") if isinstance(slot, dict) else slot for slot in slots if not isinstance(slot, set)]
    return {mark for text in texts for mark in _MARK.findall(str(text))}


if __name__ == "__main__":
    json.dump(read_templates(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
