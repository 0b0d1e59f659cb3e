"""`ftsdk jobs`, `logs`, `metrics`, `wait`, `cancel`, `clean`, `model`: commands on existing jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ftsdk.cli.completion import complete_backend, complete_job
from ftsdk.cli.output import ago, emit, json_option, say, size, table
from ftsdk.errors import printable

if TYPE_CHECKING:
    from ftsdk.jobs.job import Job

Command = TypeVar("Command", bound=Callable[..., object])


def job_argument(command: Command) -> Command:
    """JOB: a URI or a name."""
    return click.argument("job", shell_complete=complete_job)(command)


def attach(job: str) -> Job:
    """Attach to the job of a URI or a name."""
    from ftsdk.jobs.job import Job

    return Job.attach(job)


@click.command()
@click.option("--backend", "-b", shell_complete=complete_backend, help="Only this backend's jobs.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N, quick in a long list.")
@json_option
def jobs(backend: str | None, limit: int | None, as_json: bool) -> None:
    """List the jobs that this machine started, newest first."""
    from ftsdk.jobs.listing import list_jobs

    listed = list(list_jobs(backend, limit=limit, on_problem=say))
    rows = [(uri, info.state, info.reason or "-", info.attempt, ago(info.created_at)) for uri, info in listed]
    emit(
        [{"uri": uri, **asdict(info)} for uri, info in listed],
        as_json,
        lambda: table(("JOB", "STATE", "REASON", "ATTEMPT", "STARTED"), rows),
    )


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...", shell_complete=complete_job)
@json_option
def follow(jobs: tuple[str, ...], as_json: bool) -> None:
    """Show JOB's progress until it is over, from any machine that reaches it; its model's address is printed last.

    On a terminal it is one screen: state, progress, curves, speed, memory and cost beside the estimate, warnings and
    the end of the log; elsewhere a line for each change. Several jobs are a table.

    Starts again what the job's `retry` says, as `wait` does. Ctrl-C leaves the job running.
    With a study as JOB it starts the study's jobs until all have ended, and prints them.
    """
    from ftsdk.cli.follow import follow_job, follow_jobs
    from ftsdk.errors import SpecError
    from ftsdk.studies import document

    if len(jobs) > 1:
        if any(map(document.is_study, jobs)):
            raise SpecError("ftsdk follow takes several jobs, or one study: follow the study in a terminal of its own.")
        models = follow_jobs([attach(job) for job in jobs])
        rows = [{"uri": model.job_uri, "model": model.uri} for model in models]
        emit(rows, as_json, lambda: "\n".join(model.uri for model in models))
        return
    job = jobs[0]
    if document.is_study(job):
        from ftsdk.cli.studies import follow_study
        from ftsdk.studies.study import Study

        follow_study(Study(job), as_json)
        return
    model = follow_job(attach(job))
    emit({"uri": model.job_uri, "model": model.uri}, as_json, lambda: model.uri)


@click.command()
@job_argument
@click.option("--follow", "-f", is_flag=True, help="Continue until the job ends.")
@click.option("--after", metavar="CURSOR", help="Start after the line with this cursor (see --json).")
@click.option("--events", is_flag=True, help="Print ftsdk's own events among the lines, too.")
@json_option
def logs(job: str, follow: bool, after: str | None, events: bool, as_json: bool) -> None:
    """Print a job's output. With --json each line, events too, is an object with `text` and `cursor`."""
    from json.encoder import encode_basestring_ascii as quoted  # `json.dumps` takes twice as long for a line

    from ftsdk import contract

    write, shows_events = sys.stdout.write, events or as_json
    for line in attach(job).logs(follow=follow, after=after):
        if not shows_events and contract.parse_event(line.text) is not None:
            continue
        if as_json:
            write(f'{{"text": {quoted(line.text)}, "cursor": {quoted(line.cursor)}}}\n')
        else:
            write(printable(line.text) + "\n")
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
    from ftsdk.errors import JobNotFoundError, SpecError
    from ftsdk.terminal import charts

    if png and png.suffix.lower() != ".png":
        raise SpecError(f"--plot {png}: it draws PNG files, so name it FILE.png; `ftsdk report` writes HTML.")
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
    """Wait until a job has ended, restarting it as its `retry` says; the exit code is 0 only if it made a model."""
    from ftsdk.cli.follow import say_decision

    attached = attach(job)
    info = attached.wait(timeout_s, on_decision=say_decision)
    emit({"uri": attached.uri, **asdict(info)}, as_json, lambda: f"{attached.uri}: {info.state}")
    attached.model()


@click.command()
@job_argument
@json_option
def cancel(job: str, as_json: bool) -> None:
    """Make a job, or all jobs of a study, save their state and stop; returns without waiting for it."""
    from ftsdk.studies import document

    if document.is_study(job):
        from ftsdk.cli.studies import cancel_study

        cancel_study(job, as_json)
        return
    attached = attach(job)
    before = attached.info().state
    attached.cancel()
    emit({"uri": attached.uri}, as_json, lambda: attached.uri)
    if before.terminal:
        say(f"The job had already ended ({before}).")
    elif not as_json:
        say("Stop requested; a new submit of the same spec continues from its last checkpoint.")


@click.command()
@job_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@json_option
def clean(job: str, yes: bool, as_json: bool) -> None:
    """Remove a job's model, checkpoints, logs and record, here or in its bucket. Asks for confirmation."""
    from ftsdk.jobs import removing

    remains = removing.remains(job)
    for location, count in remains.places.items():
        say(f"{location}  ({size(count)})")
    if not yes:
        click.confirm(f"Remove {remains.uri} ({size(remains.bytes)})?", abort=True, err=True)
    removing.remove(remains)
    emit({"uri": remains.uri, "bytes": remains.bytes, "places": list(remains.places)}, as_json, lambda: remains.uri)


@click.command()
@job_argument
@click.option("--download", "folder", type=click.Path(file_okay=False, path_type=Path), help="Copy the files there.")
@click.option("--overwrite", is_flag=True, help="Take a folder that has files, replacing those of an earlier model.")
@json_option
def model(job: str, folder: Path | None, overwrite: bool, as_json: bool) -> None:
    """Show or download a job's model; JOB may also be the address of a model.tar.gz in a bucket, to unpack."""
    from ftsdk.storage.archives import is_archive, unpack

    if is_archive(job):
        target = unpack(job, folder or job.rpartition("/")[2].partition(".")[0])
        emit({"uri": job, "downloaded_to": str(target)}, as_json, lambda: str(target))
        return
    trained = attach(job).model()
    if folder:
        from ftsdk.terminal.progress import byte_bar

        with byte_bar("Downloading", trained.bytes) as advance:
            trained.download(folder, overwrite=overwrite, on_bytes=advance)
    data = {
        "uri": trained.uri,
        "job": trained.job_uri,
        "base_model": trained.base_model,
        "adapter": trained.adapter,
        "digest": trained.digest,
        "files": trained.files,
        "bytes": trained.bytes,
        "downloaded_to": str(folder) if folder else None,
    }
    emit(data, as_json, lambda: str(folder) if folder else trained.uri)
    if not as_json:
        kind = f"adapter on {trained.base_model}" if trained.adapter else f"whole model, from {trained.base_model}"
        say(f"{kind}: {len(trained.files)} files, {size(trained.bytes)}")
