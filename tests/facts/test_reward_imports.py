"""Files that a reward function imports are found when a job is planned, and travel beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ftsdk.backends.docker import Docker, DockerOptions
from ftsdk.errors import SpecError
from ftsdk.facts import inspect
from ftsdk.plan.build import digest_of, staged
from ftsdk.spec.loading import parse

SCORE = "def score(prompts, completions, **columns):\n    return [norm(text) for text in completions]\n"


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def look(folder, *rewards):
    (folder / "prompts.jsonl").write_text('{"prompt": "Name a colour."}\n' * 16)
    method = {"stage": "grpo", "num_generations": 2, "rewards": list(rewards)}
    spec = parse({"model": "./model", "method": method, "dataset": "prompts.jsonl"}, where="t")
    return spec, inspect(spec, folder=folder)


CASES = {
    "a neighbour": (
        {"r.py": "from myutils import norm\n" + SCORE, "myutils.py": "def norm(x): return float(len(x))\n"},
        {"myutils.py"},
    ),
    "a neighbour's neighbour": (
        {"r.py": "from a import norm\n" + SCORE, "a.py": "from b import norm\n", "b.py": "import math\nnorm = len\n"},
        {"a.py", "b.py"},
    ),
    "a package": (
        {
            "r.py": "from scoring.length import norm\n" + SCORE,
            "scoring/__init__.py": "",
            "scoring/length.py": "from . import own\nnorm = own.norm\n",
            "scoring/own.py": "norm = len\n",
            "scoring/other.py": "",
        },
        {"scoring/__init__.py", "scoring/length.py", "scoring/own.py"},
    ),
    "inside the function": (
        {"r.py": SCORE.replace("return", "from late import norm; return"), "late.py": "norm = len\n"},
        {"late.py"},
    ),
    "the standard library": ({"r.py": "import json, re\n" + SCORE.replace("norm", "len")}, set()),
}
CALL = """
import sys
from ftsdk.runtime.programs.rewards import Reward
reward = Reward({"name": "function", "function": "r.py:score", "file": sys.argv[1], "weight": 1.0})
print(reward(prompts=["p"], completions=["four"], completion_ids=[[]]))
"""


@pytest.mark.parametrize("name", CASES)
def test_modules_imported_by_a_reward_function_become_inputs(spec_folder, tmp_path, name):
    files, travel = CASES[name]
    write(spec_folder, files)
    _, facts = look(spec_folder, "r.py:score")
    assert set(facts.reward_imports[str(spec_folder / "r.py")]) == travel
    inside = staged(facts, str(tmp_path / "inside"))
    for file in facts.files:
        if file.path in inside and file.path.endswith(".py"):
            target = Path(inside[file.path])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Path(file.path).read_bytes())
    command = [sys.executable, "-c", CALL, inside[str(spec_folder / "r.py")]]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["[4.0]"]


def test_the_job_is_another_when_a_neighbour_changes(spec_folder):
    write(spec_folder, {"r.py": "from myutils import norm\n" + SCORE, "myutils.py": "norm = len\n"})
    before = digest_of(*look(spec_folder, "r.py:score"))
    write(spec_folder, {"myutils.py": "norm = float\n"})
    assert digest_of(*look(spec_folder, "r.py:score")) != before


def test_files_of_one_folder_share_what_they_import(spec_folder):
    write(
        spec_folder,
        {"a.py": "from c import norm\n" + SCORE, "b.py": "from c import norm\n" + SCORE, "c.py": "norm = len\n"},
    )
    spec, facts = look(spec_folder, "a.py:score", "b.py:score")
    inside = staged(facts, "/in")
    assert {Path(inside[str(spec_folder / name)]).parent for name in ("a.py", "b.py", "c.py")} == {
        Path("/in/rewards/0")
    }
    inputs = {item["path"] for item in Docker(DockerOptions()).plan(spec, facts).document["inputs"]}
    assert "/ftsdk/inputs/rewards/0/c.py" in inputs


@pytest.mark.parametrize("line", ["from .myutils import norm", "from . import myutils", "from ..up import norm"])
def test_a_relative_import_is_refused_with_its_line(spec_folder, line):
    write(spec_folder, {"r.py": "import json\n" + line + "\n" + SCORE, "myutils.py": "norm = len\n"})
    with pytest.raises(SpecError, match=r"r\.py, line 2: a relative import needs a package"):
        look(spec_folder, "r.py:score")


def test_a_neighbour_that_is_no_python_is_refused(spec_folder):
    write(spec_folder, {"r.py": "from myutils import norm\n" + SCORE, "myutils.py": "def norm(:\n"})
    with pytest.raises(SpecError, match=r"myutils\.py cannot be read as Python"):
        look(spec_folder, "r.py:score")
