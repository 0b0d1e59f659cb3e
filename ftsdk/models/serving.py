"""Serving a model on this machine: a process that answers OpenAI's requests on loopback."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from ftsdk import contract
from ftsdk.backends.local import trainer_python
from ftsdk.errors import FtsdkError, SpecError
from ftsdk.facts.facts import ModelFacts
from ftsdk.facts.model import inspect_model
from ftsdk.facts.runtime_archive import build
from ftsdk.home import home_dir


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers; the base URL is what OpenAI's clients take."""

    name: str
    """The model's name in requests; an adapter's server also answers for `base`."""
    base_url: str
    process: subprocess.Popen[str]


@contextmanager
def serving(model: str, *, port: int = 0, name: str = "model", folder: str = ".") -> Iterator[Server]:
    """Serve a model's folder, address or hub id until the context ends; port 0 takes a free one.

    Raises SpecError for a model that is not there, FtsdkError if the server cannot start.
    """
    facts = inspect_model(model, Path(folder).absolute())
    with TemporaryFile(buffering=0) as errors:  # the other process moves the file's position
        process = _start(facts, errors, name=name, port=port)
        try:
            yield Server(name, f"http://127.0.0.1:{_port(process, errors, model)}/v1", process)
        finally:
            process.terminate()
            process.wait()


def _start(model: ModelFacts, errors: IO[bytes], *, name: str, port: int) -> subprocess.Popen[str]:
    if model.kind == "remote":
        raise SpecError(f"model {model.address} is in a bucket: download it first (`ftsdk model JOB --download DIR`).")
    adapter = {"adapter_name_or_path": model.address} if model.base != model.address else {}
    config = {"model": {"model_name_or_path": model.base, **adapter}, "name": name, "port": port}
    command = [trainer_python(), build(home_dir() / "cache").path, "serve"]
    environment = {**os.environ, contract.ENV_SERVE: json.dumps(config)}
    try:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    except OSError as problem:
        raise FtsdkError(f"{command[0]} cannot be started ({problem.strerror}).") from problem


def _port(process: subprocess.Popen[str], errors: IO[bytes], model: str) -> int:
    """The port that the server prints when it is ready.

    Raises FtsdkError with its last line of output if it ends instead.
    """
    for line in process.stdout or ():
        if line.startswith(contract.SERVER_READY):
            return int(line.removeprefix(contract.SERVER_READY))
    process.wait()
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    raise FtsdkError(f"The server of {model} ended before it answered: {lines[-1] if lines else 'it printed nothing'}")
