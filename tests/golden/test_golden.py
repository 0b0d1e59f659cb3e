"""Plans are what they were; after a wanted change, `python -m tests.golden` writes them anew."""

import json

import pytest

from tests.golden.plans import FOLDER, PLANS, golden_files


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_what_it_was(name):
    made = json.loads(json.dumps(PLANS[name]().to_json()))
    assert made == json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def test_no_golden_file_is_left_over():
    assert {path for path, _ in golden_files()} == set(FOLDER.glob("*.json"))
