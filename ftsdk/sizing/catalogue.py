"""Accelerators and the machines that carry them, as dated data files. An empty cell is unknown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ftsdk.errors import SpecError, did_you_mean
from ftsdk.sizing.tables import number, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An accelerator. None means unknown."""

    name: str
    usable_gib: float
    """Memory that a process can use, in GiB."""
    tflops: float | None
    """Dense 16-bit peak, in 10^12 operations a second."""
    fp8_tflops: float | None
    bf16: bool
    bandwidth_gb_s: float | None
    link_gb_s: float | None
    """To other accelerators of the machine, each direction."""
    generation: str
    matrix_share: float | None = None
    """Sustained over peak in matrix products, where it is not that of the generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A machine type of a provider."""

    provider: str
    name: str
    card: str
    cards: int
    vcpus: int
    memory_gib: float


@cache
def cards() -> Mapping[str, Card]:
    """Every known card by each of its names in lower case."""
    by_name: dict[str, Card] = {}
    for row in rows("cards.csv"):
        card = Card(
            name=row["name"],
            usable_gib=float(row["usable_mib"]) / 1024,
            tflops=number(row["tflops"]),
            fp8_tflops=number(row["fp8_tflops"]),
            bf16=row["bf16"] == "1",
            bandwidth_gb_s=number(row["bandwidth_gb_s"]),
            link_gb_s=number(row["link_gb_s"]),
            generation=row["generation"],
            matrix_share=number(row["matrix_share"]),
        )
        by_name.update(dict.fromkeys((row["name"].lower(), *row["aliases"].split()), card))
    return by_name


def card_of(name: str) -> Card:
    """The card of this name (`A100-80GB`, `h100`). Raises SpecError for a card that ftsdk does not know."""
    card = cards().get(name.strip().lower().replace("nvidia-", "").replace("_", "-").replace(" ", "-"))
    if card is None:
        known = sorted({card.name for card in cards().values()})
        hint = did_you_mean(name, known)
        raise SpecError(f"resources.accelerator: {name!r} is not known{hint}; use one of {', '.join(known)}.")
    return card


def card_named_by_driver(name: str) -> str | None:
    """The card for a name that nvidia-smi reports, such as `NVIDIA A100-SXM4-80GB`; None if no card fits it."""
    text = name.upper().replace("RTX ", "RTX")
    known = sorted({card.name for card in cards().values()}, key=len, reverse=True)  # A100-80GB before A10
    return next((card for card in known if all(re.search(rf"\b{part}\b", text) for part in card.split("-"))), None)


@cache
def all_instances() -> tuple[Instance, ...]:
    """Every known machine type with accelerators."""
    return tuple(
        Instance(
            provider=row["provider"],
            name=row["instance"],
            card=row["card"],
            cards=int(row["cards"]),
            vcpus=int(row["vcpus"]),
            memory_gib=float(row["memory_mib"]) / 1024,
        )
        for row in rows("instances.csv")
    )


@cache
def instances_of(provider: str) -> tuple[Instance, ...]:
    """The machine types of a provider: `sagemaker`, `aws` or `alibaba`."""
    return tuple(instance for instance in all_instances() if instance.provider == provider)


@cache
def instance_of(name: str) -> Instance | None:
    """The machine type of this name, or None."""
    return next((instance for instance in all_instances() if instance.name == name), None)
