"""Limits on hours and cost: planned against, enforced while running, resumable once they are raised."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ftsdk import backends
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.jobs import watching
from ftsdk.jobs.status import Status
from ftsdk.jobs.submit import submit
from ftsdk.plan import budgets
from ftsdk.plan.build import digest_of
from ftsdk.sizing import Estimate
from ftsdk.spec import Budget
from ftsdk.spec.loading import parse
from tests.golden.plans import facts, spec
from tests.python_jobs import plan, started

PATIENCE_S = 120
SECONDS = 1 / 3600
COUNTS = """
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
step = start
while not asked and step < 10**6 and not (start and step > start + 5):
    step += 1; metrics(step); time.sleep(0.02)
save(step)
sys.exit(75 if asked else 0)
"""


def test_a_limit_in_dollars_needs_a_price_and_says_how_to_give_one(spec_folder):
    limit = {"max_cost_usd": 10.0}
    with pytest.raises(SpecError, match=r"price_usd_per_hour.*FTSDK_LOCAL_PRICE_USD_PER_HOUR.*ftsdk\.toml"):
        plan(spec_folder, "", budget=limit)
    priced = plan(spec_folder, "", budget=limit, options={"price_usd_per_hour": 4.0})
    assert (priced.usd_per_hour, priced.document["budget_s"]) == (4.0, 2.5 * 3600)


def test_a_price_above_the_hourly_limit_is_refused_and_one_below_it_planned(spec_folder):
    limit = {"max_usd_per_hour": 5.0}
    with pytest.raises(SpecError, match=r"budget\.max_usd_per_hour needs a price"):
        plan(spec_folder, "", budget=limit)
    with pytest.raises(UnsupportedError, match=r"1 × 6 USD an hour is more"):
        plan(spec_folder, "", budget=limit, options={"price_usd_per_hour": 6.0})
    assert plan(spec_folder, "", budget=limit, options={"price_usd_per_hour": 4.0}).usd_per_hour == 4.0


@pytest.mark.parametrize(("nodes", "refused"), [(1, False), (3, True)])
def test_the_hourly_limit_is_for_all_machines_together(nodes, refused):
    call = {"backend": "docker", "num_nodes": nodes, "options": {"price_usd_per_hour": 2.0}, "known": None}
    if refused:
        with pytest.raises(UnsupportedError, match="3 × 2 USD"):
            budgets.price_of_job(Budget(max_usd_per_hour=5.0), **call)
    else:
        assert budgets.price_of_job(Budget(max_usd_per_hour=5.0), **call) == 2.0


@pytest.mark.parametrize(
    ("limits", "used", "left_hours"),
    [
        ({}, {}, None),
        ({"max_hours": 3.0}, {}, 3.0),
        ({"max_hours": 3.0}, {"hours": 2.0}, 1.0),
        ({"max_hours": 3.0}, {"hours": 4.0}, 0.0),
        ({"max_hours": 3.0, "max_cost_usd": 4.0}, {"cost_usd": 1.0}, 1.5),
        ({"finish_by": datetime(2026, 12, 1, tzinfo=UTC)}, {}, None),
    ],
)
def test_the_remaining_budget_is_in_seconds(limits, used, left_hours):
    left = budgets.left_s(Budget(**limits), 2.0, **used)
    assert left == (None if left_hours is None else left_hours * 3600)


def test_an_estimate_over_the_budget_warns_and_is_refused_only_if_its_fast_end_is_over():
    estimate = Estimate(hours_low=2.0, hours=3.0, hours_high=5.0)
    assert budgets.warnings(Budget(max_hours=6.0), estimate, None) == ()
    assert "5 h, over max_hours of 4 h" in budgets.warnings(Budget(max_hours=4.0), estimate, None)[0]
    assert "15 USD" in budgets.warnings(Budget(max_cost_usd=14.0), estimate, 3.0)[0]
    assert "does not know" in budgets.warnings(Budget(max_hours=4.0), Estimate(), None)[0]
    budgets.refuse_what_costs_more(Budget(max_hours=4.0, max_cost_usd=7.0), estimate, 3.0, now=0.0)
    budgets.refuse_what_costs_more(Budget(max_hours=4.0), Estimate(), None, now=0.0)
    for limits in (
        Budget(max_hours=1.0),
        Budget(max_cost_usd=5.0),
        Budget(finish_by=datetime.fromtimestamp(7000, UTC)),
    ):
        with pytest.raises(UnsupportedError, match="--no-size-check"):
            budgets.refuse_what_costs_more(limits, estimate, 3.0, now=0.0)


def test_limits_and_retries_are_no_part_of_what_the_job_makes():
    plain = digest_of(spec(), facts())
    assert digest_of(spec(retry=3, budget={"max_hours": 2.0}), facts()) == plain


@pytest.mark.parametrize("when", ["2026-12-01", "2026-12-01T09:00:00", "soon"])
def test_a_time_without_its_zone_is_refused(when):
    with pytest.raises(SpecError, match=r"budget\.finish_by"):
        parse({"model": "a/b", "dataset": "d", "budget": {"finish_by": when}}, where="t")


def test_a_used_budget_stops_with_a_checkpoint_and_a_higher_one_goes_on(spec_folder):
    job = started(spec_folder, COUNTS, name="limited", budget={"max_hours": SECONDS})
    info = watching.wait(job, PATIENCE_S)
    assert (info.state, info.reason, info.attempt) == ("FAILED", "budget", 1)
    look = Status.of(job)
    assert look.budget_left()["hours"] == pytest.approx(0.0, abs=3 * SECONDS)
    with pytest.raises(SpecError, match="has used its budget"):
        started(spec_folder, COUNTS, name="limited", budget={"max_hours": SECONDS})
    again = started(spec_folder, COUNTS, name="limited", budget={"max_hours": 1.0})
    assert again.uri == job.uri
    assert watching.wait(again, PATIENCE_S).state == "SUCCEEDED"
    assert job.document["budget_s"] < 3600 - 0.9
    steps = [record["step"] for record in job.metrics()]
    assert steps == list(range(1, len(steps) + 1))


def test_a_budget_in_dollars_is_shared_by_all_attempts(spec_folder):
    options = {"price_usd_per_hour": 3600.0}  # a dollar a second
    source = "metrics(start + 1); save(start + 1); time.sleep(0.6)\nsys.exit(75)"
    job = started(spec_folder, source, name="dollars", budget={"max_cost_usd": 5.0}, options=options)
    heard = []
    info = watching.wait(job, PATIENCE_S, on_decision=lambda decision, info: heard.append(decision.why))
    assert info.reason in ("budget", "preempted")
    assert "budget" in heard[-1]
    look = Status.of(job)
    assert 1 < len(look.attempts) <= 8
    assert look.cost_usd == pytest.approx(sum(attempt.seconds for attempt in look.attempts))
    assert look.cost_usd > 4.0


def test_finish_by_in_the_past_is_refused_only_where_the_time_is_known(spec_folder):
    late = datetime.now(UTC) - timedelta(hours=1)
    made = plan(spec_folder, "print('hello')", budget={"finish_by": late})
    submit(made, backends.get("local"), secrets={}, on_attach=lambda info: None).wait(PATIENCE_S)
    timed = replace(made, estimate=Estimate(hours_low=1.0))
    with pytest.raises(UnsupportedError, match="finish_by"):
        budgets.refuse_what_costs_more(Budget(finish_by=late), timed.estimate, None, now=time.time())
