"""Run the docker program, and translate its errors to ftsdk's."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from threading import Thread
from typing import Final

from ftsdk.errors import AuthError, BackendError, NotInstalledError, UnavailableError

TIMEOUT_S: Final = 120.0
"""Seconds after which a daemon counts as stuck; one under load may be slow."""

FAILURES: Final[tuple[tuple[str, type[BackendError], str], ...]] = (
    (
        r"permission denied while trying to connect",
        AuthError,
        "This user may not talk to Docker's daemon: add it to the group docker (`sudo usermod -aG docker $USER`, "
        "then log in again).",
    ),
    (
        r"cannot connect to the docker daemon|is the docker daemon running|error during connect|connection refused",
        UnavailableError,
        "Docker's daemon does not answer: start Docker, or check DOCKER_HOST and `docker context show` ({detail}).",
    ),
    (
        r"unable to resolve docker endpoint|context .* not found",
        UnavailableError,
        "Docker does not know where its daemon is: check DOCKER_HOST and `docker context ls` ({detail}).",
    ),
    (
        r"bind source path does not exist|mounts denied|path .* is not shared",
        UnavailableError,
        "Docker's daemon does not see this machine's files: use a daemon that runs here, or share the folder "
        "with Docker Desktop ({detail}).",
    ),
    (
        r"could not select device driver|nvidia-container-cli|unresolvable cdi device",
        NotInstalledError,
        "Docker cannot give GPUs to containers: install the NVIDIA Container Toolkit, then restart Docker ({detail}).",
    ),
    (
        r"no such image|image not known|unable to find image",
        NotInstalledError,
        "{detail}: build ftsdk's own with `ftsdk image build`, or fetch a registry's with `docker pull IMAGE`.",
    ),
    (
        r"port is already allocated|address already in use",
        BackendError,
        "The port is in use on this machine: name another one (-o port=N), or leave it out for a free one ({detail}).",
    ),
    (
        r"is already in use",
        BackendError,
        "A container of this name, started from another FTSDK_HOME, is in the way: follow the job from there, or "
        "remove the container ({detail}).",
    ),
    (
        r"executable file not found|no such file or directory: unknown",
        NotInstalledError,
        "The image holds no `python`: choose one with the trainer by the option 'image' ({detail}).",
    ),
    (
        r"no space left on device",
        BackendError,
        "The disk of Docker's daemon is full: free some space, e.g. with `docker system prune` ({detail}).",
    ),
)
"""Pattern in Docker's message (lower case) -> error class and message; the first match wins."""


def ask(argv: Sequence[str], *, allow: str = "", stderr_too: bool = False) -> str:
    """Run a docker command and return its stdout; a failure whose message contains `allow` is ignored.

    With `stderr_too` stderr comes among stdout's lines.
    Raises NotInstalledError without the program, else what `failure` makes of it.
    """
    try:
        run = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if stderr_too else subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except OSError as problem:
        raise missing_program(argv[0]) from problem
    except subprocess.TimeoutExpired as problem:
        raise UnavailableError(f"Docker's daemon did not answer within {TIMEOUT_S:g} s: restart Docker.") from problem
    detail = run.stderr or run.stdout
    if run.returncode and not (allow and allow in detail.lower()):
        raise failure(detail)
    return run.stdout


def send_off(argv: Sequence[str]) -> None:
    """Start a docker command without waiting for it; it outlives this process."""
    null = subprocess.DEVNULL
    try:
        if sys.platform == "win32":
            flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
            process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, creationflags=flags)
        else:
            process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
    except OSError as problem:
        raise missing_program(argv[0]) from problem
    Thread(target=process.wait, daemon=True).start()  # avoids a zombie process


def failure(stderr: str) -> BackendError:
    """The ftsdk error for Docker's message."""
    detail = first_words(stderr)
    for pattern, kind, sentence in FAILURES:
        if re.search(pattern, stderr.lower()):
            return kind(sentence.format(detail=detail))
    return BackendError(f"Docker refused: {detail}.")


def first_words(stderr: str) -> str:
    """The first line of Docker's message without its prefixes."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
    detail = lines[0] if lines else "it gave no reason"
    return re.sub(r"^(docker: )?(Error response from daemon: )?", "", detail).rstrip(".")[:400]


def missing_program(program: str) -> NotInstalledError:
    """The error for a docker program that is not there."""
    return NotInstalledError(
        f"There is no program '{program}' on this machine: install Docker (https://docs.docker.com/get-docker), "
        f"or name another one by the docker backend's option 'program'."
    )
