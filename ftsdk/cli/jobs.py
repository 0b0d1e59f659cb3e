"""`ftsdk jobs`, `logs`, `metrics`, `wait`, `cancel`, `rm`, `model`: verbs on a job that is there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ftsdk.cli.completion import complete_backend, complete_job
from ftsdk.cli.output import ago, emit, json_option, say, size, table

if TYPE_CHECKING:
    from ftsdk.jobs.job import Job

Command = TypeVar("Command", bound=Callable[..., Any])


def job_argument(command: Command) -> Command:
    """JOB: a URI or a name."""
    return click.argument("job", shell_complete=complete_job)(command)


def attach(job: str) -> Job:
    """The job behind a URI or a name."""
    from ftsdk.jobs.job import Job

    return Job.attach(job)


@click.command()
@click.option("--backend", "-b", shell_complete=complete_backend, help="Only this backend's jobs.")
@json_option
def jobs(backend: str | None, as_json: bool) -> None:
    """List the jobs that this machine started, newest first."""
    from ftsdk.jobs import listing

    rows = [{"uri": uri, **asdict(info)} for uri, info in listing.jobs(backend, on_problem=say)]
    emit(rows, as_json, lambda: table(("JOB", "STATE", "REASON", "ATTEMPT", "STARTED"), map(_row, rows)))


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    return row["uri"], row["state"], row["reason"] or "-", row["attempt"], ago(row["created_at"])


@click.command()
@job_argument
@click.option("--follow", "-f", is_flag=True, help="Go on until the job ends.")
@click.option("--after", metavar="CURSOR", help="Start behind the line with this cursor (see --json).")
@json_option
def logs(job: str, follow: bool, after: str | None, as_json: bool) -> None:
    """Print a job's output. With --json each line is an object with `text` and `cursor`."""
    import json

    write = sys.stdout.write
    for line in attach(job).logs(follow=follow, after=after):
        write(json.dumps({"text": line.text, "cursor": line.cursor}) + "\n" if as_json else line.text + "\n")
        if follow:
            sys.stdout.flush()


@click.command()
@job_argument
@click.option(
    "--plot", "png", type=click.Path(dir_okay=False, path_type=Path), help="Draw the loss curve to a PNG file."
)
@json_option
def metrics(job: str, png: Path | None, as_json: bool) -> None:
    """Print a job's metrics: a loss curve in the terminal, JSON, or a PNG."""
    from ftsdk.errors import JobNotFoundError
    from ftsdk.terminal import charts

    attached = attach(job)
    records = attached.metrics()
    if not records and not as_json:
        raise JobNotFoundError(
            f"Job {attached.uri} has logged no metrics yet; `ftsdk logs {attached.uri} -f` shows why."
        )
    if png:
        charts.save_png(records, png, title=attached.name)
        say(f"Drawn: {png}")
    if as_json or not png:
        emit(records.to_json() if as_json else records, as_json, lambda: charts.terminal_chart(records))


@click.command()
@job_argument
@click.option("--timeout-s", type=float, help="Give up after this many seconds.")
@json_option
def wait(job: str, timeout_s: float | None, as_json: bool) -> None:
    """Wait until a job has ended, starting again what its `retry` says; the exit code is 0 only if it made a model."""
    from ftsdk.cli.follow import say_decision

    attached = attach(job)
    info = attached.wait(timeout_s, on_decision=say_decision)
    emit({"uri": attached.uri, **asdict(info)}, as_json, lambda: f"{attached.uri}: {info.state}")
    attached.model()


@click.command()
@job_argument
@json_option
def cancel(job: str, as_json: bool) -> None:
    """Ask a job to save its state and stop; returns at once."""
    attached = attach(job)
    before = attached.info().state
    attached.cancel()
    emit({"uri": attached.uri}, as_json, lambda: attached.uri)
    if before.terminal:
        say(f"It had ended already ({before}).")
    elif not as_json:
        say("Asked to stop; a new submit of the same spec goes on from its last checkpoint.")


@click.command()
@job_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
def clean(job: str, yes: bool, as_json: bool) -> None:
    """Remove what a job left here or in its bucket: model, checkpoints, logs and its record. Asks first."""
    from ftsdk.jobs import removing

    found = removing.remains(job)
    for place, count in found.places.items():
        say(f"{place}  ({size(count)})")
    if not yes:
        click.confirm(f"Remove {found.uri} ({size(found.bytes)})?", abort=True, err=True)
    removing.remove(found)
    emit({"uri": found.uri, "bytes": found.bytes, "places": list(found.places)}, as_json, lambda: found.uri)


@click.command()
@job_argument
@click.option("--download", "folder", type=click.Path(file_okay=False, path_type=Path), help="Copy the files there.")
@json_option
def model(job: str, folder: Path | None, as_json: bool) -> None:
    """Show or download the model that a job made; JOB may be another job's model.tar.gz in a bucket, to unpack."""
    from ftsdk.storage.archives import is_archive, unpack

    if is_archive(job):
        target = unpack(job, folder or job.rpartition("/")[2].partition(".")[0])
        emit({"uri": job, "downloaded_to": str(target)}, as_json, lambda: str(target))
        return
    found = attach(job).model()
    if folder:
        from ftsdk.terminal.progress import byte_bar

        with byte_bar("Downloading", found.bytes) as advance:
            found.download(folder, on_bytes=advance)
    data = {
        "uri": found.uri,
        "job": found.job_uri,
        "base_model": found.base_model,
        "adapter": found.adapter,
        "digest": found.digest,
        "files": found.files,
        "bytes": found.bytes,
        "downloaded_to": str(folder) if folder else None,
    }
    emit(data, as_json, lambda: str(folder) if folder else found.uri)
    if not as_json:
        kind = f"adapter on {found.base_model}" if found.adapter else f"whole model, from {found.base_model}"
        say(f"{kind}: {len(found.files)} files, {size(found.bytes)}")
