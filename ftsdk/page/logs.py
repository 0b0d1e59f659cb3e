"""A job's log on the page: chunks by cursor, and a search."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse

from ftsdk import contract
from ftsdk.jobs.job import Job
from ftsdk.page.jobs import requested_job
from ftsdk.page.rendering import page
from ftsdk.storage.records import LogLine

CHUNK_LINES: Final = 5000
"""Most lines of an answer."""
MATCHES: Final = 500
"""Most lines of a search's answer."""
LINE_CHARACTERS: Final = 2000
"""More of a line is cut off; `ftsdk logs` has all of it."""


def show(request: Request) -> HTMLResponse:
    """The log of a job."""
    attached = requested_job(request)
    return page(request, "logs.html", {"uri": attached.uri, "search": request.query_params.get("search", "")})


def lines(request: Request) -> JSONResponse:
    """The lines after a cursor: at most CHUNK_LINES, or with `search` at most MATCHES that contain it in any case."""
    attached, words = requested_job(request), request.query_params.get("search", "").casefold()
    is_over, most = attached.done(), MATCHES if words else CHUNK_LINES
    matching = [*islice(_lines(attached, request.query_params.get("after") or None, words), most)]
    shown = [line.text[:LINE_CHARACTERS] for line in matching]
    cursor = matching[-1].cursor if matching else request.query_params.get("after")
    return JSONResponse({"lines": shown, "cursor": cursor, "is_full": len(matching) == most, "is_over": is_over})


def _lines(job: Job, after: str | None, words: str) -> Iterator[LogLine]:
    for line in job.logs(after=after):
        if words in line.text.casefold() and contract.parse_event(line.text) is None:
            yield line
