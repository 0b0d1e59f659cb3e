"""Whether a job fits, how long it takes and what it costs. Pure: no file, network or clock.

Every figure has a source; a figure that is not known is named in `unknown` and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from ftsdk.contract.json_data import from_data
from ftsdk.sizing.advice import Advice, advise, next_cards
from ftsdk.sizing.architecture.config_json import ModelConfig
from ftsdk.sizing.architecture.configs import quantization_of, shape_of_config
from ftsdk.sizing.architecture.names import size_words
from ftsdk.sizing.architecture.shapes import ModelShape
from ftsdk.sizing.catalogue import Card, card_of, instance_of
from ftsdk.sizing.from_spec import step_of_spec
from ftsdk.sizing.memory.terms import Memory, memory_of
from ftsdk.sizing.price.offers import Fit, Offer, fit, offers
from ftsdk.sizing.price.prices import Prices
from ftsdk.sizing.tables import shape_of_model
from ftsdk.sizing.time.duration import Tokens, hours_of, pace_of, tokens_of
from ftsdk.sizing.time.throughput import Speed
from ftsdk.sizing.training_step import TrainingStep
from ftsdk.spec import JobSpec
from ftsdk.spec.method import ONLINE

SOURCES: Final = {
    "memory": "counted from the model's shape; median error 6 % on published runs (docs/sizing.md)",
    "speed": "operations over the card's sustained rate; median error 9 % on published runs (docs/sizing.md)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Memory, time and price of one job. None means unknown; `unknown` names each missing figure."""

    parameters: int | None = None
    """Parameters of the model."""
    trained: int | None = None
    """Parameters that are trained, adapters included."""
    model_source: str = ""
    """Where the model's shape is taken from."""
    guess: str = ""
    """What the model's shape is guessed from; empty where the shape is known."""
    memory: Memory | None = None
    """Peak of one accelerator."""
    memory_low_gib: float | None = None
    memory_high_gib: float | None = None
    """Range of `memory`, where the model's shape is guessed."""
    fits: Fit = "unknown"
    card: str | None = None
    """Accelerator that the figures are for."""
    usable_gib: float | None = None
    """Memory of that accelerator that a process can use."""
    advice: Advice | None = None
    """The smallest change that makes the job fit, where it does not."""
    next_cards: tuple[str, ...] = ()
    """Up to three accelerators on which the job fits unchanged, where it does not fit on `card`."""
    tokens: Tokens | None = None
    speed: Speed | None = None
    hours: float | None = None
    """Training only; starting the machine and fetching the model come on top."""
    hours_low: float | None = None
    hours_high: float | None = None
    offers: tuple[Offer, ...] = ()
    """The job on each machine type that was passed to `estimate_job`."""
    notes: tuple[str, ...] = ()
    """Assumptions."""
    unknown: tuple[str, ...] = ()
    """One sentence per figure that is not known, with the input that would make it known."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Figure -> how it is computed, and its error on published runs."""

    def to_json(self) -> dict[str, object]:
        """JSON data; `from_json` is its inverse."""
        data = asdict(self)
        if self.memory is not None:
            data["memory"]["total_gib"] = self.memory.total_gib
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Estimate:
        """Read what `to_json` wrote; an absent key is unknown."""
        return from_data(cls, data)


def estimate_job(
    spec: JobSpec,
    *,
    config: ModelConfig | None = None,
    num_rows: int | None = None,
    mean_tokens: float | None = None,
    max_tokens: int | None = None,
    card: str | None = None,
    instances: Iterable[str] = (),
    region: str | None = None,
    prices: Prices | None = None,
    mtbf_hours: float | None = None,
    network_gb_s: float | None = None,
) -> Estimate:
    """Estimate a job.

    `config` is the model's config.json; without it the bundled table or the size in the name is used. `num_rows`,
    `mean_tokens` and `max_tokens` are the data's statistics. `card` is the accelerator (the spec's if left out).
    `instances` are machine types to price. `mtbf_hours`: mean time between interruptions on spot, if known.
    `network_gb_s`: traffic between machines per accelerator, where the backend knows it.
    Raises SpecError for a card that ftsdk does not know.
    """
    shape, source = shape_of(spec, config)
    name = card or spec.resources.accelerator
    known_card = card_of(name) if name else None
    if shape is None:
        return _without_model(name, known_card, source)
    step, notes = step_of_spec(
        spec, shape, bf16=known_card is None or known_card.bf16, max_tokens=max_tokens, base_bits=base_bits(config)
    )
    machines = [machine for machine in map(instance_of, instances) if machine is not None]
    priced = offers(
        spec, shape, machines, num_rows=num_rows, mean_tokens=mean_tokens, max_tokens=max_tokens, region=region,
        prices=prices, mtbf_hours=mtbf_hours,
    )  # fmt: skip
    tokens = tokens_of(spec, num_rows, mean_tokens)
    on_card = _on_card(spec, step, known_card, tokens, mean_tokens, network_gb_s)
    return replace(
        with_guess(on_card, shape),
        parameters=shape.parameters.total,
        model_source=source,
        offers=priced,
        notes=notes,
        unknown=(
            *on_card.unknown,
            *(f"price of {offer.instance}: in no table" for offer in priced if offer.price is None),
        ),
    )


