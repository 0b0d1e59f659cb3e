"""Which training instances fit `resources`. Pure; the table is `sizing/data/instances.csv`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ftsdk.backends import shared
from ftsdk.backends.image import Torch
from ftsdk.backends.sagemaker import disks
from ftsdk.backends.sagemaker.shapes import TrainingResources
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.sizing.catalogue import Instance, card_of, instance_of, instances_of
from ftsdk.sizing.price.prices import Prices, known_prices, packaged_prices, price_of
from ftsdk.sizing.spot import advisor
from ftsdk.spec.parts import Resources

if TYPE_CHECKING:
    from ftsdk.backends.sagemaker.options import SageMakerOptions

EFA_FAMILIES: Final = ("p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300")
"""Families with an Elastic Fabric Adapter (SageMaker developer guide, "Run training with EFA")."""
EFA_ENVIRONMENT: Final = {"FI_PROVIDER": "efa", "FI_EFA_USE_DEVICE_RDMA": "1", "RDMAV_FORK_SAFE": "1"}
"""What SageMaker's own training toolkit sets; FI_EFA_FORK_SAFE would do the same from libfabric 1.13 on."""
TCP_GB_S: Final = 10.0
"""Between two machines without EFA: one network card of 100 Gbit/s (EC2 user guide), of which TCP uses four fifths."""


def instance_for(resources: Resources) -> str:
    """The smallest training instance with these accelerators and at least as much main memory as they have.

    Weights pass through main memory when they are loaded. Raises SpecError if there is none.
    """
    if resources.accelerator is None:
        raise SpecError(
            "The sagemaker backend needs a kind of machine: give resources.accelerator, e.g. A10G, "
            "or the option instance_type, e.g. -o instance_type=ml.m5.xlarge for a CPU."
        )
    return shared.smallest_instance(resources, provider="sagemaker", none=lambda instances: _none(resources, instances))


def has_efa(instance_type: str) -> bool:
    """Whether machines of this type have an Elastic Fabric Adapter (an image needs libfabric to use it)."""
    return instance_type.split(".")[1] in EFA_FAMILIES


def network_gb_s(types: tuple[str, ...], resources: Resources, *, efa: bool) -> float | None:
    """Traffic between machines per accelerator in gigabytes a second; None leaves it to the sizing tables."""
    if resources.num_nodes < 2 or (efa and all(has_efa(name) for name in types)):
        return None
    return TCP_GB_S / resources.accelerators_per_node


def torch_of(types: tuple[str, ...], options: SageMakerOptions) -> Torch:
    """Build of torch in the image of ftsdk that these machines run."""
    return options.torch if instance_of(types[0]) else "cpu"


def refuse_volta(types: tuple[str, ...], options: SageMakerOptions) -> None:
    """Raise UnsupportedError for a V100 in ftsdk's image for CUDA 13, which has no code for it."""
    if options.image is not None or options.torch != "cuda":
        return
    for name in types:
        instance = instance_of(name)
        if instance and card_of(instance.card).generation == "volta":
            raise UnsupportedError(
                f"{name} has {instance.card}s, which CUDA 13 no longer supports: use -o torch=cuda12 (and push that "
                f"image: `ftsdk image push -b sagemaker --torch cuda12`), or another machine."
            )


def warnings(types: tuple[str, ...], resources: Resources, options: SageMakerOptions) -> tuple[str, ...]:
    """What a user should know of these machines before paying for them."""
    notes = [warning for name in types for warning in shared.unused_accelerators(instance_of(name), resources)]
    own_disks = [name for name in types if disks.has_local_disk(name)]
    if options.kms_key and own_disks:
        notes.append(f"kms_key: the disk of {own_disks[0]} is encrypted by its hardware, so only results use the key.")
    if resources.num_nodes > 1 and not options.efa and any(map(has_efa, types)):
        notes.append(
            f"The nodes talk TCP, about {TCP_GB_S:g} GB/s a machine, as the estimate assumes: ftsdk's image has no "
            f"EFA; give an image with libfabric and aws-ofi-nccl, and -o efa=true."
        )
    return tuple(notes)


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


def usd_per_hour_of(machines: TrainingResources, region: str) -> float | None:
    """What all machines of a request cost in an hour on demand, as far as the packaged prices know."""
    price = price_of("sagemaker", str(machines.get("InstanceType", "")), region, packaged_prices())
    return price.usd_per_hour * int(machines["InstanceCount"]) if price else None
