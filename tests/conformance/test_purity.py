"""The sealed world, in which plans are tried, really is sealed."""

import os
import random
import socket
import subprocess
import time
from pathlib import Path

import pytest

from ftsdk.testing.purity import LookedOutsideError, sealed

LOOKS = {
    "a descriptor": lambda: os.open(__file__, os.O_RDONLY),
    "a path's content": lambda: Path(__file__).read_text(),
    "whether a path is there": lambda: Path(__file__).exists(),
    "a folder": lambda: list(Path(__file__).parent.iterdir()),
    "the working folder": Path.cwd,
    "the environment": lambda: os.environ.get("HOME"),
    "a variable": lambda: os.environ["HOME"],
    "getenv": lambda: os.getenv("HOME"),
    "the network": lambda: socket.socket(),
    "a process": lambda: subprocess.run(["true"], check=False),
    "the clock": lambda: time.time(),
    "a stopwatch": lambda: time.monotonic(),
    "chance": lambda: random.random(),
    "the system's chance": lambda: os.urandom(1),
}


@pytest.mark.parametrize("what", LOOKS)
def test_access_to_the_outside_raises_in_sealed(what):
    with pytest.raises(LookedOutsideError), sealed():
        LOOKS[what]()


def test_access_works_again_after_sealed():
    with sealed():
        pass
    assert Path(__file__).exists()
    assert time.time() > 0
