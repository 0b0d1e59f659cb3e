"""`make release` builds what it says, and its check sees what is wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import release
from tests.house import ROOT

METADATA = "ftsdk-0.dist-info/METADATA"


def test_python_m_ftsdk_is_the_command_line():
    done = subprocess.run([sys.executable, "-m", "ftsdk", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ftsdk, version ")


def test_missing_and_superfluous_files_of_a_wheel_are_named():
    found = list(release.wheel_faults({METADATA: b"Version: 0\n\n[a](docs/a.md) [b](https://x.y)", "tests/x.py": b""}))
    assert "the wheel lacks ftsdk/py.typed" in found
    assert "the wheel lacks ftsdk/sizing/data/cards.csv" in found
    assert "the wheel holds tests/" in found
    assert [one for one in found if "readme" in one] == [
        "the readme links to docs/a.md, which an index page cannot find"
    ]
    assert found[-1] == "the wheel says version 0, ftsdk/contract/release.py another"


@pytest.mark.long
def test_a_release_is_built_and_checked(tmp_path):
    argv = ["make", "release", "REPOSITORY=https://example.com/ftsdk", f"DIST={tmp_path / 'dist'}"]
    done = subprocess.run([*argv, f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.suffix for path in (tmp_path / "dist").iterdir()} == {".whl", ".gz", ""}
