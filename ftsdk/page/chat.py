"""Talking with a finished job's model: one server at a time, started for the first message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from threading import Lock
from typing import cast
from urllib.error import HTTPError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse

from ftsdk.errors import FtsdkError
from ftsdk.jobs.job import Job
from ftsdk.models.serving import Server, serving
from ftsdk.page.jobs import requested_job
from ftsdk.page.rendering import page

MOST_TOKENS = 512


class ChatServer:
    """The model that answers at present."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stack = ExitStack()
        self._uri = ""
        self._server: Server | None = None

    def answer(self, uri: str, messages: list[Mapping[str, str]]) -> str:
        """The model's answer to a conversation. Raises JobFailedError for a job without a model."""
        with self._lock:
            server = self._serving(uri)
            request = {"model": server.name, "messages": messages, "max_tokens": MOST_TOKENS}
            headers = {"Content-Type": "application/json"}
            call = HttpRequest(f"{server.base_url}/chat/completions", json.dumps(request).encode(), headers)
            try:
                with urlopen(call) as response:
                    return cast(str, json.load(response)["choices"][0]["message"]["content"])
            except HTTPError as problem:
                raise FtsdkError(str(json.load(problem)["error"]["message"])) from None
            except OSError:
                self.close()
                raise FtsdkError("The model's server has ended; send the message again to start it.") from None

    def close(self) -> None:
        """End the server, if there is one."""
        self._stack.close()
        self._uri, self._server = "", None

    def _serving(self, uri: str) -> Server:
        if self._server is None or self._uri != uri:
            self.close()
            model = Job.attach(uri).model()
            self._server = self._stack.enter_context(serving(str(model.path or model.uri)))
            self._uri = uri
        return self._server


def show(request: Request) -> HTMLResponse:
    """A conversation with the model of a job."""
    return page(request, "chat.html", {"uri": requested_job(request).uri})


def say(chat: ChatServer, body: Mapping[str, object]) -> JSONResponse:
    """The answer to `{"uri": JOB, "messages": […]}`."""
    uri, messages = body.get("uri"), body.get("messages")
    if not isinstance(uri, str) or not isinstance(messages, list) or not all(map(_is_message, messages)):
        raise HTTPException(400, "A chat needs `uri` and `messages`.")
    return JSONResponse({"answer": chat.answer(uri, messages)})


def _is_message(message: object) -> bool:
    return isinstance(message, dict) and all(isinstance(message.get(name), str) for name in ("role", "content"))
