"""`ftsdk push`: a model with its card to a hub, a bucket or a folder."""

from __future__ import annotations

import click

from ftsdk.cli.jobs import attach, job_argument
from ftsdk.cli.output import emit, json_option


@click.command()
@job_argument
@click.option(
    "--to", required=True, metavar="PLACE", help="hf:ORG/NAME, s3://BUCKET/FOLDER, oss://…, gs://…, or a folder."
)
@click.option("--public", is_flag=True, help="Create the hub's repository as a public one; private is the default.")
@click.option("--overwrite", is_flag=True, help="Replace files of the same names in a place that holds something else.")
@json_option
def push(job: str, to: str, public: bool, overwrite: bool, as_json: bool) -> None:
    """Publish JOB's model with a model card and its lineage, without private paths and secrets.

    A push that was interrupted goes on when it is repeated.
    """
    from ftsdk.terminal.progress import byte_bar

    model = attach(job).model()
    with byte_bar("Copying", model.bytes) as advance:
        uri = model.push(to, private=not public, overwrite=overwrite, on_bytes=advance)
    emit({"uri": uri, "job": model.job_uri}, as_json, lambda: uri)
