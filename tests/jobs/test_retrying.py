"""The decision after an attempt: pure, so every case is a line."""

from dataclasses import replace

import pytest

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.jobs.history import AttemptRecord
from ftsdk.jobs.retrying import decide, shrunk, used
from ftsdk.spec import Retry
from tests import python_jobs

CONFIG = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}


def ended(*ends, spot=False):
    """Attempts that ended with (reason, step), the first one submitted; times are a second apart."""
    return [
        AttemptRecord(
            number=n, state=JobState.FAILED, reason=reason, step=step, retry=n - 1, ended_at=float(n), spot=spot
        )
        for n, (reason, step) in enumerate(ends, 1)
    ]


def after(attempts, *, config=CONFIG, **options):
    given = {name: options.pop(name) for name in list(options) if name in Retry.model_fields}
    return decide(attempts, Retry(**given), config=config, **options)


@pytest.mark.parametrize("reason", contract.REASONS)
@pytest.mark.parametrize("on", ["preemption", "infra", "any"])
def test_only_reasons_in_the_policy_are_retried_and_repeating_ones_never(reason, on):
    starts = after(ended((reason, 5)), on=on).action == "start"
    assert starts == (reason in contract.RETRIED[on])
    assert not (starts and reason in contract.REPEATING_REASONS)


def test_a_sold_out_machine_is_retried_on_spot():
    found = after(ended(("capacity", None), spot=True))
    assert (found.action, found.on_demand) == ("start", False)
    assert after(ended(("capacity", None))).action == "give_up"


def test_the_policies_widen():
    narrow, wide, widest = (contract.RETRIED[on] for on in ("preemption", "infra", "any"))
    assert narrow < wide < widest < set(contract.REASONS)
    assert not widest & (contract.REPEATING_REASONS | {"cancelled", "stopped", "timeout", "budget", "quota"})


def test_a_running_or_finished_job_is_left_alone():
    first = ended(("", None))[0]
    for state, action in (("PENDING", "wait"), ("RUNNING", "wait"), ("SUCCEEDED", "done"), ("CANCELLED", "done")):
        assert after([replace(first, state=JobState(state))]).action == action


def test_retries_are_counted_from_the_last_submit_and_with_restarts_inside():
    attempts = ended(*[("preempted", step) for step in range(1, 5)])
    assert after(attempts, retries=3).action == "give_up"
    assert after(attempts, retries=4).action == "start"
    by_hand = [*attempts[:3], replace(attempts[3], retry=0)]
    assert after(by_hand, retries=1).action == "start"
    assert used([replace(attempts[0], starts=4)]) == 3
    assert after([replace(attempts[0], starts=4)], retries=3).action == "give_up"
    assert after(ended(("preempted", 3)), retries=0).action == "give_up"


def test_a_crash_at_the_same_step_is_not_retried_forever_a_preemption_is():
    for reason in ("crashed", "error", "host_oom"):
        assert "second time" in after(ended((reason, 7), (reason, 7)), on="any").why
        assert "before its first step" in after(ended((reason, None), (reason, None)), on="any").why
        assert after(ended((reason, 7), (reason, 9)), on="any").action == "start"
    for reason in ("preempted", "killed", "lost"):
        assert after(ended((reason, 7), (reason, 7)), on="any").action == "start"


def test_an_attempt_whose_watcher_died_before_it_began_is_started_again():
    (last,) = ended(("killed", None))
    assert after([last], on="preemption").action == "give_up"
    assert after([replace(last, began=False)], on="preemption").action == "start"
    assert after([replace(last, began=False, reason="auth")], on="preemption").action == "give_up"


def test_pauses_grow_without_progress_and_vanish_after_it():
    def pause(*ends):
        return after(ended(*ends), on="infra").not_before - len(ends)

    assert pause(("preempted", 5)) == 0
    assert pause(("preempted", None)) == 10
    assert [pause(("preempted", 5), *[("killed", 5)] * n) for n in (1, 2, 3)] == [10, 20, 40]
    assert pause(("preempted", 5), *[("killed", 5)] * 15) == 900
    assert pause(("killed", 5), ("killed", 5), ("killed", 6)) == 0


def test_spot_is_left_after_on_demand_after_preemptions():
    attempts = ended(("preempted", 1), ("preempted", 2), spot=True)
    assert not after(attempts, can_leave_spot=True).on_demand
    assert not after(attempts[:1], can_leave_spot=True, on_demand_after=2).on_demand
    chosen = after(attempts, can_leave_spot=True, on_demand_after=2)
    assert (chosen.on_demand, "preempted 2 times" in chosen.why) == (True, True)
    recovered = [replace(attempts[0], starts=2)]  # the platform had started it again itself
    assert after(recovered, can_leave_spot=True, on_demand_after=2).on_demand
    assert not after(attempts, on_demand_after=2).on_demand
    on_demand = [replace(attempt, spot=False) for attempt in attempts]
    assert not after(on_demand, can_leave_spot=True, on_demand_after=2).on_demand


@pytest.mark.parametrize(
    ("hours_left", "work_left", "leaves"),
    [(20.0, 5.0, False), (5.0, 5.0, True), (-1.0, 0.1, True), (None, 5.0, False), (5.0, None, False)],
)
def test_spot_is_left_when_the_slack_until_finish_by_is_gone(hours_left, work_left, leaves):
    attempts = ended(("preempted", 1), spot=True)
    chosen = after(attempts, can_leave_spot=True, hours_left=hours_left, work_left_hours=work_left)
    assert chosen.on_demand is leaves


def test_out_of_memory_is_retried_only_with_leave_and_while_the_batch_can_shrink():
    attempts = ended(("oom", None))
    assert after(attempts, on="any").action == "give_up"
    chosen = after(attempts, shrink_micro_batch=True)
    assert (chosen.action, chosen.shrink, chosen.not_before) == ("start", True, 1.0)
    smallest = {**CONFIG, "per_device_train_batch_size": 1}
    assert "cannot be smaller" in after(attempts, shrink_micro_batch=True, config=smallest).why
    assert after(attempts, shrink_micro_batch=True, config={}).action == "give_up"


@pytest.mark.parametrize(("micro", "then"), [(8, 4), (2, 1), (6, 3), (3, 1), (9, 3), (7, 1)])
def test_a_smaller_micro_batch_keeps_the_global_batch_the_name_and_the_digest(spec_folder, micro, then):
    sizes = {"per_device_train_batch_size": micro, "gradient_accumulation_steps": 2}
    plan = python_jobs.plan(spec_folder, "", hyperparameters=sizes)
    less = shrunk(plan)
    config = less.document["config"]
    assert config["per_device_train_batch_size"] == then
    assert config["per_device_train_batch_size"] * config["gradient_accumulation_steps"] == 2 * micro
    assert (less.name, less.digest, less.document["digest"]) == (plan.name, plan.digest, plan.digest)
    assert less.trainer_config["per_device_train_batch_size"] == then
    assert f"micro-batch {then} instead of {micro}" in less.document["notes"][-1]
    assert less.for_attempt(2).note["changed"]["per_device_train_batch_size"] == then
