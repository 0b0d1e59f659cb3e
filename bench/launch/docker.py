"""What the benchmark asks of Docker itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from bench.launch.programs import PROGRAMS
from bench.launch.timing import Timing, process


def image() -> str | None:
    """ftsdk's own image for this machine's processors, if a daemon answers and has it."""
    from ftsdk.backends.image import default_tag

    tag = default_tag("cpu")
    try:
        return tag if subprocess.run(["docker", "image", "inspect", tag], capture_output=True).returncode == 0 else None
    except OSError:
        return None


@contextmanager
def without_entrypoint(image: str) -> Iterator[str]:
    """The same image without its entrypoint, which TorchX cannot override."""
    tag = "ftsdk-bench:plain"
    build = ["docker", "build", "--quiet", "--pull=false", "--tag", tag, "-"]
    subprocess.run(build, input=f"FROM {image}\nENTRYPOINT []\n".encode(), check=True, capture_output=True)
    try:
        yield tag
    finally:
        subprocess.run(["docker", "image", "rm", tag], check=True, capture_output=True)


@contextmanager
def cleared(label: str) -> Iterator[None]:
    """Containers with this label that come into being meanwhile are removed."""
    before = _containers(label)
    try:
        yield
    finally:
        if new := _containers(label) - before:
            subprocess.run(["docker", "rm", "--force", *new], check=True, capture_output=True)


@contextmanager
def printed(image: str, lines: int) -> Iterator[tuple[str, Timing]]:
    """The name of a plain container that has printed the lines, and how long it took; it goes with the context."""
    program = ("--env", f"BENCH_LINES={lines}", "--volume", f"{PROGRAMS}:/programs:ro", "--entrypoint", "python", image)
    name = f"ftsdk-bench-{os.getpid()}"
    argv = ["docker", "run", "--pull", "never", "--name", name, *program, "/programs/print_lines.py"]
    try:
        yield name, process(argv)
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)


def _containers(label: str) -> set[str]:
    listed = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", f"label={label}"], check=True, capture_output=True, text=True
    )
    return set(listed.stdout.split())
