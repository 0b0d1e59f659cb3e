"""The docker program: asked, or sent off on its own; what it complains about becomes one sentence of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from threading import Thread
from typing import Final

from ftsdk.errors import AuthError, BackendError, NotInstalledError, UnavailableError

PATIENCE_S: Final = 120.0
"""A daemon under load may take its time; one that is stuck must not hold us for ever."""

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
        "Docker's daemon does not answer: start Docker, or check DOCKER_HOST and `docker context show` ({said}).",
    ),
    (
        r"unable to resolve docker endpoint|context .* not found",
        UnavailableError,
        "Docker does not know where its daemon is: check DOCKER_HOST and `docker context ls` ({said}).",
    ),
    (
        r"bind source path does not exist|mounts denied|path .* is not shared",
        UnavailableError,
        "Docker's daemon does not see this machine's files: use a daemon that runs here, or share the folder "
        "with Docker Desktop ({said}).",
    ),
    (
        r"could not select device driver|nvidia-container-cli|unresolvable cdi device",
        NotInstalledError,
        "Docker cannot give GPUs to containers: install the NVIDIA Container Toolkit, then restart Docker ({said}).",
    ),
    (
        r"no such image|image not known|unable to find image",
        NotInstalledError,
        "{said}: build ftsdk's own with `ftsdk image build`, or fetch a registry's with `docker pull IMAGE`.",
    ),
    (
        r"is already in use",
        BackendError,
        "A container of this name, started from another FTSDK_HOME, is in the way: follow the job from there, or "
        "remove the container ({said}).",
    ),
    (
        r"executable file not found|no such file or directory: unknown",
        NotInstalledError,
        "The image holds no `python`: choose one with the trainer by the option 'image' ({said}).",
    ),
    (
        r"no space left on device",
        BackendError,
        "The disk of Docker's daemon is full: free some space, e.g. with `docker system prune` ({said}).",
    ),
)
"""What Docker says (lower case) -> our error and sentence; the first match counts."""


def ask(argv: Sequence[str], *, allow: str = "", stderr_too: bool = False) -> str:
    """Run a docker command and return its stdout; a failure that says `allow` is none.

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
            timeout=PATIENCE_S,
            check=False,
        )
    except OSError as problem:
        raise missing_program(argv[0]) from problem
    except subprocess.TimeoutExpired as problem:
        raise UnavailableError(f"Docker's daemon did not answer within {PATIENCE_S:g} s: restart Docker.") from problem
    said = run.stderr or run.stdout
    if run.returncode and not (allow and allow in said.lower()):
        raise failure(said)
    return run.stdout


def send_off(argv: Sequence[str]) -> None:
    """Start a docker command that nobody waits for; it goes on when this program ends."""
    null = subprocess.DEVNULL
    try:
        if sys.platform == "win32":
            flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
            process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, creationflags=flags)
        else:
            process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
    except OSError as problem:
        raise missing_program(argv[0]) from problem
    Thread(target=process.wait, daemon=True).start()  # leaves no zombie while this program lives


def failure(stderr: str) -> BackendError:
    """Our error for what Docker said."""
    said = first_words(stderr)
    for pattern, kind, sentence in FAILURES:
        if re.search(pattern, stderr.lower()):
            return kind(sentence.format(said=said))
    return BackendError(f"Docker refused: {said}.")


def first_words(stderr: str) -> str:
    """The line that says it, without Docker's introductions."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
    said = lines[0] if lines else "it gave no reason"
    return re.sub(r"^(docker: )?(Error response from daemon: )?", "", said).rstrip(".")[:400]


def missing_program(program: str) -> NotInstalledError:
    """The error for a docker program that is not there."""
    return NotInstalledError(
        f"There is no program '{program}' on this machine: install Docker (https://docs.docker.com/get-docker), "
        f"or name another one by the docker backend's option 'program'."
    )
