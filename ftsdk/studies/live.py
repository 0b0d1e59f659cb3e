"""A study's jobs as a table on a terminal while they are driven."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TextIO, cast

from ftsdk import contract
from ftsdk.errors import BackendError, JobNotFoundError
from ftsdk.jobs.live import background
from ftsdk.jobs.status import Status
from ftsdk.studies.jobs import job_of
from ftsdk.studies.study import Study
from ftsdk.terminal.figures import Background
from ftsdk.terminal.progress import start_live
from ftsdk.terminal.screen import JobView

if TYPE_CHECKING:
    from rich.live import Live

EVERY_S: Final = 2.0
"""Between two looks at the jobs that run."""


@contextmanager
def table(study: Study, stream: TextIO) -> Iterator[Live]:
    """Draw the study's jobs inside the block, from a thread of its own; lines may be printed above the table."""
    views: list[JobView] = []
    _add_rows(study, views)
    is_over = threading.Event()
    live = start_live(stream, views, is_table=True)
    thread = threading.Thread(target=_keep_looking, args=(study, views, is_over), daemon=True)
    thread.start()
    try:
        yield live
    finally:
        is_over.set()
        thread.join()
        look(study, views)
        live.stop()


def look(study: Study, views: list[JobView]) -> None:
    """Take what is new of each job that has been submitted and has not been seen to end."""
    _add_rows(study, views)
    for number in study.claims():
        view = views[number - 1]
        if view.figures.has_ended:
            continue
        with suppress(BackendError, JobNotFoundError, OSError):  # the row is older for a while
            job = job_of(study, number)
            view.background = background(job)
            _take(view, Status.of(job))


def _add_rows(study: Study, views: list[JobView]) -> None:
    """A row for each job that has none; a step that is not planned yet has its name in place of a URI."""
    for planned in study.trials()[len(views) :]:
        step = planned.get("step")
        views.append(JobView(Background(uri=planned["uri"] or (step["name"] if step else ""))))


def _keep_looking(study: Study, views: list[JobView], is_over: threading.Event) -> None:
    while not is_over.wait(EVERY_S):
        look(study, views)


def _take(view: JobView, status: Status) -> None:
    for record in status.metrics:
        if record.get("time", 0.0) > (view.figures.seen_at or 0.0):
            view.take(cast(contract.Event, {**record, "event": contract.EVENT_METRICS}), status.now)
    if status.info.state.terminal:
        view.take({"event": contract.EVENT_OUTCOME, "state": str(status.info.state)}, status.now)
