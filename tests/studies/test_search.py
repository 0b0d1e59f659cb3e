"""Searches: Optuna's own choices, whoever watches; pruning with a checkpoint; seeds; what is refused."""

import json
import subprocess
import sys

import optuna
import pytest

from ftsdk import SpecError, Study, Sweep
from ftsdk.studies.search.operations import OperationLog
from ftsdk.studies.search.optimizer import STUDY_NAME, Optimizer
from tests.cli.test_cli import ftsdk as command
from tests.studies.trainings import created

SPACE = {
    "grid": {"tuning.type": ["lora", "oft"], "seed": [1, 2, 3]},
    "ranges": {"learning_rate": {"low": 1e-6, "high": 1e-2, "log": True}, "tuning.rank": {"low": 4, "high": 64}},
}
COUNT = 30
PATIENCE_S = 120


def settings(**changed):
    return {"sampler": "tpe", "pruner": None, "seed": 7, "goal": "min", **SPACE, **changed}


def loss(chosen):
    """A function with one best place."""
    return abs(chosen["learning_rate"] - 3e-4) * 1000 + abs(chosen["tuning.rank"] - 20) + chosen["seed"]


def suggested(trial):
    chosen = {key: trial.suggest_categorical(key, values) for key, values in SPACE["grid"].items()}
    chosen["learning_rate"] = trial.suggest_float("learning_rate", 1e-6, 1e-2, log=True)
    return {**chosen, "tuning.rank": trial.suggest_int("tuning.rank", 4, 64)}


@pytest.mark.parametrize(
    ("sampler", "plain"), [("tpe", optuna.samplers.TPESampler), ("random", optuna.samplers.RandomSampler)]
)
def test_the_same_seed_chooses_what_optuna_alone_chooses(sampler, plain):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    theirs = []

    def objective(trial):
        theirs.append(suggested(trial))
        return loss(theirs[-1])

    optuna.create_study(sampler=plain(seed=7)).optimize(objective, n_trials=COUNT)
    ours = Optimizer(settings(sampler=sampler))
    for number, chosen in enumerate(theirs, 1):
        assert ours.ask() == chosen
        ours.apply({"kind": "tell", "number": number, "end": "complete", "value": loss(chosen)})


@pytest.mark.parametrize(
    ("pruner", "plain"),
    [
        ("asha", optuna.pruners.SuccessiveHalvingPruner),
        ("hyperband", optuna.pruners.HyperbandPruner),
        ("median", optuna.pruners.MedianPruner),
    ],
)
def test_the_same_reports_prune_what_optuna_alone_prunes(pruner, plain):
    theirs, pruned = [], set()
    study = optuna.create_study(study_name=STUDY_NAME, sampler=optuna.samplers.TPESampler(seed=7), pruner=plain())
    ours, log = Optimizer(settings(pruner=pruner)), []

    def enter(operation):
        log.append(operation)
        ours.apply(operation)

    for number in range(1, COUNT + 1):
        trial = study.ask()
        theirs.append(suggested(trial))
        chosen = ours.ask()
        assert chosen == theirs[-1]
        log.append({"kind": "ask", "number": number, "trial": {"changes": chosen}})
        for step in range(1, 28):
            value = loss(theirs[-1]) + 30 / step
            trial.report(value, step)
            enter({"kind": "report", "number": number, "step": step, "value": value})
            if trial.should_prune():
                pruned.add(number)
                break
        end = "pruned" if number in pruned else "complete"
        study.tell(trial, None if number in pruned else value, state=getattr(optuna.trial.TrialState, end.upper()))
        enter({"kind": "tell", "number": number, "end": end, **({} if number in pruned else {"value": value})})
    assert 0 < len(pruned) < COUNT
    assert ours.pruned == pruned
    again = Optimizer(settings(pruner=pruner))  # another watcher, from the operations alone
    for operation in log:
        again.apply(operation)
    assert (again.pruned, again.ask()) == (pruned, ours.ask())


RATE = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
SCRIPT = """
import json, os, pathlib, time
job = json.loads(pathlib.Path(os.environ["FTSDK_TRAIN"]).read_text())
output, config = pathlib.Path(job["output"]), job["document"]["config"]
send = lambda event: open(os.environ["FTSDK_EVENTS"], "w").write(json.dumps(event) + "\\n")
value = config["arguments"]["x"]
RUNS
send({"event": "metrics", "step": 9, "loss": (value - 3) ** 2, "time": 0.0})
(output / "result.json").write_text(str(value))
"""


def searched(folder, source="", **fields):
    """A search over the argument of a Python file; written, none of its jobs started."""
    from ftsdk import Estimator

    (folder / "square.py").write_text(source or SCRIPT.replace("RUNS", ""))
    program = {"type": "python", "file": "square.py", "arguments": {"x": 0.0}}
    estimator = Estimator(model="./model", program=program, name="square", folder=folder)
    ranges = {"program.arguments.x": {"low": -10.0, "high": 10.0}}
    sweep = Sweep.model_validate(
        {"search": "tpe", "trials": 5, "seed": 3, "ranges": ranges, "metric": "loss", **fields}
    )
    return sweep.plan(estimator).create()


def values_by_optuna(count):
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=3))
    study.optimize(lambda trial: (trial.suggest_float("program.arguments.x", -10.0, 10.0) - 3) ** 2, n_trials=count)
    return [trial.params["program.arguments.x"] for trial in study.trials], study.best_value


