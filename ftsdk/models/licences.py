"""Licences of base models: the conditions for publishing a model made from one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import yaml


class Licence(NamedTuple):
    """A licence as the hub names it, and its demands in a sentence."""

    identifier: str
    demands: str


ATTRIBUTION: Final = (
    "keep the licence's text and the copyright and attribution notices, and say that you changed the model"
)
APACHE: Final = Licence("apache-2.0", ATTRIBUTION)
MIT: Final = Licence("mit", "keep the licence's text and the copyright notice")
UNKNOWN: Final = Licence("", "")
_LLAMA_3: Final = (
    'pass on a copy of the agreement, show "Built with Llama", begin the model\'s name with "Llama", include the '
    "attribution notice, and follow the acceptable use policy"
)
_GEMMA: Final = (
    "pass on the terms of use with their use restrictions, give recipients a copy of them, and mark the files that you "
    "changed"
)
BY_NAME: Final[Mapping[str, Licence]] = MappingProxyType(
    {
        r"meta-llama/.*llama-?3\.1": Licence("llama3.1", _LLAMA_3),
        r"meta-llama/.*llama-?3\.2": Licence("llama3.2", _LLAMA_3),
        r"meta-llama/.*llama-?3\.3": Licence("llama3.3", _LLAMA_3),
        r"meta-llama/.*llama-?3": Licence("llama3", _LLAMA_3),
        r"meta-llama/.*llama-?4": Licence("llama4", _LLAMA_3),
        r"meta-llama/.*llama-?2": Licence(
            "llama2",
            "pass on a copy of the agreement with its attribution notice, and follow the acceptable use policy",
        ),
        r"google/.*gemma": Licence("gemma", _GEMMA),
        r"qwen/qwen2\.5.*-3b": Licence("other", "the Qwen Research License: research only, no commercial use"),
        r"qwen/qwen2\.5.*-72b": Licence("other", 'the Qwen License: pass on a copy, and say "Built with Qwen"'),
        r"qwen/qwen(2\.5|3)": APACHE,
        r"mistralai/mi[sx]tral-(7b|8x7b|8x22b)": APACHE,
        r"microsoft/phi-(3|4)": MIT,
        r"deepseek-ai/deepseek-(r1$|v3-0324)": MIT,
    }
)
"""Regular expression over the lower-case hub id -> licence, by their model cards (2026). The first match counts."""


def licence_of(base_model: str, folder: Path | None = None) -> Licence:
    """The licence of a base model: what its own card in `folder` says, else what is known of its hub id."""
    stated = _stated(folder / "README.md") if folder else ""
    known = next((licence for name, licence in BY_NAME.items() if re.match(name, base_model.lower())), UNKNOWN)
    if stated and stated != known.identifier:
        demands = {APACHE.identifier: APACHE.demands, MIT.identifier: MIT.demands}.get(stated, "")
        return Licence(stated, demands)
    return known


def _stated(card: Path) -> str:
    """The licence in a model card's YAML header; empty without one."""
    try:
        parts = card.read_text("utf-8").split("---", 2)
        header = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""
    return str(header.get("license") or "") if isinstance(header, dict) else ""
