"""Following real jobs, on a terminal and off it."""

import io
import json

import pyte
import pytest

from ftsdk.jobs import live
from ftsdk.studies.live import table as live_table
from tests.cli.test_cli import ftsdk
from tests.python_jobs import started
from tests.studies.trainings import created

TRAINS = """
print("a line of the trainer", flush=True)
say("phase", phase="training")
for step in range(1, TOTAL + 1):
    metrics(step, loss=2.0 / step, eta_s=float(TOTAL - step))
"""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True

    def text(self):
        """What it shows in the end."""
        screen = pyte.Screen(80, 30)
        pyte.Stream(screen).feed(self.getvalue().replace("\n", "\r\n"))
        return "\n".join(screen.display)


@pytest.fixture(autouse=True)
def size(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_terminal_shows_a_job_with_all_its_attempts(spec_folder):
    source = TRAINS + 'if start == 0 and not os.path.exists("again"): open("again", "w"); save(5); sys.exit(75)\n'
    job = started(spec_folder, source, name="shown", retry={"retries": 3, "on": "any"})
    terminal = Terminal()
    live.show(job, terminal)
    shown = terminal.text()
    assert f"SUCCEEDED  {job.uri}" in shown
    assert "10/10" in shown and "first 2" in shown
    assert "a line of the trainer" in shown


def test_a_study_is_a_table_of_its_jobs(spec_folder):
    study = created(spec_folder, TRAINS, grid={"learning_rate": [1e-5, 1e-4]}, parallel=2)
    terminal = Terminal()
    with live_table(study, terminal):
        study.wait(on_event=lambda sentence: None)
    assert terminal.text().count("SUCCEEDED 10/10") == 2


def test_off_a_terminal_several_jobs_write_lines_with_their_names(spec_folder):
    jobs = [started(spec_folder, TRAINS, name=name) for name in ("one", "two")]
    stream = io.StringIO()
    live.show_many(jobs, stream)
    lines = stream.getvalue().splitlines()
    for job in jobs:
        own = [line.removeprefix(f"{job.name}: ") for line in lines if line.startswith(f"{job.name}: ")]
        assert any(line.startswith("SUCCEEDED") for line in own)
        assert any("step 1/10  loss 2.000" in line for line in own)
    assert all(line.startswith((jobs[0].name, jobs[1].name)) for line in lines)
    done = ftsdk("follow", *(job.uri for job in jobs), "--json")
    assert (done.returncode, done.stderr.count("SUCCEEDED")) == (0, 2), done.stderr
    assert [row["uri"] for row in json.loads(done.stdout)] == [job.uri for job in jobs]
    terminal = Terminal()
    live.show_many(jobs, terminal)
    assert terminal.text().count("SUCCEEDED 10/10") == 2
