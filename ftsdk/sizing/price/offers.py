"""What a job takes on machine types, one by one, and the best of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Literal

from ftsdk.sizing.architecture.shapes import ModelShape
from ftsdk.sizing.catalogue import Card, Instance, card_of
from ftsdk.sizing.from_spec import run_of_spec
from ftsdk.sizing.memory.terms import Memory, memory
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

    def to_json(self) -> dict[str, Any]:
        """JSON data; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Offer:
        """Read what `to_json` wrote."""
        price, spot = data["price"], data["spot"]
        return cls(
            **{
                **data,
                "price": None if price is None else Price(**price),
                "spot": None if spot is None else SpotPlan(**{**spot, "assumptions": tuple(spot["assumptions"])}),
            }
        )


def fit(needed: Memory, card: Card | None) -> Fit:
    """yes; no; or tight, when all fits but what the allocator may hold in vain."""
    if card is None:
        return "unknown"
    if needed.total_gib <= card.usable_gib:
        return "yes"
    return "tight" if needed.total_gib - needed.gib("allocator") <= card.usable_gib else "no"


@dataclass(frozen=True, slots=True)
class _Ask:
    """What every offer is worked out for."""

    spec: JobSpec
    shape: ModelShape
    num_rows: int | None
    mean_tokens: float | None
    max_tokens: int | None
    region: str | None
    prices: Prices
    mtbf_hours: float | None


def _sized(spec: JobSpec, *, cards: int | None, nodes: int | None) -> JobSpec:
    """The spec on machines of so many cards."""
    wanted = {"accelerators_per_node": cards, "num_nodes": nodes}
    update = {name: value for name, value in wanted.items() if value is not None}
    return spec.model_copy(update={"resources": spec.resources.model_copy(update=update)})


def _offer(ask: _Ask, found: Instance) -> Offer:
    """The job on this machine type, all its accelerators used."""
    card = card_of(found.card)
    spec = ask.spec
    if found.cards != spec.resources.accelerators_per_node:
        spec = _sized(spec, cards=found.cards, nodes=None)
    nodes = spec.resources.num_nodes
    run, _ = run_of_spec(spec, ask.shape, bf16=card.bf16, max_tokens=ask.max_tokens)
    needed = memory(run, card_gib=card.usable_gib)
    tokens = tokens_of(spec, ask.num_rows, ask.mean_tokens)
    hours, low, high = hours_of(tokens, pace_of(spec, run, card, ask.mean_tokens, nodes), run.sharding.ways)
    price = price_of(found.provider, found.name, ask.region, ask.prices)
    hourly = None if price is None else price.usd_per_hour * nodes
    cost = None if hourly is None or hours is None else hourly * hours
    spot = None if hours is None else _spot(ask, found, hours, price)
    return Offer(
        provider=found.provider,
        instance=found.name,
        card=card.name,
        cards=found.cards,
        fits=fit(needed, card),
        needed_gib=needed.total_gib,
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


def _spot(ask: _Ask, found: Instance, hours: float, price: Price | None) -> SpotPlan | None:
    if price is not None and price.spot_usd_per_hour is not None:
        entry: AdvisorEntry | None = quoted(price.usd_per_hour, price.spot_usd_per_hour, price.source)
    else:
        entry = advisor(found.name)
    every = ask.spec.checkpoint.every_minutes
    return spot_plan(hours, advice=entry, every_minutes=every, mtbf_hours=ask.mtbf_hours)


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
    ask = _Ask(spec, shape, num_rows, mean_tokens, max_tokens, region, prices or packaged_prices(), mtbf_hours)
    return tuple(_offer(ask, machine) for machine in machines)


def best(found: Iterable[Offer]) -> dict[str, Offer]:
    """The `cheapest`, the `fastest` and the `best value` (lowest cost times hours) of the offers that fit.

    A word is missing where nothing qualifies; an offer without a price can only be the fastest.
    """
    fitting = [offer for offer in found if offer.fits in ("yes", "tight")]
    priced = [offer for offer in fitting if offer.cost_usd is not None]
    timed = [offer for offer in fitting if offer.hours is not None]
    picks: dict[str, Offer] = {}
    if priced:
        picks["cheapest"] = min(priced, key=lambda offer: offer.cost_usd or 0)
        picks["best value"] = min(priced, key=lambda offer: (offer.cost_usd or 0) * (offer.hours or 0))
    if timed:
        picks["fastest"] = min(timed, key=lambda offer: (offer.hours or 0, offer.cost_usd or inf))
    return picks
