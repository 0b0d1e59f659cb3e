"""Verbs on real jobs: status, wait, watch, clean."""

import json
import subprocess
import sys

import pytest

from ftsdk.jobs import journal
from ftsdk.jobs.job import Job
from tests.cli.test_cli import ftsdk
from tests.python_jobs import PREEMPTED_EACH_STEP, started

RUNS = "metrics(1, loss=2.5); time.sleep(600)"
MAKES = "metrics(1, loss=2.5); (output / 'weights.bin').write_bytes(bytes(5000))"


def test_status_shows_attempts_cost_and_budget(spec_folder):
    options = {"price_usd_per_hour": 2.0}
    source = PREEMPTED_EACH_STEP.replace("TOTAL", "2")
    job = started(spec_folder, source, name="shown", options=options, budget={"max_cost_usd": 9.0})
    done = ftsdk("wait", job.uri)
    assert done.returncode == 0, done.stderr
    assert "retry 1 of 20" in done.stderr
    said = ftsdk("status", job.uri).stdout
    assert "SUCCEEDED, attempt 2" in said
    assert "step 2/10, loss 0.5" in said
    assert "USD so far at 2 USD/h" in said
    assert "budget left: 9.00 USD" in said
    assert "ATTEMPT" in said
    assert "preempted" in said
    data = json.loads(ftsdk("status", job.uri, "--json").stdout)
    assert [attempt["reason"] for attempt in data["attempts"]] == ["preempted", ""]
    assert data["latest"]["step"] == 2


def test_a_job_with_one_attempt_shows_no_table_and_no_money(spec_folder):
    job = started(spec_folder, MAKES, name="plain")
    job.wait(60)
    said = ftsdk("status", job.uri).stdout
    assert "ATTEMPT" not in said
    assert "USD" not in said
    assert "console" not in said
    refused = ftsdk("status", job.uri, "--terminal")
    assert (refused.returncode, "the local backend opens no terminals" in refused.stderr) == (4, True)


def test_clean_shows_bytes_asks_and_leaves_nothing(spec_folder, own_home):
    job = started(spec_folder, MAKES, name="leftover")
    job.wait(60)
    folder = own_home / "jobs" / "local" / job.name
    asked = ftsdk("clean", job.uri)  # nobody answers
    assert (asked.returncode, folder.is_dir()) == (130, True)
    assert f"{folder}  (" in asked.stderr
    removed = ftsdk("clean", job.uri, "--yes", "--json")
    assert json.loads(removed.stdout)["bytes"] > 5000
    assert not folder.exists()
    assert journal.entries(job.uri) == []
    assert ftsdk("jobs").stdout.count(job.name) == 0
    assert ftsdk("clean", job.uri, "--yes").returncode == 20


def test_clean_removes_what_lies_in_the_specs_output_and_nothing_beside_it(spec_folder, own_home):
    job = started(spec_folder, MAKES, name="elsewhere", output="runs")
    job.wait(60)
    beside = spec_folder / "runs" / "mine.txt"
    beside.write_text("keep")
    assert ftsdk("clean", job.name, "-y").returncode == 0
    assert [path.name for path in (spec_folder / "runs").iterdir()] == ["mine.txt"]
    assert not (own_home / "jobs" / "local" / job.name).exists()


def test_clean_refuses_a_running_job(spec_folder):
    job = started(spec_folder, RUNS, name="busy")
    refused = ftsdk("clean", job.uri, "--yes")
    assert (refused.returncode, "cancel it first" in refused.stderr) == (1, True)
    assert Job.attach(job.uri).state == "RUNNING"
    job.cancel()
    job.wait(60)


def test_clean_forgets_a_job_whose_folder_was_deleted_by_hand(spec_folder, own_home):
    import shutil

    job = started(spec_folder, MAKES, name="gone")
    job.wait(60)
    shutil.rmtree(own_home / "jobs" / "local" / job.name)
    assert ftsdk("clean", job.uri, "--yes").returncode == 0
    assert journal.entries(job.uri) == []


@pytest.mark.parametrize("as_json", [False, True])
def test_watch_prints_a_line_per_decision_on_stdout(spec_folder, as_json):
    job = started(spec_folder, PREEMPTED_EACH_STEP.replace("TOTAL", "3"), name="watched")
    done = ftsdk("watch", job.uri, "--every-s", "0.05", *(["--json"] if as_json else []))
    assert done.returncode == 0, done.stderr
    if as_json:
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(line["attempt"], line["action"]) for line in lines] == [(1, "start"), (2, "start"), (3, "done")]
    else:
        first, second, third = done.stdout.splitlines()
        assert f"{job.uri}: start: Attempt 1 ended with 'preempted': retry 1 of 20." in first
        assert "retry 2 of 20" in second
        assert "done: Attempt 3 succeeded." in third


def test_watch_goes_on_with_other_jobs_after_one_fails(spec_folder):
    job = started(spec_folder, MAKES, name="fine")
    job.wait(60)
    done = ftsdk("watch", "local://nothing-12345678", job.uri, "--every-s", "0.05")
    assert done.returncode == 0
    assert "done: Attempt 1 succeeded" in done.stdout
    assert "no job local://nothing-12345678" in done.stderr


def test_a_label_names_a_job_unless_several_have_it(spec_folder):
    job = started(spec_folder, MAKES, name="labelled")
    job.wait(60)
    assert f"{job.uri}: SUCCEEDED" in ftsdk("status", "labelled").stdout
    unknown = ftsdk("status", "labeled")
    assert (unknown.returncode, "did you mean 'labelled'?" in unknown.stderr) == (20, True)
    other = started(spec_folder, MAKES, name="labelled", hyperparameters={"seed": 5})
    other.wait(60)
    ambiguous = ftsdk("status", "labelled")
    assert (ambiguous.returncode, "is 2 jobs" in ambiguous.stderr) == (2, True)


def test_follow_shows_a_job_that_another_process_started(spec_folder):
    job = started(spec_folder, MAKES, name="followed")
    done = ftsdk("follow", job.uri)
    assert (done.returncode, done.stdout.strip()) == (0, job.model().uri), done.stderr
    assert "SUCCEEDED" in done.stderr
    failed = started(spec_folder, "sys.exit(3)", name="fails")
    refused = ftsdk("follow", failed.uri)
    assert (refused.returncode, failed.uri in refused.stderr) == (21, True)


def test_logs_have_events_only_with_the_option(spec_folder):
    job = started(spec_folder, f"print('of the trainer', flush=True)\n{MAKES}", name="spoken")
    job.wait(60)
    plain, all_lines = ftsdk("logs", job.uri).stdout, ftsdk("logs", job.uri, "--events").stdout
    assert "of the trainer" in plain
    assert '"event"' not in plain
    assert '"event": "metrics"' in all_lines
    assert any('"event' in json.loads(line)["text"] for line in ftsdk("logs", job.uri, "--json").stdout.splitlines())


def test_ctrl_c_in_fit_says_how_to_come_back(spec_folder):
    job = started(spec_folder, RUNS, name="interrupted")
    program = (
        "import sys, os, signal, threading\n"
        "from ftsdk.jobs import live\n"
        "from ftsdk.jobs.job import Job\n"
        "job = Job.attach(sys.argv[1])\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "with live.interruptible(job, sys.stderr):\n    job.wait()\n"
    )
    argv = [sys.executable, "-c", program, job.uri]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert f"Watch again: ftsdk follow {job.uri}; end it: ftsdk cancel {job.uri}" in done.stderr
    assert Job.attach(job.uri).state == "RUNNING"
    job.cancel()
    job.wait(60)
