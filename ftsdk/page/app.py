"""The page's addresses. Handlers are plain functions, which Starlette runs in its thread pool."""

from __future__ import annotations

from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ftsdk.errors import BackendError, FtsdkError, JobNotFoundError
from ftsdk.page import chat, jobs, logs, start
from ftsdk.page.guard import Guard
from ftsdk.page.rendering import ASSETS, page


def application(talk: chat.ChatServer, *, token: str, port: int) -> Starlette:
    """The page for whoever has the token, at 127.0.0.1:`port`; `talk` is closed by the caller."""
    return Starlette(
        routes=[
            Route("/", jobs.listing),
            Route("/rows", jobs.rows),
            Route("/job", jobs.job),
            Route("/job/report", jobs.report),
            Route("/job/cancel", jobs.cancel, methods=["POST"]),
            Route("/job/submit", jobs.submit_again, methods=["POST"]),
            Route("/curves", jobs.curves),
            Route("/metrics", jobs.metrics),
            Route("/logs", logs.show),
            Route("/lines", logs.lines),
            Route("/new", start.form),
            Route("/new/plan", start.plan, methods=["POST"]),
            Route("/new/submit", start.start, methods=["POST"]),
            Route("/chat", chat.show),
            Route("/chat", start.with_json(partial(chat.say, talk)), methods=["POST"]),
            Route("/assets/{name}", _asset),
        ],
        middleware=[Middleware(Guard, token=token, port=port)],
        exception_handlers={FtsdkError: _problem, HTTPException: _http_problem},
    )


def _asset(request: Request) -> Response:
    if (asset := ASSETS.get(request.path_params["name"])) is None:
        raise HTTPException(404)
    path, kind = asset
    return Response(path.read_text("utf-8"), media_type=kind)


def _problem(request: Request, problem: Exception) -> Response:
    status = 404 if isinstance(problem, JobNotFoundError) else 502 if isinstance(problem, BackendError) else 400
    return _answer(request, str(problem), status)


def _http_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    return _answer(request, problem.detail, problem.status_code)


def _answer(request: Request, sentence: str, status: int) -> Response:
    """The sentence as a page, or as JSON for the page's own scripts."""
    if "text/html" in request.headers.get("accept", ""):
        return page(request, "problem.html", {"sentence": sentence}, status=status)
    return JSONResponse({"error": sentence}, status)
