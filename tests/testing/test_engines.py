"""Engines for tests: when a test is skipped or fails for want of one, and how installs wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.setup import engines

COMMON = Path(engines.__file__).with_name("common.sh")
APT_GET = """#!/bin/sh
echo "$@" >>"$CALLS"
if [ "$(wc -l <"$CALLS")" -lt 3 ]; then
  echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)" >&2; exit 100
fi
exit "$LAST_CODE"
"""
HOLDS = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""


@pytest.mark.parametrize(
    ("recorded", "here", "in_ci"),
    [
        ("", "skip", "fail"),
        ("impossible run this as root.", "skip", "fail"),
        ("failed the script broke off", "fail", "fail"),
        ("up", "fail", "fail"),
    ],
)
def test_an_engine_that_failed_fails_the_run_everywhere(tmp_path, recorded, here, in_ci):
    if recorded:
        (tmp_path / "docker").write_text(recorded + "\n")
    for ci, expected in ((False, here), (True, in_ci)):
        decision = engines.decide("docker", answers=False, folder=tmp_path, in_ci=ci)
        assert decision.action == expected
        assert recorded.partition(" ")[2] in decision.message
        assert engines.decide("docker", answers=True, folder=tmp_path, in_ci=ci).action == "run"


def sh(tmp_path, code, **environment):
    """Run a few lines of bash after common.sh; returns the process."""
    environment = {**os.environ, "FTSDK_ENGINE_STATES": str(tmp_path), "FTSDK_APT_LOCK": str(tmp_path / "apt.lock"),
                   "ENGINE": "docker", "COMMON": str(COMMON), **environment}  # fmt: skip
    argv = ["bash", "-c", f'set -euo pipefail; . "$COMMON"; {code}']
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("word", ["fail", "impossible"])
def test_a_script_records_why_it_gave_up(tmp_path, word):
    assert sh(tmp_path, f"{word} there is no daemon.").returncode == 1
    assert engines.recorded("docker", tmp_path).partition(" ")[2] == "there is no daemon."
    assert (
        engines.decide("docker", answers=False, folder=tmp_path, in_ci=False).action
        == {
            "fail": "fail",
            "impossible": "skip",
        }[word]
    )


def test_a_script_that_breaks_off_has_failed(tmp_path):
    assert sh(tmp_path, 'record "failed the script broke off"; false; record up').returncode == 1
    assert engines.recorded("docker", tmp_path) == "failed the script broke off"


@pytest.mark.parametrize("code", [0, 7])
def test_setup_waits_for_a_lock_that_apt_get_ignores(tmp_path, code):
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text(APT_GET)
    program.chmod(0o755)
    calls = tmp_path / "calls"
    path = f"{program.parent}:{os.environ['PATH']}"
    done = sh(tmp_path, "apt_get update -qq", PATH=path, CALLS=str(calls), LAST_CODE=str(code))
    assert done.returncode == code
    assert calls.read_text().splitlines() == ["-o DPkg::Lock::Timeout=600 update -qq"] * 3


@pytest.mark.skipif(not Path("/usr/bin/apt-get").exists() or os.getuid() != 0, reason="needs apt-get and root")
def test_the_lock_of_a_real_apt_get_is_awaited(tmp_path):
    """`clean` of an empty folder of archives takes that folder's lock and changes nothing."""
    archives = tmp_path / "archives"
    (archives / "partial").mkdir(parents=True)
    lock = archives / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        clean = f"apt_get -o Dir::Cache::archives={archives} clean"
        assert sh(tmp_path, clean, FTSDK_APT_WAIT_S="2").returncode != 0
        assert time.monotonic() - began >= 1  # bash counts whole seconds
        holder.communicate("\n")
    assert sh(tmp_path, clean).returncode == 0
