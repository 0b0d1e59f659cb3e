"""Spot: closed forms beside a simulation, and the deadline policy."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftsdk.sizing.spot import advisor, daly_s, decide, quoted, spot_plan, stretched, young_s


def simulated(work_s, every_s, save_s, restart_s, mtbf_s, rounds=4000):
    """Mean running time of jobs that save every so often and lose what is not saved when they are interrupted."""
    chance = random.Random(7)

    def once():
        running = done = 0.0
        start = True
        while done < work_s:
            left = chance.expovariate(1 / mtbf_s)
            cost = (restart_s if start else 0.0) + every_s + save_s
            start = left < cost
            running += min(left, cost)
            done += 0 if start else every_s
            # an exponential clock has no memory: the next piece may draw anew
        return running

    return fmean(once() for _ in range(rounds))


@pytest.mark.parametrize("mtbf_h", [0.7, 3.0, 10.4])
def test_the_expected_time_is_what_a_simulation_takes(mtbf_h):
    expected = stretched(24 * 3600, 900, 30, 0, mtbf_h * 3600)
    assert simulated(24 * 3600, 900, 30, 0, mtbf_h * 3600, rounds=400) == pytest.approx(expected, rel=0.03)


@given(save=st.floats(1, 600), mtbf=st.floats(1200, 200_000))
def test_daly_s_cadence_is_the_best_there_is(save, mtbf):
    best = stretched(1e7, daly_s(save, mtbf), save, 300, mtbf)
    for other in (0.7, 0.85, 1.2, 1.5):
        assert best <= 1.0005 * stretched(1e7, other * daly_s(save, mtbf), save, 300, mtbf)


def test_the_first_order_is_young_s():
    assert young_s(30, 3 * 3600) == pytest.approx(805, abs=1)
    assert daly_s(30, 3 * 3600) == pytest.approx(young_s(30, 3 * 3600), rel=0.05)
    assert daly_s(100, 40) == 40


def test_published_traces_lie_in_the_range():
    """24 h of work, saved every 15 minutes, on 13 traces: billed 1.06 to 1.56 times the work, median 1.16."""
    found = spot_plan(24, advice=quoted(3.0, 1.0, "a trace"), every_minutes=15)
    low, middle, high = (3 * share for share in (found.cost_share_low, found.cost_share, found.cost_share_high))
    assert low <= 1.06 < middle < 1.2 < high
    assert high == pytest.approx(1.56, rel=0.15)
    assert found.hours_low < 1.24 * 24 < found.hours < 10.1 * 24 * 1.1
    assert found.interruptions == pytest.approx(13.5, rel=0.6)


def test_the_advisor_s_data_come_with_their_date():
    entry = advisor("ml.p5.48xlarge")
    assert (entry.saving_low, entry.saving, entry.saving_high) == (0.27, 0.52, 0.81)
    assert entry.interrupted == "5 to 10 %"
    assert "2025-06-28" in entry.source
    assert advisor("ml.unheard.of") is None
    assert spot_plan(1, advice=None) is None


def test_a_known_mean_time_narrows_the_range():
    entry = advisor("g5.xlarge")
    wide, narrow = spot_plan(10, advice=entry), spot_plan(10, advice=entry, mtbf_hours=3.0)
    assert narrow.cost_share == pytest.approx(wide.cost_share)
    assert narrow.cost_share_high < wide.cost_share_high
    assert "given" in narrow.assumptions[1]


def test_spot_until_the_slack_is_gone():
    assert decide(hours_left=10, work_left_hours=5) == "spot"
    assert decide(hours_left=5.5, work_left_hours=5) == "on-demand"


@given(hours=st.floats(0, 100), work=st.floats(0, 100))
def test_moving_on_demand_when_decided_meets_the_deadline(hours, work):
    """A job that is still on spot could lose everything now and still finish on demand."""
    if decide(hours_left=hours, work_left_hours=work) == "spot":
        assert work + 300 / 3600 <= hours


def test_each_of_several_machines_can_stop_the_job():
    entry = quoted(3.0, 1.0, "a trace")
    one, four = (spot_plan(10, advice=entry, every_minutes=15, machines=number) for number in (1, 4))
    assert four.interruptions > 3.9 * one.interruptions
    assert four.cost_share > one.cost_share
    assert four.cost_share_low == one.cost_share_low
    assert "any of the 4 machines" in " ".join(four.assumptions)
