"""Know before you spend: does it fit, how long, what it costs. Pure: no file, network or clock.

Every figure carries its source; what is not known is named in `unknown` and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any, Final, Literal

from ftsdk.sizing.advice import Advice, advice, next_cards
from ftsdk.sizing.catalogue import Card, Instance, card_of, instance_of
from ftsdk.sizing.from_spec import ONLINE, run_of_spec
from ftsdk.sizing.memory import Memory, memory
from ftsdk.sizing.price import Price, Prices, packaged_prices, price_of
from ftsdk.sizing.run import Run
from ftsdk.sizing.shapes import ModelShape, shape_of_config
from ftsdk.sizing.spot import AdvisorEntry, SpotPlan, advisor, quoted, spot_plan
from ftsdk.sizing.tables import shape_of_model
from ftsdk.sizing.throughput import Speed, speed
from ftsdk.spec import JobSpec

Fit = Literal["yes", "tight", "no", "unknown"]
SOURCES: Final = {
    "memory": "counted from the model's shape; median error 6 % on published runs (docs/sizing.md)",
    "speed": "operations over the card's sustained rate; median error 9 % on published runs (docs/sizing.md)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """How much there is to train on."""

    rows: int
    """Rows of the training data, before packing."""
    steps: int
    """Optimizer steps of the whole job."""
    total: int
    """Tokens over all steps."""
    source: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimate of one job; `to_json` gives every figure and its source."""

    parameters: int | None
    trained: int | None
    model_source: str
    memory: Memory | None
    fits: Fit
    card: str | None
    usable_gib: float | None
    advice: Advice | None
    next_cards: tuple[str, ...]
    tokens: Tokens | None
    speed: Speed | None
    hours: float | None
    """Training only; starting the machine and fetching the model come on top."""
    hours_low: float | None
    hours_high: float | None
    offers: tuple[Offer, ...]
    notes: tuple[str, ...]
    """Assumptions."""
    unknown: tuple[str, ...]
    """What could not be known, and what to give so that it is."""
    sources: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        data = asdict(self)
        if self.memory is not None:
            terms = [term._asdict() for term in self.memory.terms]
            data["memory"] = {"terms": terms, "peak": self.memory.peak, "total_gib": self.memory.total_gib}
        for name in ("advice", "speed"):
            value = getattr(self, name)
            data[name] = None if value is None else value._asdict()
        data["offers"] = [_offer_json(offer) for offer in self.offers]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}


def _offer_json(offer: Offer) -> dict[str, Any]:
    price = None if offer.price is None else offer.price._asdict()
    return {**asdict(offer), "price": price, "spot": None if offer.spot is None else offer.spot._asdict()}


def estimate(
    spec: JobSpec,
    *,
    config: Mapping[str, Any] | None = None,
    num_rows: int | None = None,
    mean_tokens: float | None = None,
    max_tokens: int | None = None,
    card: str | None = None,
    instances: Iterable[str] = (),
    region: str | None = None,
    prices: Prices | None = None,
    mtbf_hours: float | None = None,
) -> Estimate:
    """Estimate a job.

    `config` is the model's config.json; without it the bundled table or the size in the name is used. `num_rows`,
    `mean_tokens` and `max_tokens` are the data's statistics. `card` is the accelerator (the spec's if left out).
    `instances` are machine types to price. `mtbf_hours`: mean time between interruptions on spot, if known.
    Raises SpecError for a card that ftsdk does not know.
    """
    shape, source = _shape(spec, config)
    name = card or spec.resources.accelerator
    known_card = card_of(name) if name else None
    if shape is None:
        return _without_model(name, known_card, source)
    run, notes = run_of_spec(spec, shape, bf16=known_card is None or known_card.bf16, max_tokens=max_tokens)
    tokens = _tokens(spec, num_rows, mean_tokens)
    needed = memory(run, card_gib=known_card.usable_gib if known_card else None)
    verdict = fit(needed, known_card)
    pace = None if known_card is None else _pace(spec, run, known_card, mean_tokens, spec.resources.num_nodes)
    hours = _hours(tokens, pace, run.sharding.ways)
    ask = _Ask(spec, shape, num_rows, mean_tokens, max_tokens, region, prices or packaged_prices(), mtbf_hours)
    offers = tuple(_offer(ask, found) for found in map(instance_of, instances) if found is not None)
    helps = verdict in ("no", "tight")
    return Estimate(
        parameters=shape.parameters.total,
        trained=run.trained,
        model_source=source,
        memory=needed,
        fits=verdict,
        card=known_card.name if known_card else None,
        usable_gib=known_card.usable_gib if known_card else None,
        advice=advice(run, known_card.usable_gib) if helps and known_card else None,
        next_cards=next_cards(run) if helps else (),
        tokens=tokens,
        speed=pace,
        hours=hours[0],
        hours_low=hours[1],
        hours_high=hours[2],
        offers=offers,
        notes=notes,
        unknown=_unknown(spec, known_card, tokens, pace, offers),
        sources=SOURCES,
    )


