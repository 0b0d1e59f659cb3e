"""Output while a job runs."""

import io

import pytest

from ftsdk import contract
from ftsdk.terminal.progress import JobProgress, duration


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def a_run():
    """The events of a small job, as the job's lines carry them."""
    lines = [contract.event_line(contract.EVENT_PHASE, phase="training")]
    lines.append(contract.event_line(contract.EVENT_METRICS, step=0, total_steps=800, epoch=0, eval_loss=8.3599))
    for step in range(100, 801, 100):
        numbers = {"loss": 8 - step / 200, "learning_rate": 1e-3, "tokens_per_s": 3123.4, "eta_s": 800.0 - step}
        lines.append(contract.event_line(contract.EVENT_METRICS, step=step, total_steps=800, epoch=1, **numbers))
    lines.append(contract.event_line(contract.EVENT_COMMIT, step=800, seconds=0.31, bytes=41_000_000))
    lines.append(contract.event_line(contract.EVENT_METRICS, step=800, total_steps=800, epoch=1, eval_loss=4.125))
    outcome = {"state": "SUCCEEDED", "reason": "", "message": "The model is published.", "hint": ""}
    return [contract.parse_event(line) for line in [*lines, contract.event_line(contract.EVENT_OUTCOME, **outcome)]]


def shown(stream, events, **options):
    with JobProgress(stream, **options) as progress:
        for event in events:
            progress.event(event)
    return stream.getvalue()


def test_off_a_terminal_every_milestone_is_one_plain_line():
    assert shown(io.StringIO(), a_run(), interval_s=3600).splitlines() == [
        "training",
        "training  step 0/800  held-out loss 8.360",
        "checkpoint of step 800 is safe (41 MB, 0.3 s)",
        "training  step 800/800  loss 4.000  held-out loss 4.125  lr 1.00e-03  3,123 tokens/s  ETA 0s",
        "SUCCEEDED The model is published.",
    ]


def test_between_milestones_a_line_comes_at_every_interval():
    lines = shown(io.StringIO(), a_run(), interval_s=0).splitlines()
    assert [line.split()[2] for line in lines if "loss" in line] == [
        f"{step}/800" for step in (*range(0, 801, 100), 800)
    ]
    assert "training  step 100/800  loss 7.500  held-out loss 8.360  lr 1.00e-03  3,123 tokens/s  ETA 11m40s" in lines


def test_a_loss_that_is_no_number_is_shown_as_it_is():
    event = {"event": "metrics", "step": 3, "total_steps": 9, "loss": "nan", "eta_s": "inf"}
    assert shown(io.StringIO(), [event], interval_s=0) == ("Warning: the loss is nan\nstarting  step 3/9  loss nan\n")


def test_a_failure_says_why_and_what_to_do():
    outcome = {"event": "outcome", "state": "FAILED", "reason": "oom", "message": "Out of memory.", "hint": "Halve it."}
    assert shown(io.StringIO(), [outcome]) == "FAILED Out of memory. Halve it.\n"


def test_unknown_events_are_ignored():
    assert shown(io.StringIO(), [{"event": "weather", "sky": "blue"}]) == ""


@pytest.mark.parametrize("columns", [1, 7, 12, 40, 80, 200])
def test_on_a_terminal_of_any_width_the_bar_ends_full(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    text = shown(Terminal(), a_run())
    assert text.endswith("\x1b[?25h")  # the cursor is back
    if columns >= 80:
        assert "800/800" in text and "4.125" in text


def test_ordinary_lines_appear_above_the_bar_as_they_are(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with JobProgress(stream) as progress:
        progress.line("step [bold]1[/bold] of 日本 " + "x" * 100)
    assert "step [bold]1[/bold] of 日本 " + "x" * 100 in stream.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (59, "59s"), (125, "2m05s"), (3720, "1h02m")])
def test_durations_are_short_texts(seconds, text):
    assert duration(seconds) == text
