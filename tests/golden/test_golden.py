"""Plans are what they were; after a wanted change, `python -m tests.golden` writes them again."""

import json

import pytest

from tests.golden.plans import FOLDER, golden_files

GOLDEN = dict(golden_files())


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_plan_is_what_it_was(path):
    assert json.loads(json.dumps(GOLDEN[path])) == json.loads(path.read_text("utf-8"))


def test_every_golden_file_belongs_to_a_plan():
    assert set(GOLDEN) == set(FOLDER.rglob("*.json"))
