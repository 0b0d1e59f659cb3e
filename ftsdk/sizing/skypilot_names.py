"""SkyPilot's names of accelerators, where they differ from ours: its bare `A100` has 40 GB, its `H100` is H100-80GB.

Checked against SkyPilot 0.14.1 (`sky.utils.gpu_names`, `sky.catalog.get_common_gpus`, the memory in its catalogue
fetchers) by tests/backends/skypilot/test_skypilot_names.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ftsdk.errors import SpecError
from ftsdk.sizing.catalogue import Card, card_of

SKYPILOT_NAMES: Final[Mapping[str, str]] = {
    "A100-40GB": "A100",
    "H100-80GB": "H100",
    "V100-16GB": "V100",
    "RTX-PRO-6000": "RTXPRO6000",
}
"""Our name -> SkyPilot's; the other cards have one name."""
_OURS: Final = {theirs: ours for ours, theirs in SKYPILOT_NAMES.items()}


def skypilot_name(name: str) -> str:
    """SkyPilot's name of an accelerator; a name that ftsdk does not know stays as it is (a TPU, a custom resource)."""
    try:
        card = card_of(name)
    except SpecError:
        return name
    return SKYPILOT_NAMES.get(card.name, card.name)


def card_in_skypilot(name: str) -> Card | None:
    """The card that SkyPilot's name stands for; None if ftsdk does not know it."""
    try:
        return card_of(_OURS.get(name, name))
    except SpecError:
        return None
