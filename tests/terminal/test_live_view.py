"""The live view, as a terminal shows it: pyte draws what is written, from the events of a real training."""

import io
import json
from pathlib import Path

import pyte
import pytest
from rich.console import Console

from ftsdk.terminal.figures import Background, Figures, concerns
from ftsdk.terminal.progress import JobProgress
from ftsdk.terminal.screen import JobView, Screen, sparkline

RECORDED = [json.loads(line) for line in (Path(__file__).parent / "recorded.jsonl").read_text().splitlines()]
"""Events of `ftsdk demo --steps 200`, as its log has them."""
END = next(event["time"] for event in reversed(RECORDED) if "time" in event)
KNOWN = Background(
    uri="local://support-bot-1a2b3c4d",
    about="Qwen2.5-0.5B-Instruct  sft, lora  1 × L4",
    attempt=2,
    previous=("attempt 1: failed at step 40, spot",),
    tokens_per_s=(400.0, 900.0),
    memory_gib=18.2,
    usable_gib=22.0,
    usd_per_hour=0.8,
    cost_usd=0.31,
    seen_at=END,
    max_cost_usd=2.0,
)


def view(events=RECORDED, background=KNOWN):
    made = JobView(background)
    for event in events:
        made.take(event, END)
    return made


def drawn(views, *, columns=80, lines=30, now=END):
    """The rows of a terminal of this size, without blank ones."""
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, width=columns, height=lines).print(Screen(views, clock=lambda: now))
    screen = pyte.Screen(columns, lines + 200)
    pyte.Stream(screen).feed(stream.getvalue().replace("\n", "\r\n"))
    return [row.rstrip() for row in screen.display if row.strip()]


def until_step(step):
    events = RECORDED[: next(i for i, event in enumerate(RECORDED) if event.get("step", 0) > step)]
    return [*events, {"event": "commit", "step": step, "seconds": 0.31, "bytes": 41_000_000, "time": END - 42}]


def test_one_screen_of_80_columns_says_how_a_job_is_doing():
    shown = view(until_step(120))
    shown.write("a line of the trainer")
    rows = drawn([shown])
    text = "\n".join(rows)
    assert rows[0] == "RUNNING  local://support-bot-1a2b3c4d  attempt 2"
    assert rows[2] == "attempt 1: failed at step 40, spot"
    for name in ("loss", "held-out loss", "learning rate", "gradient norm", "tokens/s", "cost", "checkpoint"):
        assert sum(row.startswith(f"{name} ") for row in rows) == 1, (name, text)
    assert "120/200" in text and "ETA" in text
    assert "step 120, 42s ago" in text
    assert "estimated 400 to 900" in text and "budget 2.00" in text
    assert rows[-1] == "a line of the trainer"
    assert any(bar in text for bar in "▂▃▄▅▆▇")


def test_a_wide_terminal_has_curves_and_resources_side_by_side():
    rows = drawn([view(until_step(120))], columns=200)
    assert any(row.startswith("loss ") and "tokens/s" in row for row in rows)
    assert len(rows) < len(drawn([view(until_step(120))]))


@pytest.mark.parametrize("columns", [1, 7, 20, 40, 80, 119, 120, 200])
@pytest.mark.parametrize("lines", [1, 5, 24])
def test_no_size_of_a_terminal_breaks_it(columns, lines):
    busy = view(until_step(120))
    for number in range(30):
        busy.write(f"line {number} \x1b[2J 日本 " + "x" * 300)
    assert all(len(row) <= columns for row in drawn([busy], columns=columns, lines=lines))
    assert all(len(row) <= columns for row in drawn([busy, busy], columns=columns, lines=lines))


def test_a_line_of_the_log_cannot_move_the_cursor():
    shown = view()
    shown.write("\x1b[1;1Hhidden\x07")
    assert drawn([shown])[-1] == r"\x1b[1;1Hhidden\x07"


def test_the_end_is_shown_with_what_it_says():
    outcome = {"event": "outcome", "state": "FAILED", "message": "Out of memory.", "hint": "Halve it."}
    rows = drawn([view([*RECORDED, outcome])])
    assert rows[0].startswith("FAILED")
    assert "Out of memory. Halve it." in rows
    assert "ETA" not in "\n".join(rows)


