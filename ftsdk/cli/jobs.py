"""`ftsdk jobs`, `status`, `logs`, `metrics`, `wait`, `cancel`, `model`: verbs on a job that is there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ftsdk.cli.completion import complete_backend, complete_job
from ftsdk.cli.output import ago, duration, emit, json_option, say, size, table

if TYPE_CHECKING:
    from ftsdk.backends.base import JobInfo
    from ftsdk.job import Job

Command = TypeVar("Command", bound=Callable[..., Any])


def job_argument(command: Command) -> Command:
    """JOB: a URI or a name."""
    return click.argument("job", shell_complete=complete_job)(command)


def _attach(job: str) -> Job:
    from ftsdk.job import Job

    return Job.attach(job)


@click.command()
@click.option("--backend", "-b", shell_complete=complete_backend, help="Only this backend's jobs.")
@json_option
def jobs(backend: str | None, as_json: bool) -> None:
    """List the jobs that this machine started, newest first."""
    from ftsdk import listing

    rows = [{"uri": uri, **asdict(info)} for uri, info in listing.jobs(backend, on_problem=say)]
    emit(rows, as_json, lambda: table(("JOB", "STATE", "REASON", "ATTEMPT", "STARTED"), map(_row, rows)))


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    return row["uri"], row["state"], row["reason"] or "-", row["attempt"], ago(row["created_at"])


@click.command()
@job_argument
@json_option
def status(job: str, as_json: bool) -> None:
    """Show how a job is doing: state, reason, progress and the last metrics."""
    attached = _attach(job)
    info, metrics = attached.info(), attached.metrics()
    latest: dict[str, Any] = {}
    for record in metrics:
        latest.update(record)
    data = {"uri": attached.uri, **asdict(info), "latest": latest}
    emit(data, as_json, lambda: _status_text(attached.uri, info, latest))


def _status_text(uri: str, info: JobInfo, latest: dict[str, Any]) -> str:
    reason = f" ({info.reason})" if info.reason else ""
    lines = [f"{uri}: {info.state}{reason}, attempt {info.attempt}, started {ago(info.created_at)}"]
    if info.message:
        lines.append(info.message)
    if latest:
        shown = [f"step {latest['step']}/{latest.get('total_steps', '?')}"]
        shown += [f"{name} {latest[name]:.4g}" for name in ("loss", "eval_loss", "tokens_per_s") if name in latest]
        if not info.state.terminal and latest.get("eta_s") is not None:
            shown.append(f"about {duration(latest['eta_s'])} left")
        lines.append(", ".join(shown))
    return "\n".join(lines)


@click.command()
@job_argument
@click.option("--follow", "-f", is_flag=True, help="Go on until the job ends.")
@click.option("--after", metavar="CURSOR", help="Start behind the line with this cursor (see --json).")
@json_option
def logs(job: str, follow: bool, after: str | None, as_json: bool) -> None:
    """Print a job's output. With --json each line is an object with `text` and `cursor`."""
    import json

    write = sys.stdout.write
    for line in _attach(job).logs(follow=follow, after=after):
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
    from ftsdk import charts
    from ftsdk.errors import JobNotFoundError

    attached = _attach(job)
    records = attached.metrics()
    if not records and not as_json:
        raise JobNotFoundError(
            f"Job {attached.uri} has logged no metrics yet; `ftsdk logs {attached.uri} -f` shows why."
        )
    if png:
        charts.save_png(records, png, title=attached.name)
        say(f"Drawn: {png}")
    if as_json or not png:
        emit(records, as_json, lambda: charts.terminal_chart(records))


@click.command()
@job_argument
@click.option("--timeout-s", type=float, help="Give up after this many seconds.")
@json_option
def wait(job: str, timeout_s: float | None, as_json: bool) -> None:
    """Wait until a job has ended; the exit code is 0 only if it made a model."""
    from ftsdk.errors import JobFailedError

    attached = _attach(job)
    try:
        info = attached.wait(timeout_s)
    except TimeoutError as problem:
        raise JobFailedError(str(problem), reason="timeout") from None
    emit({"uri": attached.uri, **asdict(info)}, as_json, lambda: f"{attached.uri}: {info.state}")
    attached.model()


@click.command()
@job_argument
@json_option
def cancel(job: str, as_json: bool) -> None:
    """Ask a job to save its state and stop; returns at once."""
    attached = _attach(job)
    attached.cancel()
    emit({"uri": attached.uri}, as_json, lambda: attached.uri)
    if not as_json:
        say("Asked to stop; a new submit of the same spec goes on from its last checkpoint.")


@click.command()
@job_argument
@click.option("--download", "folder", type=click.Path(file_okay=False, path_type=Path), help="Copy the files there.")
@json_option
def model(job: str, folder: Path | None, as_json: bool) -> None:
    """Show or download the model that a job made."""
    found = _attach(job).model()
    if folder:
        from ftsdk.progress import byte_bar

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
