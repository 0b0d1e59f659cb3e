"""Compare what a spec takes on the machine types of every backend. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ftsdk.backends.base import Backend, SupportsOffers
from ftsdk.errors import FtsdkError
from ftsdk.facts import Facts
from ftsdk.plan.build import data_statistics
from ftsdk.sizing import Offer, best, offers
from ftsdk.sizing.estimate import shape_of
from ftsdk.spec import JobSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One line of the comparison: an offer of a backend and why it is shown, or why there is none."""

    backend: str
    word: str
    """`cheapest`, `fastest`, `best value` (any of them joined by a comma), or `only`; empty without an offer."""
    offer: Offer | None = None
    why_not: str = ""
    """Why this backend has no offer."""
    guess: str = ""
    """What the model's shape is guessed from; empty where it is known."""

    def to_json(self) -> dict[str, object]:
        """JSON data: every figure, its source, and None for what is unknown."""
        offer = self.offer.to_json() if self.offer else None
        about = {"why_not": self.why_not, "guess": self.guess}
        return {"backend": self.backend, "pick": self.word, "offer": offer, **about}


def compare(spec: JobSpec, facts: Facts, backends: Mapping[str, Backend]) -> list[Choice]:
    """The cheapest, the fastest and the best value of every backend's machines, in the backends' order.

    Each machine type is taken with all its accelerators, as many nodes as the spec says. A backend that cannot run the
    spec, or that knows no machine on which it fits, says why.
    """
    shape, _ = shape_of(spec, facts.model.config)
    guess = shape.notes[0] if shape is not None and shape.spread > 1 else ""
    choices = (choice for name, backend in backends.items() for choice in _choices(spec, facts, name, backend))
    return [replace(choice, guess=guess) for choice in choices]


def _choices(spec: JobSpec, facts: Facts, name: str, backend: Backend) -> Iterator[Choice]:
    available, why_not = _offers(spec, facts, backend)
    words: dict[str, list[str]] = {}
    for word, offer in best(available).items():
        words.setdefault(offer.instance, []).append(word)
    for offer in available:
        if offer.instance in words:
            yield Choice(backend=name, word=", ".join(words[offer.instance]), offer=offer)
    if not words:
        only = available[0] if len(available) == 1 else None
        yield Choice(backend=name, word="only" if only else "", offer=only, why_not=why_not or _reason(available))


def _offers(spec: JobSpec, facts: Facts, backend: Backend) -> tuple[tuple[Offer, ...], str]:
    shape, source = shape_of(spec, facts.model.config)
    if shape is None:
        return (), f"the model's size is unknown: {source}"
    if not isinstance(backend, SupportsOffers):
        return (), "it does not say what machines it has"
    try:
        market = backend.market(spec, facts)
    except FtsdkError as refusal:
        return (), str(refusal)
    data = data_statistics(facts)
    available = offers(
        spec, shape, market.machines, num_rows=data.rows, mean_tokens=data.mean_tokens, max_tokens=data.max_tokens,
        region=market.region, prices=market.prices,
    )  # fmt: skip
    return available, "" if available else market.why_none


def _reason(available: tuple[Offer, ...]) -> str:
    if any(offer.fits in ("yes", "tight") for offer in available):
        return "the training time is unknown (the data's lengths are not known)"
    return f"it fits on none of its {len(available)} machine types"