def test_a_search_runs_what_optuna_chooses_though_its_watcher_is_killed(spec_folder):
    study = searched(spec_folder, trials=12)
    follow = [sys.executable, "-c", "from ftsdk.cli import main; main()", "follow", study.uri]
    watcher = subprocess.Popen(follow, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while "2/12" not in (line := watcher.stderr.readline()):
        assert line
    watcher.kill()
    watcher.communicate()
    racing = [subprocess.Popen(follow, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in "ab"]
    for watcher in racing:
        assert "Traceback" not in watcher.communicate(timeout=PATIENCE_S)[1]
        assert watcher.returncode == 0
    theirs, best = values_by_optuna(12)
    status = study.status()
    assert [trial.changes["program.arguments.x"] for trial in status.trials] == theirs
    assert status.state == "SUCCEEDED"
    assert status.best.value == pytest.approx(best)
    log = OperationLog(study.store)
    assert len(log.read()) == 24  # each job is chosen once and told once


STEPS = """
for step in range(1, 6):
    send({"event": "metrics", "step": step, "loss": (value - 3) ** 2 + 1 / step, "time": 0.0})
while (value - 3) ** 2 > WORST and not pathlib.Path("GATE").exists():
    time.sleep(0.01)
"""
"""Reports its steps; once the gate is shut, a job that is worse than WORST never ends by itself."""


def test_a_job_that_was_chosen_and_not_planned_is_planned_by_the_next_watcher(spec_folder):
    study = searched(spec_folder, trials=1)
    theirs, _ = values_by_optuna(1)
    trial = {"number": 1, "changes": {"program.arguments.x": theirs[0]}, "uri": "", "hours": None, "cost_usd": None}
    assert OperationLog(study.store).append([{"kind": "ask", "number": 1, "trial": trial}])
    assert not OperationLog(study.store).append([])
    study.wait(on_event=lambda sentence: None)
    assert study.status().state == "SUCCEEDED"
    assert [trial["changes"] for trial in study.trials()] == [{"program.arguments.x": theirs[0]}]


def test_a_job_that_is_behind_is_pruned_and_stays_so(spec_folder):
    ranges = {"program.arguments.x": {"low": -10.0, "high": 10.0}}
    chooses = Optimizer(settings(sampler="random", seed=1, grid={}, ranges=ranges))
    losses = [(chooses.ask()["program.arguments.x"] - 3) ** 2 for _ in range(12)]
    worst, gate = sorted(losses[:5])[2], spec_folder / "gate"
    behind = {number for number, loss in enumerate(losses, 1) if number > 5 and loss > worst}
    assert behind
    gate.touch()

    def shut_the_gate(sentence):
        if sentence.startswith("5/12") and "SUCCEEDED" in sentence:
            gate.unlink()

    source = SCRIPT.replace("RUNS", STEPS).replace("WORST", repr(worst)).replace("GATE", str(gate))
    study = searched(spec_folder, source, search="random", pruner="median", trials=12, seed=1)
    study.wait(on_event=shut_the_gate)
    status = study.status()
    pruned = {trial.number for trial in status.trials if trial.reason == "pruned at step 5"}
    assert pruned == behind
    assert {trial.number for trial in status.trials if trial.state == "CANCELLED"} == behind
    assert status.best.value == pytest.approx(min(losses))
    study.resume()
    assert len(study.claims()) == 12  # what was pruned is not started again


def test_seeds_are_repeated_and_ranked_by_their_mean(spec_folder):
    study = created(spec_folder, seeds=2, grid={"learning_rate": [0.002, 0.001]})
    assert [trial["changes"] for trial in study.trials()] == [
        {"learning_rate": rate, "seed": seed} for rate in (0.002, 0.001) for seed in (0, 1)
    ]
    study.wait(on_event=lambda sentence: None)
    groups = study.status().groups
    assert [group.changes for group in groups] == [{"learning_rate": 0.001}, {"learning_rate": 0.002}]
    assert (groups[0].mean, groups[0].spread) == (pytest.approx(0.001), 0.0)
    assert study.status().best.changes["learning_rate"] == 0.001
    assert "SPREAD" in command("status", study.uri).stdout


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"search": "tpe", "ranges": RATE}, "how many jobs with --trials"),
        ({"search": "tpe", "trials": 3, "random": 2, "ranges": RATE}, "leave random and seeds out"),
        ({"trials": 3, "grid": {"seed": [1, 2]}}, "trials is of a search"),
        ({"pruner": "asha", "grid": {"seed": [1, 2]}}, "pruner is of a search"),
        ({"search": "tpe", "trials": 3}, "search space is empty"),
        ({"search": "tpe", "trials": 3, "grid": {"tuning": [{"type": "lora"}]}}, "chooses among numbers"),
        ({"seeds": 2, "grid": {"seed": [1, 2]}}, "Both seeds and the values"),
        ({"seeds": 600, "grid": {"learning_rate": [1e-3, 1e-4]}}, "at most 1000"),
    ],
)
def test_a_search_that_is_none_is_refused(spec_folder, fields, message):
    with pytest.raises(SpecError, match=message):
        created(spec_folder, **{"grid": {}, **fields})


def test_the_plan_of_a_search_says_how_many_jobs(spec_folder):
    path = spec_folder / "job.yaml"
    block = {"search": "tpe", "trials": 20, "pruner": "asha", "ranges": RATE, "metric": "loss"}
    path.write_text(json.dumps({"model": "./model", "dataset": "train.jsonl", "sweep": block}))
    shown = command("sweep", path, "--dry-run")
    assert "20 jobs, 1 at once, chosen by tpe after the first" in shown.stdout
    assert not Study(json.loads(command("sweep", path, "--dry-run", "--json").stdout)["name"]).store.path().exists()
