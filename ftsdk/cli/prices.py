"""`ftsdk prices list|refresh`: prices of machine types, with source and date."""

from __future__ import annotations

from dataclasses import asdict

import click

from ftsdk.cli.output import emit, json_option, say, table

HEADER = ("PROVIDER", "MACHINE", "CARDS", "REGION", "USD/H", "DATE", "SOURCE")


@click.group()
def prices() -> None:
    """Show and refresh the prices that estimates use.

    Published prices come with ftsdk; prices in prices.csv in ftsdk's home folder take precedence. Its columns are
    provider, instance, region, usd_per_hour, date, source and, optionally, spot_usd_per_hour.
    """


@prices.command("list")
@click.option("--provider", help="Only sagemaker, aws, alibaba or a provider of your own file.")
@click.option("--accelerator", help="Only machines with this accelerator, e.g. A100-80GB.")
@json_option
def list_(provider: str | None, accelerator: str | None, as_json: bool) -> None:
    """List machine types and their prices; a machine without a published price is listed as unknown."""
    from ftsdk.home import home_dir
    from ftsdk.sizing.catalogue import all_instances, card_of
    from ftsdk.sizing.price.price_file import own_prices
    from ftsdk.sizing.price.prices import known_prices

    all_prices = known_prices(own_prices(home_dir()))
    card = card_of(accelerator).name if accelerator else None
    listed = []
    for machine in all_instances():
        if provider in (None, machine.provider) and card in (None, card_of(machine.card).name):
            base = {"provider": machine.provider, "machine": machine.name, "cards": f"{machine.cards} x {machine.card}"}
            rows = all_prices.get((machine.provider, machine.name), ())
            listed += [{**base, **asdict(price)} for price in rows] or [{**base, "usd_per_hour": None}]
    emit(listed, as_json, lambda: table(HEADER, [_row(row) for row in listed]))


def _row(row: dict[str, object]) -> tuple[object, ...]:
    usd = row["usd_per_hour"]
    words = [row.get(key) or "-" for key in ("region", "date", "source")]
    return row["provider"], row["machine"], row["cards"], words[0], "unknown" if usd is None else usd, *words[1:]


@prices.command()
@click.option("--region", required=True, help="AWS region, e.g. us-west-2.")
def refresh(region: str) -> None:
    """Fetch SageMaker's training prices of a region from AWS's public price list into your price file."""
    from ftsdk.home import home_dir
    from ftsdk.sizing.price.price_file import FILE_NAME, read_csv, save
    from ftsdk.sizing.price.refresh import sagemaker_prices

    path = home_dir() / FILE_NAME
    fresh = sagemaker_prices(region)
    replaced = {(row["provider"], row["instance"], row["region"]) for row in fresh}
    kept = list(read_csv(path)) if path.is_file() else []
    kept = [row for row in kept if (row["provider"], row["instance"], row["region"]) not in replaced]
    path.parent.mkdir(parents=True, exist_ok=True)
    save([*kept, *fresh], path)
    say(f"{len(fresh)} prices of {region} are in {path}.")
