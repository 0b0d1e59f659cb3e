"""The retry policy: pauses, attempts, deadlines and final errors."""

import time

import pytest

from ftsdk.runtime.retry import RetryPolicy

QUICK = RetryPolicy(first_pause_s=0.001, max_pause_s=0.002)


class Failing:
    """A function that fails a number of times."""

    def __init__(self, failures, problem=ConnectionError):
        self.failures, self.problem, self.calls = failures, problem, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.problem(f"failure {self.calls}")
        return self.calls


def test_pauses_double_up_to_the_longest_and_vary_by_the_jitter():
    policy = RetryPolicy(attempts=8, first_pause_s=1.0, max_pause_s=10.0, jitter=0.25)
    assert [policy.backoff_s(retry) for retry in (1, 2, 3, 4, 5, 10**9)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    series = [list(policy.pauses()) for _ in range(20)]
    assert len({tuple(pauses) for pauses in series}) == 20
    for pauses in series:
        assert len(pauses) == 7
        for retry, pause_s in enumerate(pauses, start=1):
            assert 0.75 <= pause_s / policy.backoff_s(retry) <= 1.25


def test_a_call_is_repeated_until_it_returns():
    assert QUICK.call(Failing(5)) == 6


def test_the_last_attempts_error_is_raised():
    function = Failing(9)
    with pytest.raises(ConnectionError, match="failure 3"):
        RetryPolicy(attempts=3, first_pause_s=0.001).call(function)
    assert function.calls == 3


def test_a_final_error_is_raised_at_once():
    function = Failing(9, PermissionError)
    with pytest.raises(PermissionError, match="failure 1"):
        RetryPolicy(is_final=lambda problem: isinstance(problem, PermissionError)).call(function)
    assert function.calls == 1


def test_no_retry_starts_after_the_deadline():
    function, began = Failing(10**6), time.monotonic()
    with pytest.raises(ConnectionError):
        RetryPolicy(deadline_s=0.3, first_pause_s=0.05, jitter=0.0).call(function)
    assert function.calls == 3 and time.monotonic() - began < 0.3  # after 0.05 and 0.1 s; 0.2 s more are not left


def test_the_deadline_may_move():
    left = iter([9.0, 9.0, 0.0])
    function = Failing(9)
    with pytest.raises(ConnectionError, match="failure 3"):
        QUICK.call(function, time_left_s=lambda: next(left))
