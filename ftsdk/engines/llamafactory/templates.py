"""The table of LLaMA-Factory's chat templates: name -> its marks, its system prompt, its texts of the probes.

Regenerate it with the trainer's Python:
python -m ftsdk.engines.llamafactory.templates > ftsdk/engines/llamafactory/templates.json
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources

from ftsdk.contract.json_data import from_data
from ftsdk.runtime.chat_templates.comparing import NamedTemplate

TABLE = "templates.json"
_MARK = re.compile(r"<[|｜][^<>\s]+[|｜]>|<(?:start|end)_of_turn>")
"""Texts that only make sense as one token."""
_PARTS = ("format_user", "format_assistant", "format_system", "format_prefix")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplate(NamedTemplate):
    """A named template with the texts that can silently fail to fit a tokenizer."""

    marks: tuple[str, ...]
    """Texts around messages that should be one token of the model's tokenizer."""


@cache
def known_templates() -> dict[str, ChatTemplate]:
    """Every template of the supported LLaMA-Factory release."""
    text = resources.files("ftsdk.engines.llamafactory").joinpath(TABLE).read_text("utf-8")
    table: dict[str, dict[str, object]] = json.loads(text)["templates"]
    return {name: from_data(ChatTemplate, template) for name, template in table.items()}


def read_table() -> dict[str, object]:
    """Read the release and the templates of the installed LLaMA-Factory."""
    from importlib.metadata import version

    from llamafactory.data.template import TEMPLATES

    from ftsdk.runtime.programs.chat_template.table import read_templates

    templates = {
        name: {"marks": sorted(_marks(TEMPLATES[name])), **asdict(named)} for name, named in read_templates().items()
    }
    return {"release": version("llamafactory"), "templates": templates}


def _marks(template: object) -> set[str]:
    slots = [slot for part in _PARTS for slot in getattr(getattr(template, part), "slots", ())]
    texts = [slot.get("token", "") if isinstance(slot, dict) else slot for slot in slots if not isinstance(slot, set)]
    return {mark for text in texts for mark in _MARK.findall(str(text))}


if __name__ == "__main__":
    json.dump(read_table(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
