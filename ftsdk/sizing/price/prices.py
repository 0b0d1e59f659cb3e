"""Prices of machine types. Only published prices are used; a price that is in no table is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from ftsdk.sizing.tables import number, rows


@dataclass(frozen=True, slots=True)
class Price:
    """On-demand price of one machine."""

    usd_per_hour: float
    region: str
    date: str
    source: str
    spot_usd_per_hour: float | None = None
    """Price on interruptible capacity, where the table knows it."""


Prices = Mapping[tuple[str, str], tuple[Price, ...]]
"""(provider, machine type) -> prices by region."""


def prices_of(table: Iterable[Mapping[str, str]]) -> Prices:
    """Prices from rows with provider, instance, region, usd_per_hour, date and source (a user's price file, too)."""
    prices: dict[tuple[str, str], tuple[Price, ...]] = {}
    for row in table:
        usd_per_hour = number(row["usd_per_hour"])
        if usd_per_hour is not None:
            key = row["provider"], row["instance"]
            spot = number(row.get("spot_usd_per_hour"))
            prices[key] = (*prices.get(key, ()), Price(usd_per_hour, row["region"], row["date"], row["source"], spot))
    return prices


@cache
def packaged_prices() -> Prices:
    """The prices that ftsdk ships."""
    return prices_of(rows("prices.csv"))


def known_prices(own: Prices) -> Prices:
    """The packaged prices with a user's own before them."""
    packaged = packaged_prices()
    return {**packaged, **{key: (*prices, *packaged.get(key, ())) for key, prices in own.items()}}


def price_of(provider: str, instance: str, region: str | None, prices: Prices) -> Price | None:
    """Price in that region; without a region, the first region that the table knows. None is unknown."""
    known = prices.get((provider, instance), ())
    return next((price for price in known if region is None or price.region == region), None)


def over_budget(
    *, hours: float | None, cost_usd: float | None, max_hours: float | None, max_cost_usd: float | None
) -> tuple[str, ...]:
    """One sentence for each limit that is passed, or that cannot be checked because the figure is unknown."""
    checks = (("hours", hours, max_hours, "h"), ("cost_usd", cost_usd, max_cost_usd, "USD"))
    sentences = []
    for name, value, limit, unit in checks:
        if limit is None:
            continue
        if value is None:
            sentences.append(f"max_{name} is {limit:g} {unit}, but the estimate does not know the {name}.")
        elif value > limit:
            sentences.append(f"The estimate is {value:.3g} {unit}, over max_{name} of {limit:g} {unit}.")
    return tuple(sentences)