def with_guess(estimate: Estimate, shape: ModelShape) -> Estimate:
    """The estimate with the range of its memory, and with what is guessed; unchanged where the shape is known."""
    if shape.spread == 1 or estimate.memory is None:
        return estimate
    total = estimate.memory.total_gib
    low, high = total / shape.spread, total * shape.spread
    return replace(estimate, guess=shape.notes[0], memory_low_gib=low, memory_high_gib=high)


def base_bits(config: ModelConfig | None) -> int:
    """Bits of a base weight while it is trained on: 16 where the trainer dequantises, or where nothing is known."""
    method, bits = quantization_of(config) if config else (None, 16)
    return 16 if method in ("fp8", "mxfp4") else bits


# --- parts -----------------------------------------------------------------------------------------
def shape_of(spec: JobSpec, config: ModelConfig | None) -> tuple[ModelShape | None, str]:
    """The model's shape and its source; None if it is not known."""
    if config is not None:
        try:
            return shape_of_config(config), "the model's config.json"
        except KeyError as missing:
            reason = f"config.json lacks {missing.args[0]}; "
    else:
        reason = ""
    bundled = shape_of_model(spec.model)
    if bundled is None:
        return None, f"{reason}{spec.model} is not in the bundled table, and its name tells {_sizes_in(spec.model)}"
    return bundled, reason + ("its name" if bundled.notes else "the bundled table of models")


def _sizes_in(model: str) -> str:
    """What the name of a model without a known size says."""
    active = size_words(model).active
    return f"the {active / 1e9:g} billion parameters that a token passes through, not all" if active else "no size"


def _without_model(name: str | None, known_card: Card | None, source: str) -> Estimate:
    return Estimate(
        model_source=source,
        card=known_card.name if known_card else name,
        usable_gib=known_card.usable_gib if known_card else None,
        unknown=(f"model: {source}; give its config.json",),
        sources=SOURCES,
    )


def _on_card(
    spec: JobSpec,
    step: TrainingStep,
    card: Card | None,
    tokens: Tokens | None,
    mean_tokens: float | None,
    network_gb_s: float | None,
) -> Estimate:
    """Memory, speed and time on an accelerator; None if the spec names none."""
    needed = memory_of(step, card_gib=card.usable_gib if card else None)
    fits = fit(needed, card, step.shape.spread)
    needs_help = fits in ("no", "tight")
    speed = None if card is None else pace_of(spec, step, card, mean_tokens, spec.resources.num_nodes, network_gb_s)
    hours, hours_low, hours_high = hours_of(tokens, speed, step.sharding.ways)
    return Estimate(
        trained=step.trained,
        memory=needed,
        fits=fits,
        card=card.name if card else None,
        usable_gib=card.usable_gib if card else None,
        advice=advise(step, card.usable_gib) if needs_help and card else None,
        next_cards=next_cards(step) if needs_help else (),
        tokens=tokens,
        speed=speed,
        hours=hours,
        hours_low=hours_low,
        hours_high=hours_high,
        unknown=tuple(_unknown(spec, card, tokens, speed)),
        sources=SOURCES,
    )


def _unknown(spec: JobSpec, card: Card | None, tokens: Tokens | None, speed: Speed | None) -> Iterator[str]:
    if card is None:
        yield "accelerator: give resources.accelerator, or a machine type, to know whether it fits"
    if tokens is None:
        yield "tokens: the number of rows and their mean length are not known (inspect the data)"
    if card is not None and speed is None:
        why = "sampling is not modelled" if spec.method.stage in ONLINE else f"{card.name}'s peak is not published"
        yield f"speed: {why}"
