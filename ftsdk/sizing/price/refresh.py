"""Fresh prices: the only module here that goes to the network. Nothing calls it but `ftsdk prices refresh`.

AWS publishes its price list without credentials; SkyPilot keeps a catalogue on the user's machine; for Alibaba Cloud
there is no public list, so its prices come from the user's own file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from ftsdk.contract.foreign import JsonObject
from ftsdk.errors import UnavailableError
from ftsdk.sizing.catalogue import Instance
from ftsdk.sizing.price.price_file import COLUMNS, read_csv
from ftsdk.sizing.price.prices import Prices, prices_of
from ftsdk.sizing.skypilot_names import card_in_skypilot

AWS_PRICE_LIST: Final = "https://pricing.us-east-1.amazonaws.com"


def sagemaker_prices(region: str, *, base_url: str = AWS_PRICE_LIST, timeout_s: float = 120.0) -> list[dict[str, str]]:
    """On-demand training prices of a region, from AWS's public price list (tens of megabytes).

    Raises UnavailableError when the list cannot be read.
    """
    url = f"{base_url}/offers/v1.0/aws/AmazonSageMaker/current/{region}/index.json"
    try:
        with urlopen(url, timeout=timeout_s) as response:
            offer = json.load(response)
    except (URLError, TimeoutError, ValueError) as error:
        raise UnavailableError(f"The AWS price list of {region} cannot be read ({error}): try again later.") from error
    return list(_training_rows(offer, region))


def _training_rows(offer: JsonObject, region: str) -> Iterator[dict[str, str]]:
    date = str(offer.get("publicationDate", ""))[:10]
    for sku, product in offer["products"].items():
        _, separator, instance = product["attributes"].get("usagetype", "").partition("Train:")
        if not separator or not instance.startswith("ml."):
            continue
        for term in offer["terms"]["OnDemand"].get(sku, {}).values():
            for dimension in term["priceDimensions"].values():
                usd = dimension["pricePerUnit"].get("USD", "")
                if usd and float(usd) > 0:
                    source = "AWS Price List API (AmazonSageMaker, Training)"
                    yield dict(zip(COLUMNS, ("sagemaker", instance, region, usd, date, source, ""), strict=True))


def skypilot_catalogue(folder: Path) -> tuple[tuple[Instance, ...], Prices]:
    """Machines and prices from SkyPilot's own catalogue (`~/.sky/catalogs/v8`), for the clouds that are there.

    Cards that ftsdk does not know are left out. Prices are dated by the file's name only, so `date` is `cached`.
    """
    machines: dict[str, Instance] = {}
    table = []
    for path in sorted(folder.glob("*/vms.csv")):
        for row in read_csv(path):
            card = card_in_skypilot(row["AcceleratorName"])
            if card is None or not row["AcceleratorCount"]:
                continue
            name = row["InstanceType"]
            machines[name] = Instance(
                provider=path.parent.name,
                name=name,
                card=card.name,
                cards=int(float(row["AcceleratorCount"])),
                vcpus=int(float(row["vCPUs"] or 0)),
                memory_gib=float(row["MemoryGiB"] or 0),
            )
            cells = (path.parent.name, name, row["Region"], row["Price"], "cached", "SkyPilot's catalogue")
            table.append(dict(zip(COLUMNS, (*cells, row.get("SpotPrice", "")), strict=True)))
    return tuple(machines.values()), prices_of(table)
