"""A user's own prices: a CSV file beside ftsdk's caches, which counts before the packaged prices."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from ftsdk.errors import DataError
from ftsdk.sizing.price.prices import Prices, prices_of

FILE_NAME: Final = "prices.csv"
"""In ftsdk's home folder."""
COLUMNS: Final = ("provider", "instance", "region", "usd_per_hour", "date", "source", "spot_usd_per_hour")
_REQUIRED: Final = COLUMNS[:6]


def own_prices(home: Path) -> Prices:
    """Prices in the home folder; empty without a file. Raises DataError for a file that is wrong."""
    path = home / FILE_NAME
    return price_file(path) if path.is_file() else {}


def price_file(path: Path) -> Prices:
    """A user's own prices: a CSV file with provider, instance, region, usd_per_hour, date and source.

    Raises DataError for a file that lacks a column or holds a price that is no number.
    """
    table = list(read_csv(path))
    missing = [name for name in _REQUIRED if table and name not in table[0]]
    if missing:
        raise DataError(
            f"{path}: the columns {', '.join(missing)} are missing; a price file has {', '.join(_REQUIRED)}."
        )
    for number, row in enumerate(table, start=2):
        try:
            float(row["usd_per_hour"] or 0)
        except ValueError:
            raise DataError(f"{path}, row {number}: usd_per_hour {row['usd_per_hour']!r} is not a number.") from None
    return prices_of(table)


def save(table: Iterable[Mapping[str, str]], path: Path) -> None:
    """Write price rows where `price_file` reads them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def read_csv(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a CSV file whose comment lines begin with `#`."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))
