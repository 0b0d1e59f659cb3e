"""Studies: planned as a whole, each job started once by all watchers, best result, limits, cancel and resume."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from ftsdk import JobFailedError, JobNotFoundError, JobState, SpecError, Study, UnsupportedError
from ftsdk.studies import document, trials
from tests.cli.test_cli import ftsdk as command
from tests.python_jobs import claims
from tests.studies.trainings import LEARNS, RATES, created, planned

WATCH = [sys.executable, "-c", "from ftsdk.cli import main; main()", "follow"]
PATIENCE_S = 120
WAITS = 'while not pathlib.Path("GATE").exists(): time.sleep(0.01)\n' + LEARNS


def watcher(study):
    """A process that follows a study."""
    return subprocess.Popen([*WATCH, study.uri], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def ignore(sentence):
    """No news is shown."""


def test_the_whole_is_planned_before_anything_exists(spec_folder, own_home):
    made = planned(spec_folder, max_hours=5)
    assert [trial.changes for trial in made.trials] == [{"learning_rate": rate} for rate in RATES]
    assert len({trial.plan.uri for trial in made.trials}) == 3
    assert all(trial.plan.spec["budget"]["max_hours"] == 5 for trial in made.trials)
    assert made.name.startswith("tiny-sweep-")
    assert not (own_home / "studies").exists()
    assert list(document.names()) == []


def test_a_sweep_ranks_its_jobs_and_goes_on_with_what_exists(spec_folder):
    news = []
    study = created(spec_folder)
    study.wait(on_event=news.append)
    status = study.status()
    assert status.state == "SUCCEEDED"
    assert [trial.changes["learning_rate"] for trial in status.ranked] == sorted(RATES)
    assert study.best().uri == status.trials[1].uri
    assert status.best.value == pytest.approx(0.001)
    assert dict(status.effects())["learning_rate"]["0.003"] == pytest.approx(0.003)
    assert [sentence.partition(" ")[0] for sentence in news if "submitted" in sentence] == ["1/3", "2/3", "3/3"]

    again = created(spec_folder)
    again.wait(on_event=news.append)
    assert again.name == study.name
    assert [len(claims(trials.job_of(again, number))) for number in (1, 2, 3)] == [1, 1, 1]


def test_watchers_that_are_killed_and_race_start_each_job_once(spec_folder):
    study = created(spec_folder, parallel=2)
    killed = watcher(study)
    killed.stderr.readline()  # its first news: a job is being started
    killed.kill()
    killed.communicate()
    for racing in [watcher(study) for _ in range(2)]:
        assert racing.communicate(timeout=PATIENCE_S)[1].count("Traceback") == 0
        assert racing.returncode == 0
    assert [len(claims(trials.job_of(study, number))) for number in (1, 2, 3)] == [1, 1, 1]
    assert [trial.state for trial in study.status().trials] == ["SUCCEEDED"] * 3


def test_a_claim_is_given_once_and_taken_over_from_a_dead_process(spec_folder):
    study = created(spec_folder)
    assert [study.claim(1, turn=1), study.claim(1, turn=1)] == [True, False]
    assert not document.is_abandoned(study.claims()[1], now=time.time())
    assert document.is_abandoned(study.claims()[1], now=time.time() + document.ABANDONED_S + 1)
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    dead = {**study.claims()[1], "by": study.claims()[1]["by"].rpartition(":")[0] + ":" + done.stdout.strip()}
    study.store.put("claims/0001/0001.json", json.dumps(dead).encode())
    assert study.status().trials[0].reason == "being submitted"
    study.wait(on_event=ignore)
    assert study.claims()[1]["turn"] == 2
    assert study.status().state == "SUCCEEDED"


def test_at_most_parallel_jobs_run_at_once(spec_folder):
    gate = spec_folder / "gate"
    study = created(spec_folder, WAITS.replace("GATE", str(gate)), parallel=2)
    study.wait(once=True, on_event=ignore)
    status = study.status()
    assert [trial.claimed for trial in status.trials] == [True, True, False]
    assert (status.state, len(status.waiting)) == ("RUNNING", 1)
    gate.touch()
    study.wait(on_event=ignore)
    assert study.status().state == "SUCCEEDED"


def test_a_cancel_stops_what_runs_and_the_same_sweep_resumes(spec_folder):
    gate = spec_folder / "gate"
    source = WAITS.replace("GATE", str(gate))
    study = created(spec_folder, source)
    study.wait(once=True, on_event=ignore)
    done = command("cancel", study.name)
    assert done.stdout.strip() == study.uri
    study.wait(on_event=ignore)
    status = study.status()
    assert [trial.state for trial in status.trials] == ["CANCELLED", "PENDING", "PENDING"]
    assert (status.state, status.waiting) == ("CANCELLED", [])
    gate.touch()
    created(spec_folder, source).wait(on_event=ignore)
    assert study.status().state == "SUCCEEDED"
    assert len(claims(trials.job_of(study, 1))) == 2


def test_a_failed_job_does_not_end_the_others(spec_folder):
    source = "if config['learning_rate'] == 0.001: sys.exit('ValueError: no')\n" + LEARNS
    study = created(spec_folder, source)
    study.wait(on_event=ignore)
    status = study.status()
    assert [trial.state for trial in status.trials] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert status.best.changes == {"learning_rate": 0.002}


def test_a_metric_that_no_job_reports_is_an_error(spec_folder):
    study = created(spec_folder, metric="accuracy")
    study.wait(on_event=ignore)
    with pytest.raises(JobFailedError, match="reported accuracy"):
        study.best()


def test_the_limits_count_what_has_run_and_what_runs(spec_folder):
    study = created(spec_folder)
    of_study = {**study.document, "max_hours": 10.0}
    for job in of_study["trials"]:
        job["hours"] = 4.0
    first, second, third = study.status().trials
    third_job = of_study["trials"][2]
    assert trials.over_limits(of_study, [first, second, third], third_job) == ""
    runs = [replace(trial, claimed=True, state=JobState.RUNNING, hours=1.0) for trial in (first, second)]
    assert trials.over_limits(of_study, [runs[0], second, third], third_job) == ""
    assert "the next job is estimated at 4 h" in trials.over_limits(of_study, [*runs, third], third_job)
    assert trials.limit_reached(of_study, [*runs, third]) == ""
    late = [replace(runs[0], hours=9.0), replace(runs[1], hours=2.0), third]
    assert "max_hours is 10 h and 11 are used" in trials.limit_reached(of_study, late)


def test_at_the_limit_running_jobs_stop_and_no_job_starts(spec_folder):
    source = "while True: metrics(1, loss=1.0); time.sleep(0.05)\n"
    study = created(spec_folder, source, max_hours=1 / 3600)
    study.wait(on_event=ignore)
    status = study.status()
    assert status.trials[0].state in ("CANCELLED", "FAILED")
    assert [trial.state for trial in status.trials[1:]] == ["PENDING", "PENDING"]
    assert status.waiting == []


def test_a_second_study_with_the_same_name_is_refused(spec_folder):
    created(spec_folder, name="mine")
    with pytest.raises(SpecError, match="study named mine exists"):
        created(spec_folder, name="mine", grid={"learning_rate": [0.5, 0.6]})
    assert created(spec_folder, name="mine").name == "mine"


def test_a_budget_smaller_than_one_job_is_refused(spec_folder):
    made = planned(spec_folder, max_hours=1)
    first = made.trials[0]
    long = replace(first.plan, estimate=replace(first.plan.estimate, hours=3.0, hours_low=2.0, hours_high=4.0))
    with pytest.raises(UnsupportedError, match=r"Job 1 \(learning_rate=0.003\): Not within the budget"):
        replace(made, trials=(replace(first, plan=long), *made.trials[1:])).check()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "eval_loss"}, "needs held-out rows"),
        ({"grid": {"learning_rat": [1]}}, r"Job 1 \(learning_rat=1\): .*did you mean 'learning_rate'"),
        ({"grid": {"tuning.rank": [8, "many"]}}, "Job 2 .*rank"),
        ({"grid": {}}, "empty"),
    ],
)
def test_a_wrong_sweep_is_reported_in_one_sentence(spec_folder, fields, message):
    with pytest.raises(SpecError, match=message):
        planned(spec_folder, **fields)


def test_a_study_that_does_not_exist_is_reported_in_one_sentence(spec_folder):
    study = created(spec_folder, name="rates")
    with pytest.raises(JobNotFoundError, match="did you mean 'rates'"):
        Study("rate").status()
    assert Study("study://rates").document == study.document
    shown = command("status", "study://nobody")
    assert (shown.returncode, shown.stderr.count("\n")) == (20, 1)
