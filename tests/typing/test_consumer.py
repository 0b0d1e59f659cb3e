"""The public types hold for a user's program: right calls pass, wrong ones fail, in mypy and in pyright."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ftsdk
import ftsdk.errors
from ftsdk.spec import generate

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYRIGHT = shutil.which("basedpyright", path=str(Path(sys.executable).parent)) or shutil.which("basedpyright")


def mypy(folder, program):
    """Lines of the program that mypy --strict with pydantic's plugin reports, with its messages."""
    config = folder / "mypy.ini"
    config.write_text("[mypy]\nstrict = true\nplugins = pydantic.mypy\nfollow_imports = silent\n")
    command = [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", folder / "cache", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    rows = re.findall(rf"{program.name}:(\d+): error: (.*)", done.stdout)
    return {int(line): message for line, message in rows}


def pyright(folder, program):
    """Lines of the program that pyright reports, with its messages."""
    config = {"include": [str(program)], "extraPaths": [str(ROOT)], "typeCheckingMode": "standard"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = [PYRIGHT, "--outputjson", "--pythonpath", sys.executable, "--project", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    assert json.loads(done.stdout)["summary"]["filesAnalyzed"] == 1
    errors = [item for item in found if item["severity"] == "error"]
    return {item["range"]["start"]["line"] + 1: item["message"] for item in errors}


def checkers():
    missing = pytest.mark.skipif(PYRIGHT is None, reason="basedpyright is not installed")
    return [mypy, pytest.param(pyright, marks=missing)]


@pytest.mark.parametrize("checker", checkers())
def test_right_calls_pass(checker, tmp_path):
    assert checker(tmp_path, HERE / "right.py") == {}


@pytest.mark.parametrize("checker", checkers())
def test_wrong_calls_fail(checker, tmp_path):
    program = HERE / "wrong.py"
    wrong = {number for number, line in enumerate(program.read_text().splitlines(), 1) if line.endswith("# wrong")}
    assert set(checker(tmp_path, program)) == wrong


def test_every_public_name_is_there():
    assert sorted(ftsdk.__all__) == sorted(ftsdk._HOMES)
    assert all(getattr(ftsdk, name) is not None for name in ftsdk.__all__)
    errors = {
        name for name, kind in vars(ftsdk.errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert errors <= set(ftsdk.__all__)


def test_the_fields_are_those_of_the_spec():
    assert generate.FILE.read_text("utf-8") == generate.source(), "run python -m ftsdk.spec.generate"