def compare(
    spec: JobSpec,
    *,
    machines: Iterable[Instance],
    config: Mapping[str, Any] | None = None,
    num_rows: int | None = None,
    mean_tokens: float | None = None,
    region: str | None = None,
    prices: Prices | None = None,
    mtbf_hours: float | None = None,
) -> dict[str, Offer]:
    """The `cheapest`, the `fastest` and the `best value` (lowest cost times hours) offer among machine types.

    `machines` come from `catalogue.instances_of` or from a SkyPilot catalogue. Each is tried as one node with all its
    accelerators, and left out if the job does not fit. A word is missing where nothing qualifies; an offer without a
    price can only be the fastest. Takes about half a millisecond per machine type, so it is no part of planning.
    """
    shape, _ = _shape(spec, config)
    if shape is None:
        return {}
    ask = _Ask(spec, shape, num_rows, mean_tokens, None, region, prices or packaged_prices(), mtbf_hours)
    one_node = replace(ask, spec=_sized(spec, cards=None, nodes=1))
    offers = [_offer(one_node, found) for found in machines]
    fitting = [offer for offer in offers if offer.fits in ("yes", "tight")]
    priced = [offer for offer in fitting if offer.cost_usd is not None]
    timed = [offer for offer in fitting if offer.hours is not None]
    picks: dict[str, Offer] = {}
    if priced:
        picks["cheapest"] = min(priced, key=lambda offer: offer.cost_usd or 0)
        picks["best value"] = min(priced, key=lambda offer: (offer.cost_usd or 0) * (offer.hours or 0))
    if timed:
        picks["fastest"] = min(timed, key=lambda offer: offer.hours or 0)
    return picks


# --- parts -----------------------------------------------------------------------------------------
def _shape(spec: JobSpec, config: Mapping[str, Any] | None) -> tuple[ModelShape | None, str]:
    if config is not None:
        try:
            return shape_of_config(config), "the model's config.json"
        except KeyError as missing:
            reason = f"config.json lacks {missing.args[0]}; "
    else:
        reason = ""
    bundled = shape_of_model(spec.model)
    if bundled is None:
        return None, f"{reason}{spec.model} is not in the bundled table"
    return bundled, reason + ("its name" if bundled.notes else "the bundled table of models")


def _without_model(name: str | None, known_card: Card | None, source: str) -> Estimate:
    return Estimate(
        parameters=None, trained=None, model_source=source, memory=None, fits="unknown",
        card=known_card.name if known_card else name, usable_gib=known_card.usable_gib if known_card else None,
        advice=None, next_cards=(), tokens=None, speed=None, hours=None, hours_low=None, hours_high=None, offers=(),
        notes=(), unknown=(f"model: {source}, and its name tells no size; give its config.json",), sources=SOURCES,
    )  # fmt: skip


def _tokens(spec: JobSpec, num_rows: int | None, mean_tokens: float | None) -> Tokens | None:
    """Tokens and steps of the whole job; None when the data's statistics are not known."""
    hp, resources = spec.hyperparameters, spec.resources
    if mean_tokens is None or (num_rows is None and hp.max_steps is None):
        return None
    a_row = min(mean_tokens, hp.cutoff_len)
    rows = num_rows or 0
    packed = bool(hp.packing or hp.neat_packing)
    sequences = ceil(rows * a_row / hp.cutoff_len) if packed else rows
    a_sequence = hp.cutoff_len if packed else a_row
    devices = resources.num_nodes * resources.accelerators_per_node
    batch = hp.per_device_train_batch_size * hp.gradient_accumulation_steps * devices
    steps = hp.max_steps or max(1, ceil(ceil(sequences / batch) * hp.num_train_epochs))
    if hp.max_steps:
        total = hp.max_steps * batch * a_sequence
        source = "max_steps x batch x mean length"
    else:
        total = rows * a_row * hp.num_train_epochs
        source = "rows x mean length x epochs"
    return Tokens(rows=rows, steps=steps, total=round(total), source=source)


def _pace(spec: JobSpec, run: Run, card: Card, mean_tokens: float | None, nodes: int) -> Speed | None:
    """Speed at the length that a micro-step really has: full rows when packed, the mean otherwise."""
    hp = spec.hyperparameters
    packed = bool(hp.packing or hp.neat_packing)
    if spec.method.stage in ONLINE:
        return None
    if mean_tokens is not None and not packed:
        run = replace(run, seq_len=max(1, min(run.seq_len, round(mean_tokens))))
    return speed(run, card, nodes=nodes, fp8=bool(hp.passed_through.get("fp8")))


def _hours(tokens: Tokens | None, pace: Speed | None, ways: int) -> tuple[float | None, float | None, float | None]:
    if tokens is None or pace is None:
        return None, None, None
    middle, fast, slow = (tokens.total / (rate * ways) / 3600 for rate in (pace.tokens_per_s, pace.high, pace.low))
    return middle, fast, slow


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
    tokens = _tokens(spec, ask.num_rows, ask.mean_tokens)
    hours, low, high = _hours(tokens, _pace(spec, run, card, ask.mean_tokens, nodes), run.sharding.ways)
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


def _unknown(
    spec: JobSpec, card: Card | None, tokens: Tokens | None, pace: Speed | None, offers: tuple[Offer, ...]
) -> tuple[str, ...]:
    found = []
    if card is None:
        found.append("accelerator: give resources.accelerator, or a machine type, to know whether it fits")
    if tokens is None:
        found.append("tokens: the number of rows and their mean length are not known (inspect the data)")
    if card is not None and pace is None:
        why = "sampling is not modelled" if spec.method.stage in ONLINE else f"{card.name}'s peak is not published"
        found.append(f"speed: {why}")
    found += [f"price of {offer.instance}: in no table" for offer in offers if offer.price is None]
    return tuple(found)
