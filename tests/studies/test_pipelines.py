"""Pipelines: order, conditions, fan-out, caching, resuming, several watchers, pushes, and what is refused before."""

import json
import signal
import subprocess
import sys

import pytest

from ftsdk import JobFailedError, JobSpec, Pipeline, SpecError, Step
from ftsdk.studies.jobs import job_of
from ftsdk.studies.pipelines import reading
from tests.cli.test_cli import ftsdk as command
from tests.python_jobs import claims
from tests.studies.chains import runs, step, written

PATIENCE_S = 120


def planned(folder, steps, *, changes=(), **settings):
    loaded = reading.load(str(written(folder, steps, **settings)), changes=changes)
    return loaded.pipeline.plan(folder=loaded.folder)


def created(folder, steps, **settings):
    return planned(folder, steps, **settings).create()


def finished(folder, steps, **settings):
    study = created(folder, steps, **settings)
    study.wait(on_event=lambda sentence: None)
    return study


def states(study):
    return {t.step: "SKIPPED" if t.skipped else str(t.state) for t in study.status().trials}


def value(study, name):
    trial = next(t for t in study.status().trials if t.step == name)
    return json.loads(job_of(study, trial.number).store.read("model/value.json"))


def test_steps_take_each_others_results_in_their_order(spec_folder):
    steps = {
        "last": step(spec_folder, "last", "step://middle", adds=100),
        "middle": step(spec_folder, "middle", "step://first", adds=10),
        "first": step(spec_folder, "first"),
    }
    made = planned(spec_folder, steps)
    assert [one.step.name for one in made.steps] == ["first", "middle", "last"]
    assert made.steps[0].uri.startswith("local://")
    assert [one.uri for one in made.steps[1:]] == ["", ""]
    study = finished(spec_folder, steps)
    assert states(study) == dict.fromkeys(("first", "middle", "last"), "SUCCEEDED")
    assert value(study, "last") == 111
    assert runs(spec_folder) == ["first", "middle", "last"]


def test_the_same_again_runs_nothing_and_a_change_runs_from_there(spec_folder):
    def steps(adds):
        return {
            "one": step(spec_folder, "one"),
            "two": step(spec_folder, "two", "step://one", adds=adds),
            "three": step(spec_folder, "three", "step://two"),
        }

    first = finished(spec_folder, steps(10))
    assert finished(spec_folder, steps(10)).name == first.name
    assert runs(spec_folder) == ["one", "two", "three"]
    changed = finished(spec_folder, steps(20))
    assert changed.name != first.name
    assert value(changed, "three") == 22
    assert runs(spec_folder) == ["one", "two", "three", "two", "three"]


@pytest.mark.parametrize(("adds", "third"), [(10, "SUCCEEDED"), (1, "SKIPPED")])
def test_a_condition_on_a_metric_decides(spec_folder, adds, third):
    steps = {
        "one": step(spec_folder, "one", adds=adds),
        "two": step(spec_folder, "two", "step://one", **{"if": "one.value > 5"}),
        "three": step(spec_folder, "three", "step://two"),
    }
    study = finished(spec_folder, steps)
    assert states(study) == {"one": "SUCCEEDED", "two": third, "three": third}
    if third == "SKIPPED":
        reasons = [trial.reason for trial in study.status().trials]
        assert reasons[1:] == ["not one.value > 5: one.value is 1", "two was skipped"]
        assert study.status().state == "SUCCEEDED"
        assert "SKIPPED" in command("status", study.uri).stdout


def test_a_fan_out_runs_each_value_and_the_best_goes_on(spec_folder):
    steps = {
        "train": step(spec_folder, "train", foreach={"program.arguments.adds": [1, 5, 3]}),
        "check": step(spec_folder, "check", "step://train"),
        "keep": step(spec_folder, "keep", "step://train", best="check.value", adds=100),
        "all": step(spec_folder, "all", needs=["check"]),
    }
    made = planned(spec_folder, steps)
    assert [one.step.name for one in made.steps] == [
        "train_1", "train_2", "train_3", "check_1", "check_2", "check_3", "keep", "all"
    ]  # fmt: skip
    assert made.steps[3].step.inputs == {"train": ("train_1",)}
    assert set(made.steps[7].step.needs) == {"check_1", "check_2", "check_3"}
    study = finished(spec_folder, steps, parallel=3)
    assert set(states(study).values()) == {"SUCCEEDED"}
    assert value(study, "keep") == 105


