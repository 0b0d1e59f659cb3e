"""Time and cost of a job on each machine type, and the best of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import inf
from typing import Literal

from ftsdk.sizing.architecture.shapes import ModelShape
from ftsdk.sizing.catalogue import Card, Instance, card_of
from ftsdk.sizing.from_spec import step_of_spec
from ftsdk.sizing.memory.terms import Memory, memory_of
from ftsdk.sizing.price.prices import Price, Prices, packaged_prices, price_of
from ftsdk.sizing.spot import AdvisorEntry, SpotPlan, advisor, quoted, spot_plan
from ftsdk.sizing.time.duration import hours_of, pace_of, tokens_of
from ftsdk.spec import JobSpec

Fit = Literal["yes", "tight", "no", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One machine type for this job."""

    provider: str
    instance: str
    card: str
    cards: int
    fits: Fit
    needed_gib: float
    needed_low_gib: float | None
    needed_high_gib: float | None
    """Range of `needed_gib`, where the model's shape is guessed."""
    usable_gib: float
    hours: float | None
    hours_low: float | None
    hours_high: float | None
    usd_per_hour: float | None
    """Of all machines together; None is unknown."""
    cost_usd: float | None
    price: Price | None
    spot: SpotPlan | None
    spot_cost_usd: float | None

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        return asdict(self)


def fit(needed: Memory, card: Card | None, spread: float = 1.0) -> Fit:
    """`yes`, `no`, or `tight`: it fits only if the allocator wastes less than estimated.

    `spread` is that of a guessed shape: `yes` and `no` then hold at both ends of its range.
    """
    if card is None:
        return "unknown"
    if needed.total_gib * spread <= card.usable_gib:
        return "yes"
    smallest = (needed.total_gib - needed.gib("allocator")) / spread
    return "tight" if smallest <= card.usable_gib else "no"


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Inputs that all offers share."""

    spec: JobSpec
    shape: ModelShape
    num_rows: int | None
    mean_tokens: float | None
    max_tokens: int | None
    region: str | None
    prices: Prices
    mtbf_hours: float | None


def _offer(inputs: _Inputs, machine: Instance) -> Offer:
    """The job on this machine type, all its accelerators used."""
    card = card_of(machine.card)
    spec, spread = inputs.spec, inputs.shape.spread
    if machine.cards != spec.resources.accelerators_per_node:
        resources = spec.resources.model_copy(update={"accelerators_per_node": machine.cards})
        spec = spec.model_copy(update={"resources": resources})
    nodes = spec.resources.num_nodes
    step, _ = step_of_spec(spec, inputs.shape, bf16=card.bf16, max_tokens=inputs.max_tokens)
    needed = memory_of(step, card_gib=card.usable_gib)
    tokens = tokens_of(spec, inputs.num_rows, inputs.mean_tokens)
    pace = pace_of(spec, step, card, inputs.mean_tokens, nodes)
    hours, low, high = hours_of(tokens, pace, step.sharding.ways)
    price = price_of(machine.provider, machine.name, inputs.region, inputs.prices)
    hourly = None if price is None else price.usd_per_hour * nodes
    cost = None if hourly is None or hours is None else hourly * hours
    spot = None if hours is None else _spot(inputs, machine, hours, price)
    return Offer(
        provider=machine.provider,
        instance=machine.name,
        card=card.name,
        cards=machine.cards,
        fits=fit(needed, card, spread),
        needed_gib=needed.total_gib,
        needed_low_gib=None if spread == 1 else needed.total_gib / spread,
        needed_high_gib=None if spread == 1 else needed.total_gib * spread,
        usable_gib=card.usable_gib,
        hours=hours,
        hours_low=low,
        hours_high=high,
        usd_per_hour=hourly,
        cost_usd=cost,
        price=price,
        spot=spot,
        spot_cost_usd=None if spot is None or cost is None else cost * spot.cost_share,
    )


def _spot(inputs: _Inputs, machine: Instance, hours: float, price: Price | None) -> SpotPlan | None:
    if price is not None and price.spot_usd_per_hour is not None:
        entry: AdvisorEntry | None = quoted(price.usd_per_hour, price.spot_usd_per_hour, price.source)
    else:
        entry = advisor(machine.name)
    every = inputs.spec.checkpoint.every_minutes
    nodes = inputs.spec.resources.num_nodes
    return spot_plan(hours, advice=entry, every_minutes=every, mtbf_hours=inputs.mtbf_hours, machines=nodes)


def offers(
    spec: JobSpec,
    shape: ModelShape,
    machines: Iterable[Instance],
    *,
    num_rows: int | None = None,
    mean_tokens: float | None = None,
    max_tokens: int | None = None,
    region: str | None = None,
    prices: Prices | None = None,
    mtbf_hours: float | None = None,
) -> tuple[Offer, ...]:
    """The job on each machine type, the spec's number of nodes of it, with all accelerators of a node.

    Takes about half a millisecond per machine type.
    """
    inputs = _Inputs(spec, shape, num_rows, mean_tokens, max_tokens, region, prices or packaged_prices(), mtbf_hours)
    return tuple(_offer(inputs, machine) for machine in machines)


def _is_choice(offer: Offer) -> bool:
    """Whether it fits or nearly so; a guess must fit in the middle of its range."""
    if offer.fits == "tight" and offer.needed_high_gib is not None:
        return offer.needed_gib <= offer.usable_gib
    return offer.fits in ("yes", "tight")


def best(priced_offers: Iterable[Offer]) -> dict[str, Offer]:
    """The `cheapest`, the `fastest` and the `best value` (lowest cost times hours) of the offers that fit.

    A key is missing where no offer qualifies; an offer without a price can only be the fastest.
    """
    fitting = [offer for offer in priced_offers if _is_choice(offer)]
    priced = [offer for offer in fitting if offer.cost_usd is not None]
    timed = [offer for offer in fitting if offer.hours is not None]
    picks: dict[str, Offer] = {}
    if priced:
        picks["cheapest"] = min(priced, key=lambda offer: offer.cost_usd or 0)
        picks["best value"] = min(priced, key=lambda offer: (offer.cost_usd or 0) * (offer.hours or 0))
    if timed:
        picks["fastest"] = min(timed, key=lambda offer: (offer.hours or 0, offer.cost_usd or inf))
    return picks
