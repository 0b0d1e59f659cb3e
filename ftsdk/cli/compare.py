"""`ftsdk plan --compare`: one table over all backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftsdk.cli.output import duration, emit, say, table

if TYPE_CHECKING:
    from ftsdk.backends.base import Backend
    from ftsdk.backends.offers import Choice
    from ftsdk.facts import Facts
    from ftsdk.sizing import Offer
    from ftsdk.spec import JobSpec

HEADER = ("BACKEND", "PICK", "MACHINE", "FITS", "TIME", "USD/H", "COST", "ON SPOT")


def show(spec: JobSpec, facts: Facts, as_json: bool, *, chosen: Backend) -> None:
    """Print the time and cost of the spec on every backend that is configured here.

    `chosen` is the one that the command names, with its options.
    """
    from ftsdk import backends
    from ftsdk.backends import offers
    from ftsdk.errors import FtsdkError

    configured = {}
    for name in backends.names():
        try:
            configured[name] = chosen if name == chosen.name else backends.get(name)
        except FtsdkError as problem:
            say(f"{name}: left out. {problem}")
    choices = offers.compare(spec, facts, configured)
    emit([choice.to_json() for choice in choices], as_json, lambda: _text(choices))
    for choice in choices:
        if choice.why_not:
            say(f"{choice.backend}: {choice.why_not.rstrip('.')}.")


def _text(choices: list[Choice]) -> str:
    guess = next((choice.guess for choice in choices if choice.guess), "")
    lines = [table(HEADER, map(_row, choices)), *dict.fromkeys(filter(None, map(_price_line, choices)))]
    return "\n".join([*lines, *([f"The model is {guess}."] if guess else [])])


def _price_line(choice: Choice) -> str:
    """Where a backend's prices are from, or that one is not known."""
    offer = choice.offer
    if offer is None or offer.provider == "own":
        return ""
    if offer.price is None:
        return f"{choice.backend}: no price of {offer.instance} is known there (`ftsdk prices refresh`, or prices.csv)."
    return f"{choice.backend}: prices of {offer.price.region}, {offer.price.date}, {offer.price.source}."


def _row(choice: Choice) -> tuple[str, ...]:
    offer = choice.offer
    if offer is None:
        return (choice.backend, "-", "-", "-", "-", "-", "-", "-")
    spot = offer.spot
    on_spot = (
        "-" if spot is None or offer.spot_cost_usd is None else f"{_usd(offer.spot_cost_usd)} in {_hours(spot.hours)}"
    )
    return (
        choice.backend,
        choice.word,
        f"{offer.instance} ({offer.cards} x {offer.card})",
        f"{offer.fits} ({_needed(offer)} of {offer.usable_gib:.0f} GiB)",
        f"{_hours(offer.hours)} ({_hours(offer.hours_low)} to {_hours(offer.hours_high)})"
        if offer.hours
        else "unknown",
        _usd(offer.usd_per_hour),
        _usd(offer.cost_usd),
        on_spot,
    )


def _needed(offer: Offer) -> str:
    if offer.needed_low_gib is None or offer.needed_high_gib is None:
        return f"{offer.needed_gib:.0f}"
    return f"{offer.needed_low_gib:.0f} to {offer.needed_high_gib:.0f}"


def _hours(hours: float | None) -> str:
    return "unknown" if hours is None else duration(3600 * hours)


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:,.2f}"