def test_a_failed_step_skips_what_needs_it_and_the_same_again_goes_on(spec_folder):
    repaired = spec_folder / "repaired"
    steps = {
        "one": step(spec_folder, "one"),
        "two": step(spec_folder, "two", "step://one", fails=str(repaired)),
        "three": step(spec_folder, "three", "step://two"),
        "other": step(spec_folder, "other", "step://one", adds=7),
    }
    study = finished(spec_folder, steps)
    assert states(study) == {"one": "SUCCEEDED", "two": "FAILED", "three": "SKIPPED", "other": "SUCCEEDED"}
    assert study.status().state == "FAILED"
    with pytest.raises(JobFailedError, match=r"Step two of study://chain-.* ended as FAILED"):
        study.raise_for_failure()
    repaired.touch()
    again = finished(spec_folder, steps)
    assert again.name == study.name
    assert set(states(again).values()) == {"SUCCEEDED"}
    assert sorted(runs(spec_folder)) == ["one", "other", "three", "two", "two"]


def test_watchers_killed_between_and_inside_steps_start_each_step_once(spec_folder):
    gate = spec_folder / "gate"
    steps = {
        "one": step(spec_folder, "one"),
        "two": step(spec_folder, "two", "step://one", gate=str(gate)),
        "three": step(spec_folder, "three", "step://two"),
    }
    study = created(spec_folder, steps)
    follow = [sys.executable, "-c", "from ftsdk.cli import main; main()", "follow", study.uri]
    for word in ("1/3 one: submitted", "2/3 two: submitted"):  # killed inside the first step, then inside the second
        watcher = subprocess.Popen(follow, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        while word not in (line := watcher.stderr.readline()):
            assert line, f"the watcher has ended without {word!r}"
        watcher.send_signal(signal.SIGKILL)
        watcher.communicate()
    racing = [subprocess.Popen(follow, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in "ab"]
    gate.touch()
    for watcher in racing:
        assert "Traceback" not in watcher.communicate(timeout=PATIENCE_S)[1]
        assert watcher.returncode == 0
    assert runs(spec_folder) == ["one", "two", "three"]
    assert [len(claims(job_of(study, number))) for number in (1, 2, 3)] == [1, 1, 1]


def test_a_push_publishes_once_and_a_refused_one_fails_its_step(spec_folder):
    target = spec_folder / "published"
    steps = {"one": step(spec_folder, "one"), "push": {"push": str(target), "model": "step://one"}}
    study = finished(spec_folder, steps)
    assert states(study) == {"one": "SUCCEEDED", "push": "SUCCEEDED"}
    assert (target / "value.json").read_text() == "1"
    assert study.status().trials[1].uri == target.as_uri()
    assert states(finished(spec_folder, steps))["push"] == "SUCCEEDED"
    again = finished(spec_folder, {**steps, "push": {**steps["push"], "if": "one.value > 0"}})
    assert states(again)["push"] == "FAILED"
    assert "holds a model already" in again.status().trials[1].reason


def test_python_and_yaml_say_the_same(spec_folder):
    steps = {"one": step(spec_folder, "one"), "two": step(spec_folder, "two", "step://one")}
    of_yaml = planned(spec_folder, steps, name="chain")
    objects = [Step(name=name, spec=JobSpec(**fields)) for name, fields in reversed(steps.items())]
    of_python = Pipeline(objects, name="chain").plan(folder=spec_folder)
    assert of_python.digest == of_yaml.digest


def test_every_command_takes_a_pipeline(spec_folder):
    steps = {"one": step(spec_folder, "one"), "two": step(spec_folder, "two", "step://one")}
    path = written(spec_folder, steps)
    shown = command("run", path, "--set", "two.program.arguments.adds=5", "--dry-run")
    assert [line.split()[:3] for line in shown.stdout.splitlines()[1:3]] == [
        ["one", "python", "-"],
        ["two", "python", "one"],
    ]
    assert not runs(spec_folder)
    made = json.loads(command("run", path, "--json").stdout)
    assert [job["state"] for job in made["jobs"]] == ["SUCCEEDED", "SUCCEEDED"]
    name = made["uri"].removeprefix("study://")
    assert name in command("studies").stdout
    assert all(len(line) <= 80 for line in command("status", name).stdout.splitlines())
    assert command("compare", name).returncode == 4
    assert json.loads(command("follow", name, "--json").stdout)["state"] == "SUCCEEDED"
    assert command("cancel", name).stdout.strip() == made["uri"]


def _spoilt(folder, change):
    steps = {"one": step(folder, "one"), "two": step(folder, "two", "step://one")}
    change(steps)
    return steps


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["one"].update(needs=["two"]), "need each other in a circle: .*(one needs two|two needs one)"),
        (lambda s: s["two"].update(model="step://oen"), "there is no step 'oen'.*did you mean 'one'"),
        (lambda s: s["two"].update(needs="three"), "there is no step 'three'"),
        (lambda s: s["two"].update({"if": "one.value >"}), "cannot be read"),
        (lambda s: s["two"].update({"if": "zero.value > 1"}), "there is no step 'zero'"),
        (lambda s: s["two"].update(best="one.value"), "nothing to choose"),
        (lambda s: s["two"].update(foreach={"seed": []}), "foreach"),
        (lambda s: s["two"].update(colour="red"), "unknown key 'colour'"),
        (lambda s: s["one"]["program"].update(file="none.py"), "Step one: .*give a Python file"),
        (lambda s: s["two"].update(backend="nowhere"), "nowhere"),
        (lambda s: s.update({"a-b": s.pop("one")}), "no name of a step"),
        (lambda s: s.update(push={"push": "hf:", "model": "step://two"}), "names no place"),
        (lambda s: s.update(push={"push": "out", "modle": "step://two"}), "unknown key 'modle'"),
        (lambda s: s.clear(), "has `steps`"),
    ],
)
def test_a_wrong_pipeline_is_refused_in_one_sentence_before_anything_starts(spec_folder, own_home, change, message):
    with pytest.raises(Exception, match=message) as caught:
        planned(spec_folder, _spoilt(spec_folder, change))
    assert "\n" not in str(caught.value)
    assert not (own_home / "studies").exists()


