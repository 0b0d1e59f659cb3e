"""Charts of metrics, in the terminal and as PNG."""

import math
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftsdk.errors import FtsdkError, NotInstalledError
from ftsdk.terminal.charts import Curve, nice_ticks, save_png, terminal_chart


def falling(steps=400, every=5):
    """Metrics of a training whose noisy loss falls from about 8 to about 3."""
    wobble = [0.15 * math.sin(12.9 * step) for step in range(steps + 1)]
    loss = {step: 3 + 5 * math.exp(-step / (steps / 5)) + wobble[step] for step in range(every, steps + 1, every)}
    records = [{"step": step, "loss": value} for step, value in loss.items()]
    return [{"step": 0, "eval_loss": 8.25}, *records, {"step": steps, "eval_loss": 3.5}]


def test_the_terminal_chart_names_what_it_shows():
    chart = terminal_chart(falling(), width=80, height=18, color=False)
    lines = chart.splitlines()
    assert len(lines) == 18
    assert max(map(len, lines)) <= 80
    assert "training loss" in lines[0] and "held-out loss 8.25 → 3.5" in lines[0]
    assert "optimizer step" in lines[-1]
    assert lines[-2].split()[0] == "0" and lines[-2].split()[-1] == "400"
    assert "\x1b" not in chart


def test_a_falling_loss_goes_down_from_left_to_right():
    body = terminal_chart(falling(), width=80, height=18, color=False).splitlines()[1:-3]
    drawn = [[x for x, mark in enumerate(line[3:]) if "\u2801" <= mark <= "\u28ff"] for line in body]
    lefts = [min(columns) for columns in drawn if columns]
    assert lefts == sorted(lefts)
    held_out = [(y, line.index("●", 2)) for y, line in enumerate(body) if "●" in line[2:]]
    assert len(held_out) == 2
    assert held_out[0][0] < held_out[1][0] and held_out[0][1] < held_out[1][1]


def test_colours_can_be_switched_off():
    colored = terminal_chart(falling(), color=True)
    assert "\x1b[38;5;" in colored


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"step": st.integers(0, 10**6)},
            optional={"loss": st.floats(-1e9, 1e9), "eval_loss": st.floats(0, 1e3) | st.sampled_from(["NaN", "inf"])},
        ),
        min_size=1,
        max_size=30,
    ),
    st.integers(30, 120),
    st.integers(8, 40),
)
def test_any_metrics_fit_into_the_space_they_are_given(metrics, width, height):
    if not any(isinstance(record.get(name), float) for record in metrics for name in ("loss", "eval_loss")):
        with pytest.raises(FtsdkError, match="nothing to draw"):
            terminal_chart(metrics)
        return
    lines = terminal_chart(metrics, width=width, height=height, color=False).splitlines()
    assert len(lines) == height
    assert max(map(len, lines[1:])) <= width


def test_without_a_loss_there_is_nothing_to_draw(tmp_path):
    for metrics in ([], [{"step": 1, "learning_rate": 0.1}], [{"step": 1, "loss": "NaN"}]):
        with pytest.raises(FtsdkError, match="nothing to draw"):
            terminal_chart(metrics)
        with pytest.raises(FtsdkError, match="nothing to draw"):
            save_png(metrics, tmp_path / "no.png", title="none")
    assert not (tmp_path / "no.png").exists()


def test_the_png_shows_both_curves(tmp_path):
    from matplotlib.image import imread

    path = save_png(falling(), tmp_path / "deep" / "loss.png", title="A title", y_label="loss (nats per token)")
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:24]) == (1280, 720)
    pixels = (imread(path)[:, :, :3] * 255).round().astype(int).reshape(-1, 3)
    for color in ([0x25, 0x63, 0xEB], [0xEA, 0x58, 0x0C]):  # the training loss, the held-out loss
        assert 300 < (abs(pixels - color).max(axis=1) < 8).sum() < 60_000


def test_one_point_is_a_chart_too(tmp_path):
    metrics = [{"step": 10, "loss": 2.5}]
    assert "2.5 → 2.5" in terminal_chart(metrics, color=False)
    assert save_png(metrics, tmp_path / "one.png", title="one").stat().st_size > 1000


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(NotInstalledError, match=r"pip install 'ftsdk\[plot\]'"):
        save_png(falling(), tmp_path / "loss.png", title="none")


def test_smoothing_keeps_the_ends_and_calms_the_middle():
    steps = [float(step) for step in range(200)]
    noisy = Curve(steps, [10 - step / 20 + (-1) ** int(step) for step in steps])
    smooth = noisy.smoothed()
    assert smooth is not None
    assert (smooth.values[0], smooth.values[-1]) == (noisy.values[0], noisy.values[-1])
    assert all(
        abs(value - (10 - step / 20)) < 0.2 for step, value in list(zip(steps, smooth.values, strict=True))[9:-9]
    )
    assert Curve(steps, [10 - step / 20 for step in steps]).smoothed() is None


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 400, [0, 100, 200, 300, 400]), (2.9, 8.4, [3, 4, 5, 6, 7, 8]), (0.01, 0.05, [0.01, 0.02, 0.03, 0.04, 0.05])],
)
def test_ticks_are_round_and_inside(low, high, ticks):
    assert nice_ticks(low, high, count=4) == ticks


def test_importing_costs_nothing():
    code = "import ftsdk.terminal.charts, ftsdk.terminal.progress, sys\n"
    code += "print({'rich', 'plotext', 'matplotlib', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_reward_is_drawn_for_methods_that_sample_answers(tmp_path):
    metrics = [{"step": n, "loss": 0.0, "reward": n / 10} for n in range(1, 11)]
    chart = terminal_chart(metrics, color=False)
    assert "mean reward 0.1 → 1" in chart and "loss" not in chart
    assert save_png(metrics, tmp_path / "reward.png", title="reward").stat().st_size > 1000
