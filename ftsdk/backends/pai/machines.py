"""Which machine types fit `resources`. Pure; the table is `sizing/data/instances.csv`."""

from __future__ import annotations

from ftsdk.backends import shared
from ftsdk.errors import SpecError
from ftsdk.sizing.catalogue import Instance, instances_of
from ftsdk.sizing.price.prices import Prices, known_prices, price_of
from ftsdk.spec.parts import Resources

PROVIDER = "alibaba"


def type_for(resources: Resources) -> str:
    """The smallest machine type with these accelerators and at least as much main memory as they have.

    Weights pass through main memory when they are loaded. Raises SpecError if there is none.
    """
    if resources.accelerator is None:
        raise SpecError(
            "The pai backend needs a kind of machine: give resources.accelerator, e.g. A10, or the option ecs_spec, "
            "e.g. -o ecs_spec=ecs.g7.2xlarge for a CPU, or resource_id for a quota."
        )
    return shared.smallest_instance(resources, provider=PROVIDER, none=lambda instances: _none(resources, instances))


def usd_per_hour(ecs_spec: str, region: str, own: Prices, *, spot: bool) -> float | None:
    """What one machine costs in an hour as far as a price file of yours says; None is unknown.

    No public table has Alibaba's GPU prices, and DLC's own list has none.
    """
    price = price_of(PROVIDER, ecs_spec, region, known_prices(own))
    return (price.spot_usd_per_hour if spot else price.usd_per_hour) if price else None


def _none(resources: Resources, instances: list[Instance]) -> str:
    if instances:
        return shared.too_few_cards(resources, instances, "Alibaba Cloud")
    cards = sorted({instance.card for instance in instances_of(PROVIDER)})
    return (
        f"resources.accelerator {resources.accelerator}: Alibaba Cloud has no machine with it in ftsdk's table; "
        f"choose one of {', '.join(cards)}, or name a type by -o ecs_spec=TYPE."
    )