def test_several_jobs_are_a_table_with_what_is_wrong_below():
    bad = view([*until_step(50), {"event": "metrics", "step": 51, "total_steps": 200, "time": END, "loss": "nan"}])
    rows = drawn([view(), bad])
    assert rows[0].split()[:3] == ["JOB", "STATE", "STEP"]
    assert len(rows) == 4
    assert rows[-1].startswith("! support-bot-1a2b3c4d: the loss is nan; it was finite until step 48")


def test_on_a_terminal_the_view_is_drawn_in_place_and_the_cursor_comes_back(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with JobProgress(stream, background=KNOWN) as progress:
        for event in RECORDED:
            progress.event(event)
        progress.line("above it")
    screen = pyte.Screen(80, 30)
    pyte.Stream(screen).feed(stream.getvalue().replace("\n", "\r\n"))
    text = "\n".join(screen.display)
    assert text.count("held-out loss") == 1
    assert text.index("above it") < text.index("SUCCEEDED")
    assert not screen.cursor.hidden


def test_sparklines_average_what_does_not_fit():
    assert sparkline([], 8) == ""
    assert sparkline([5.0], 8) == "▁"
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 0, 7, 7], 2) == "▁█"


# --- what looks wrong ----------------------------------------------------------------------------------------
def steps(count=30, **last):
    """Reports of a steady training, 2 s apart, and what the last one has otherwise."""
    wobble = (0.02, -0.01, 0.0)
    reports = [
        {"loss": 2.0 - 0.01 * step + wobble[step % 3], "grad_norm": 1.0, "tokens_per_s": 500.0} for step in range(count)
    ]
    reports[-1].update(last)
    return [
        {"event": "metrics", "step": step, "total_steps": 90, "time": 2.0 * step, **report}
        for step, report in enumerate(reports, 1)
    ]


def kinds(events, *, now=60.0, background=KNOWN):
    figures = Figures(phase="training")
    for event in events:
        figures.take(event, now)
    return [concern.kind for concern in concerns(figures, background, now)]


QUIET = Background(tokens_per_s=(400.0, 900.0), usable_gib=22.0)


def test_a_steady_training_and_the_recorded_one_are_fine():
    assert kinds(steps(), background=QUIET) == []
    assert kinds(RECORDED, now=END, background=QUIET) == []


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (steps(loss="nan"), "not_finite"),
        (steps(grad_norm="inf"), "not_finite"),
        (steps(loss=4.0), "spike"),
        (steps(grad_norm=500.0), "gradient"),
        (steps(gpu_memory_gib=21.5), "memory"),
        ([*steps(3), *({**event, "tokens_per_s": 90.0} for event in steps(20))], "slow"),
    ],
)
def test_each_concern_is_named(events, kind):
    assert kinds(events, background=QUIET) == [kind]


def test_no_report_for_ten_times_the_usual_interval_is_no_progress():
    assert kinds(steps(), now=115.0, background=QUIET) == []
    assert kinds(steps(), now=125.0, background=QUIET) == ["stalled"]


def test_a_rising_held_out_loss_is_overfitting():
    def held_out(*losses):
        return [{"event": "metrics", "step": 10 * i, "eval_loss": loss} for i, loss in enumerate(losses, 1)]

    assert kinds(held_out(3.0, 2.0, 2.1)) == []
    assert kinds(held_out(3.0, 2.0, 2.1, 2.05)) == []
    assert kinds(held_out(3.0, 2.0, 2.1, 2.2)) == ["overfitting"]


def test_an_end_above_the_budget_is_reported_before_it():
    assert kinds(steps(eta_s=3600.0), now=60.0, background=Background(cost_usd=1.0, usd_per_hour=0.5, seen_at=60.0,
                 max_cost_usd=1.4)) == ["budget"]  # fmt: skip


def test_off_a_terminal_a_concern_is_one_line():
    stream = io.StringIO()
    progress = JobProgress(stream, interval_s=3600, prefix="one: ")
    for event in [*steps(loss="nan"), {"event": "metrics", "step": 31, "total_steps": 90, "time": 62.0, "loss": "nan"}]:
        progress.event(event)
    warnings = [line for line in stream.getvalue().splitlines() if "Warning" in line]
    assert warnings == ["one: Warning: the loss is nan; it was finite until step 29"]
