"""An OpenAI-compatible server: chat completions, completions, models, each also as a stream.

SageMaker asks an endpoint's container at `/ping` and `/invocations`; the latter takes either kind of request.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any, NamedTuple

from ftsdk.contract import ENV_SERVE, SERVER_READY
from ftsdk.contract.programs import Completion, CompletionChoice, TokenUsage
from ftsdk.runtime.programs.trained.chat import BadRequestError, Piece, Speaker
from ftsdk.runtime.programs.trained.loading import ModelError, load_model, load_tokenizer

LOOPBACK = "127.0.0.1"
MAX_BODY_BYTES = 1 << 24


class Shape(NamedTuple):
    """How an endpoint writes text: whole and as a part of a stream."""

    name: str
    prefix: str


CHAT, TEXT = Shape("chat.completion", "chatcmpl"), Shape("text_completion", "cmpl")
SHAPES = {"/v1/chat/completions": CHAT, "/v1/completions": TEXT, "/invocations": None}
"""Path -> its shape; None is that of the request."""


def handler(speaker: Speaker) -> type[BaseHTTPRequestHandler]:
    """The handler of requests to this model."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: prompts are the user's."""

        def do_GET(self) -> None:
            if self.path.rstrip("/") in ("/v1/models", "/health", "/ping"):
                self._send(200, models(speaker))
            else:
                self._send(404, error(f"There is no {self.path}; the endpoints are under /v1."))

        def do_POST(self) -> None:
            path = self.path.rstrip("/")
            if path not in SHAPES:
                self._send(404, error(f"There is no {self.path}; the endpoints are under /v1."))
                return
            try:
                request = body(self.headers.get("Content-Length"), self.rfile)
                shape = SHAPES[path] or (CHAT if "messages" in request else TEXT)
                pieces = speaker.answer(request, chat=shape is CHAT)
                if request.get("stream"):
                    self._stream(shape, request, pieces)
                else:
                    self._send(200, whole(shape, speaker.name_of(request), pieces))
            except BadRequestError as problem:
                self._send(problem.status, error(str(problem)))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has left; closing `pieces` ends the generation

        def _stream(self, shape: Shape, request: Mapping[str, Any], pieces: Iterator[Piece]) -> None:
            first = next(pieces)  # an error in the request is one before the stream begins
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.closing(pieces):  # type: ignore[type-var]
                for event in events(shape, speaker.name_of(request), first, pieces):
                    self.wfile.write(f"data: {event}\n\n".encode())
                    self.wfile.flush()
            self.close_connection = True

        def _send(self, status: int, content: Mapping[str, object]) -> None:
            data = json.dumps(content, ensure_ascii=False).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def body(content_length: str | None, stream: Any) -> dict[str, Any]:
    """The JSON object of a request. Raises BadRequestError."""
    try:
        length = int(content_length or 0)
        if length > MAX_BODY_BYTES:
            raise BadRequestError(f"The request has {length} bytes; at most {MAX_BODY_BYTES} are read.")
        request = json.loads(stream.read(length))
    except ValueError:
        raise BadRequestError("The request is not JSON.") from None
    if not isinstance(request, dict):
        raise BadRequestError("The request is not a JSON object.")
    return request


def models(speaker: Speaker) -> dict[str, object]:
    """The list of models."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "ftsdk"} for name in speaker.names]
    return {"object": "list", "data": data}


def error(message: str) -> dict[str, object]:
    """An error in OpenAI's form."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


def whole(shape: Shape, model: str, pieces: Iterator[Piece]) -> Completion:
    """The complete answer."""
    parts = list(pieces)
    text, last = "".join(part.text for part in parts), parts[-1]
    choice: CompletionChoice = {"index": 0, "finish_reason": last.finish_reason, "logprobs": None}
    if shape is CHAT:
        choice["message"] = {"role": "assistant", "content": text}
    else:
        choice["text"] = text
    total = last.prompt_tokens + last.tokens
    usage = TokenUsage(prompt_tokens=last.prompt_tokens, completion_tokens=last.tokens, total_tokens=total)
    return {**head(shape, model, stream=False), "choices": [choice], "usage": usage}


def events(shape: Shape, model: str, first: Piece, pieces: Iterator[Piece]) -> Iterator[str]:
    """The events of a stream, as JSON, and the one that ends it."""
    start = head(shape, model, stream=True)
    if shape is CHAT:
        yield json.dumps({**start, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    for piece in chain((first,), pieces):
        content = {"delta": {"content": piece.text}} if shape is CHAT else {"text": piece.text}
        choice = {"index": 0, "finish_reason": piece.finish_reason, **content}
        yield json.dumps({**start, "choices": [choice]}, ensure_ascii=False)
    yield "[DONE]"


def head(shape: Shape, model: str, *, stream: bool) -> Completion:
    """The fields that an answer and the events of a stream begin with."""
    kind = f"{shape.name}.chunk" if stream and shape is CHAT else shape.name
    return {"id": f"{shape.prefix}-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def run(config: Mapping[str, Any]) -> None:
    """Load the model that the configuration names and serve it; prints a line once it answers.

    Raises ModelError for a model that cannot be loaded, OSError for a port in use.
    """
    address = (config.get("host", LOOPBACK), config["port"])
    with ThreadingHTTPServer(address, BaseHTTPRequestHandler) as server:  # before minutes of loading
        tokenizer = load_tokenizer(config["model"])
        speaker = Speaker(load_model(config["model"], tokenizer), tokenizer, config["name"])
        server.RequestHandlerClass = handler(speaker)
        server.daemon_threads = True
        sys.stdout.write(f"{SERVER_READY}{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()


def main(environ: Mapping[str, str]) -> int:
    """Serve until the process is stopped; returns the exit code after an error, which is one line on stderr."""
    try:
        run(json.loads(environ[ENV_SERVE]))
    except KeyboardInterrupt:
        return 0
    except (ModelError, OSError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0