def test_a_metric_that_no_step_reports_is_refused(spec_folder):
    rows = {"dataset": "train.jsonl"}
    steps = {
        "sft": {"model": "./model", **rows},
        "evaluate": {"model": "step://sft", "program": {"type": "evaluate", "metrics": ["f1"]}, **rows},
        "again": {"model": "step://sft", **rows, "if": "evaluate.exact_match > 0.5"},
    }
    with pytest.raises(SpecError, match=r"evaluate reports no exact_match: name it in its program\.metrics"):
        planned(spec_folder, steps)
    steps["again"]["if"] = "sft.eval_loss < 2"
    with pytest.raises(SpecError, match="sft reports no eval_loss, as it has no held-out rows"):
        planned(spec_folder, steps)


def test_an_evaluation_without_rows_takes_those_of_the_training(spec_folder):
    steps = {
        "sft": {"model": "./model", "dataset": {"train": "train.jsonl", "eval_fraction": 0.2}, "cutoff_len": 77},
        "merge": {"model": "step://sft", "program": "merge"},
        "evaluate": {"model": "step://merge", "program": "evaluate"},
    }
    made = planned(spec_folder, steps)
    spec = made.steps[2].step.spec
    assert spec.dataset.eval_fraction == 0.2
    assert spec.hyperparameters.cutoff_len == 77


def test_a_file_and_the_defaults_stand_below_a_steps_own_fields(spec_folder):
    (spec_folder / "sft.yaml").write_text("model: ./model\ndataset: train.jsonl\nlearning_rate: 0.5\nname: base\n")
    steps = {"sft": {"spec": "sft.yaml", "learning_rate": 0.25}}
    made = planned(spec_folder, steps, defaults={"name": "ours", "hyperparameters": {"seed": 3}})
    spec = made.steps[0].step.spec
    assert (spec.name, spec.hyperparameters.learning_rate, spec.hyperparameters.seed) == ("base", 0.25, 3)
    changed = planned(spec_folder, steps, changes=["sft.learning_rate=0.125"]).steps[0].step.spec
    assert changed.hyperparameters.learning_rate == 0.125
    for wrong, message in (("nope.x=1", "there is no step 'nope'"), ("sft=1", "write STEP.KEY=VALUE")):
        with pytest.raises(SpecError, match=message):
            planned(spec_folder, steps, changes=[wrong])
