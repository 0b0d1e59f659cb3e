"""The machine types that a backend can rent, and their prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ftsdk.sizing.catalogue import Instance, card_named_by_driver
from ftsdk.sizing.price.prices import Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Machine types that a backend can rent, as far as they are known without a request."""

    machines: tuple[Instance, ...]
    region: str | None
    """Region whose prices count; None takes the first that the tables know."""
    prices: Prices
    why_none: str = ""
    """Why there are no machines, where there are none."""


def own_machine(gpu_names: Iterable[str]) -> Market:
    """This machine as a market of one type without a price, its cards named as nvidia-smi names them."""
    cards = Counter(card_named_by_driver(name) for name in gpu_names)
    machines = tuple(
        Instance(provider="own", name="this machine", card=card, cards=count, vcpus=0, memory_gib=0.0)
        for card, count in cards.most_common(1)
        if card is not None
    )
    why = "this machine's GPU is in no table" if cards else "this machine has no NVIDIA GPU"
    return Market(machines=machines, region=None, prices={}, why_none=why)
