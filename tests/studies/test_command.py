"""`ftsdk sweep` and the commands that take a study."""

import json

import pytest
import yaml

from tests.cli.test_cli import ftsdk as command
from tests.studies.trainings import created

SPEC = {"model": "./model", "dataset": "train.jsonl", "name": "tiny"}


@pytest.fixture
def spec_file(spec_folder):
    def write(**more):
        path = spec_folder / "job.yaml"
        path.write_text(yaml.safe_dump({**SPEC, **more}))
        return path

    return write


def test_the_block_in_yaml_and_the_options_say_the_same(spec_file):
    block = {"grid": {"learning_rate": [1e-5, 1e-4], "tuning.rank": [8]}, "metric": "loss", "parallel": 3}
    of_block = json.loads(command("sweep", spec_file(sweep=block), "--dry-run", "--json").stdout)
    given = ("--grid", "learning_rate=1e-5,1e-4", "--grid", "tuning.rank=8", "--metric", "loss", "--parallel", "3")
    of_options = json.loads(command("sweep", spec_file(), *given, "--dry-run", "--json").stdout)
    assert of_block == of_options
    assert [job["changes"] for job in of_block["jobs"]] == [
        {"learning_rate": 1e-5, "tuning.rank": 8}, {"learning_rate": 1e-4, "tuning.rank": 8}
    ]  # fmt: skip


def test_an_option_counts_more_than_the_block(spec_file):
    path = spec_file(sweep={"grid": {"learning_rate": [1e-5, 1e-4]}, "metric": "loss"})
    made = command("sweep", path, "--grid", "learning_rate=3e-4", "--range", "tuning.rank=4,64", "--random", "5",
                   "--dry-run", "--json")  # fmt: skip
    changes = [job["changes"] for job in json.loads(made.stdout)["jobs"]]
    assert {one["learning_rate"] for one in changes} == {3e-4}
    assert all(4 <= one["tuning.rank"] <= 64 for one in changes)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "search space is empty"),
        (("--range", "learning_rate=1e-5,1e-3"), 2, "infinitely many"),
        (("--grid", "learning_rate"), 2, "write KEY=VALUES"),
        (("--range", "learning_rate=1"), 2, "KEY=LOW,HIGH"),
        (("--grid", "seed=1,2", "--metric", "eval_loss"), 2, "held-out rows"),
        (("--grid", "seed=1,2", "--max-cost-usd", "1", "--metric", "loss"), 2, "needs a price"),
    ],
)
def test_bad_input_is_reported_in_one_sentence(spec_file, arguments, code, words):
    done = command("sweep", spec_file(), *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_submit_of_a_sweep_says_which_command_it_is(spec_file):
    done = command("submit", spec_file(sweep={"grid": {"seed": [1, 2]}}))
    assert done.returncode == 2
    assert "ftsdk sweep" in done.stderr
    wrong = command("sweep", spec_file(sweep={"gird": {"seed": [1, 2]}}))
    assert "unknown key 'gird'" in wrong.stderr


def test_a_finished_study_in_every_command(spec_folder):
    study = created(spec_folder, name="rates")
    study.wait(on_event=lambda sentence: None)
    listed = command("studies").stdout
    assert "rates" in listed
    assert "3/3" in listed
    shown = command("status", "rates").stdout
    assert shown.splitlines()[1].split()[1] == "0.001"
    assert all(len(line) <= 80 for line in (*listed.splitlines(), *shown.splitlines()))
    assert json.loads(command("follow", study.uri, "--json").stdout)["best"]["number"] == 2
    compared = command("compare", "rates").stdout
    assert "MEAN loss" in compared
    assert study.best().name[-8:] in compared
