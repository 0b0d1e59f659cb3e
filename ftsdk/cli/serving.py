"""`ftsdk serve` and `chat`: a model on this machine, for programs and for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from ftsdk.cli.completion import complete_job
from ftsdk.cli.output import say
from ftsdk.errors import FtsdkError

if TYPE_CHECKING:
    from ftsdk.models.serving import Server

HELP = "/base MESSAGE asks the base model; /system TEXT sets the system prompt; /clear begins anew; /exit ends."


@click.command()
@click.argument("model", shell_complete=complete_job)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--name", default="model", show_default=True, help="The model's name in requests.")
def serve(model: str, port: int, name: str) -> None:
    """Serve MODEL on this machine's loopback as OpenAI's API does, until Ctrl-C.

    It answers /v1/chat/completions, /v1/completions and /v1/models, also as streams. An adapter's base model is served
    beside it as `base`.
    """
    from ftsdk.models.serving import serving

    with serving(folder_of(model), port=port, name=name) as server:
        click.echo(server.base_url)
        say(f"Serving {name}; OpenAI's clients take this as base_url, with any key. Ctrl-C ends it.")
        server.process.wait()


@click.command()
@click.argument("model", shell_complete=complete_job)
@click.option("--system", help="System prompt.")
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True, help="Tokens of an answer.")
@click.option("--temperature", type=float, help="0 takes the most probable tokens; the model's default if left out.")
def chat(model: str, system: str | None, max_tokens: int, temperature: float | None) -> None:
    """Talk with MODEL in the terminal, in its own chat template.

    Reads a message per line until the end of input. /base MESSAGE asks the base model, /system TEXT sets the system
    prompt, /clear starts a new conversation, /exit ends.
    """
    from ftsdk.models.serving import serving

    settings: dict[str, object] = {"max_tokens": max_tokens}
    if temperature is not None:
        settings["temperature"] = temperature
    with serving(folder_of(model)) as server:
        say(HELP)
        _converse(server, settings, [{"role": "system", "content": system}] if system else [])


def _converse(server: Server, settings: Mapping[str, object], messages: list[dict[str, str]]) -> None:
    while (line := _line()) is not None:
        command, _, rest = line.partition(" ")
        if command == "/exit":
            return
        if command == "/clear":
            messages = [message for message in messages if message["role"] == "system"]
        elif command == "/system":
            messages = [{"role": "system", "content": rest}]
        elif command == "/base":
            _speak(server, {**settings, "model": "base", "messages": [*messages, {"role": "user", "content": rest}]})
        elif line.startswith("/"):
            say(HELP)
        elif line:
            turns = [*messages, {"role": "user", "content": line}]
            answer = _speak(server, {**settings, "messages": turns})
            messages = messages if answer is None else [*turns, {"role": "assistant", "content": answer}]


def _line() -> str | None:
    try:
        return input("> " if click.get_text_stream("stdin").isatty() else "").strip()
    except EOFError:
        return None


def _speak(server: Server, request: Mapping[str, object]) -> str | None:
    """Print the answer as it comes, and return it; None if the request was refused."""
    parts = []
    try:
        for part in _stream(server, request):
            click.echo(part, nl=False)
            parts.append(part)
    except FtsdkError as problem:
        say(str(problem))
        return None
    click.echo()
    return "".join(parts)


def _stream(server: Server, request: Mapping[str, object]) -> Iterator[str]:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    data = json.dumps({**request, "stream": True}).encode()
    http_request = Request(f"{server.base_url}/chat/completions", data, {"Content-Type": "application/json"})
    try:
        with urlopen(http_request) as response:
            for line in response:
                event = line.decode().removeprefix("data: ").strip()
                if event and event != "[DONE]":
                    yield json.loads(event)["choices"][0]["delta"].get("content", "")
    except HTTPError as problem:
        raise FtsdkError(json.load(problem)["error"]["message"]) from None


def folder_of(model: str) -> str:
    """The model's folder or address: MODEL itself, what a job of this URI or name made, or what a chat's YAML names."""
    from ftsdk.cli.programs import model_address, model_of_job

    address = _model_of_file(model) if model.endswith((".yaml", ".yml")) else model_address(model)
    made = model_of_job(address)
    return address if made is None else str(made.path or made.uri)


def _model_of_file(file: str) -> str:
    """The model that a file for `llamafactory-cli chat` names. Raises SpecError for another file."""
    from pathlib import Path

    from ftsdk.recipes.llamafactory_tasks import model_to_talk_with
    from ftsdk.recipes.specfile import read_yaml

    try:
        return model_to_talk_with(read_yaml(Path(file)))
    except FtsdkError as problem:
        raise type(problem)(f"{file}: {problem}") from None
