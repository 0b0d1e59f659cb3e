"""When a checkpoint is due: by steps, by the clock, or where its cost meets what it may save."""

from __future__ import annotations

import pytest

from ftsdk.runtime.programs.cadence import ASSUMED_COST_S, Cadence
from ftsdk.sizing.spot import young_s

AUTO = {"every_minutes": None, "every_steps": None, "mtbf_hours": 3.0, "keep": 2}


def test_auto_takes_youngs_interval_of_the_measured_cost():
    cadence = Cadence(AUTO)
    assert cadence.every_s == pytest.approx(young_s(ASSUMED_COST_S, 3 * 3600))
    cadence.cost_s = 25.0
    assert cadence.every_s == pytest.approx(young_s(25.0, 3 * 3600)) == pytest.approx(734.8, abs=0.1)


def test_the_interval_is_never_shorter_than_publishing():
    cadence = Cadence(AUTO)
    cadence.saved(publish_s=1000.0)
    assert cadence.every_s == 1000.0


def test_its_cost_is_below_one_percent_where_a_save_takes_two_seconds():
    cadence = Cadence(AUTO)
    cadence.cost_s = 2.0
    assert cadence.cost_s / cadence.every_s < 0.01


def test_minutes_and_steps_are_taken_as_they_are():
    minutes = Cadence({**AUTO, "every_minutes": 0.5, "mtbf_hours": None})
    assert minutes.every_s == 30.0 and not minutes.is_due_by_step(5, 12)
    steps = Cadence({**AUTO, "every_steps": 5, "mtbf_hours": None})
    assert steps.every_s is None and not steps.is_due_by_time()
    assert [step for step in range(1, 12) if steps.is_due_by_step(step, 12)] == [5, 10]


@pytest.mark.parametrize(("share", "total", "due"), [(0.2, 10, [2, 4, 6, 8, 10]), (0.3, 10, [3, 6, 9]), (0.1, 5, [1])])
def test_a_share_of_all_steps_is_rounded_up_as_transformers_does(share, total, due):
    cadence = Cadence({**AUTO, "every_steps": share, "mtbf_hours": None})
    assert [step for step in range(1, total + 1) if cadence.is_due_by_step(step, total)][: len(due)] == due


def test_the_clock_counts_from_the_last_checkpoint():
    cadence = Cadence({**AUTO, "every_minutes": 1e-9, "mtbf_hours": None})
    cadence.begin()
    assert cadence.is_due_by_time()
    patient = Cadence({**AUTO, "every_minutes": 1e9, "mtbf_hours": None})
    patient.begin()
    assert not patient.is_due_by_time()
