"""Which training instances fit `resources`. Pure; the table is `sizing/data/instances.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ftsdk.backends import shared
from ftsdk.errors import SpecError
from ftsdk.sizing.catalogue import Instance, instances_of
from ftsdk.sizing.price.prices import Prices, known_prices, packaged_prices, price_of
from ftsdk.sizing.spot import advisor
from ftsdk.spec.parts import Resources

EFA_FAMILIES: Final = ("p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300")
"""Families with an Elastic Fabric Adapter (SageMaker developer guide, "Run training with EFA")."""
EFA_ENVIRONMENT: Final = {"FI_PROVIDER": "efa", "FI_EFA_USE_DEVICE_RDMA": "1", "RDMAV_FORK_SAFE": "1"}
"""What SageMaker's own training toolkit sets; FI_EFA_FORK_SAFE would do the same from libfabric 1.13 on."""


def instance_for(resources: Resources) -> str:
    """The smallest training instance with these accelerators whose main memory holds what theirs does.

    Weights pass through main memory when they are loaded. Raises SpecError if there is none.
    """
    if resources.accelerator is None:
        raise SpecError(
            "The sagemaker backend needs a kind of machine: give resources.accelerator, e.g. A10G, "
            "or the option instance_type, e.g. -o instance_type=ml.m5.xlarge for a CPU."
        )
    return shared.smallest_instance(resources, provider="sagemaker", none=lambda instances: _none(resources, instances))


def has_efa(instance_type: str) -> bool:
    """Whether nodes of this type talk through an Elastic Fabric Adapter."""
    return instance_type.split(".")[1] in EFA_FAMILIES


def _none(resources: Resources, instances: list[Instance]) -> str:
    if instances:
        return shared.too_few_cards(resources, instances, "SageMaker")
    cards = sorted({instance.card for instance in instances_of("sagemaker")})
    return (
        f"resources.accelerator {resources.accelerator}: SageMaker has no training instance with it; "
        f"choose one of {', '.join(cards)}."
    )


def usd_per_hour(instance_type: str, region: str, resources: Resources, own: Prices) -> float | None:
    """What one machine costs in an hour on the capacity that is asked for; None is unknown.

    Managed spot training bills the training price for fewer seconds; the saving is that of the same machine on EC2.
    """
    price = price_of("sagemaker", instance_type, region, known_prices(own))
    if price is None or not resources.spot:
        return price.usd_per_hour if price else None
    if price.spot_usd_per_hour is not None:
        return price.spot_usd_per_hour
    entry = advisor(instance_type)
    return price.usd_per_hour * (1 - entry.saving) if entry else None


def usd_per_hour_of(machines: Mapping[str, Any], region: str) -> float | None:
    """What all machines of a request cost in an hour on demand, as far as the packaged prices know."""
    price = price_of("sagemaker", str(machines.get("InstanceType", "")), region, packaged_prices())
    return price.usd_per_hour * int(machines["InstanceCount"]) if price else None
