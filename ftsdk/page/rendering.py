"""Templates: escaped, strict, with the page's words in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from ftsdk.page.words import LANGUAGE_COOKIE, LANGUAGES, language, translated

ENVIRONMENT: Final = Environment(
    loader=PackageLoader("ftsdk.page"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ASSETS: Final = {
    name: (files(package).joinpath("assets", name), kind)
    for name, package, kind in (
        ("page.css", "ftsdk.page", "text/css"),
        ("jobs.js", "ftsdk.page", "text/javascript"),
        ("curves.js", "ftsdk.page", "text/javascript"),
        ("logs.js", "ftsdk.page", "text/javascript"),
        ("job.js", "ftsdk.page", "text/javascript"),
        ("new.js", "ftsdk.page", "text/javascript"),
        ("chat.js", "ftsdk.page", "text/javascript"),
        ("report.css", "ftsdk.reports", "text/css"),
        ("report.js", "ftsdk.reports", "text/javascript"),
    )
}
"""Name -> file and media type."""


def page(request: Request, template: str, values: Mapping[str, object], *, status: int = 200) -> HTMLResponse:
    """A template as a response."""
    chosen = language(request)
    html = ENVIRONMENT.get_template(template).render(
        t=partial(translated, to=chosen),
        language=chosen,
        languages=LANGUAGES,
        form_token=request.scope["form_token"],
        path=request.url.path,
        **values,
    )
    response = HTMLResponse(html, status)
    if "lang" in request.query_params:
        response.set_cookie(LANGUAGE_COOKIE, chosen, samesite="strict")
    return response
