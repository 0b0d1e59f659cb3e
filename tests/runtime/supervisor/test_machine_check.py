"""What a supervisor checks before anything is downloaded: the driver against torch, and the packages."""

from __future__ import annotations

import pytest

from ftsdk import contract
from ftsdk.runtime.supervisor import machine_check
from tests.runtime.harness import Supervised, script


@pytest.mark.parametrize(
    ("driver", "says"),
    [
        ((13, 0), ""),
        ((14, 2), ""),
        ((12, 8), "runs CUDA 12.8, and the image's torch needs CUDA 13 (driver R580"),
        (None, "no driver"),
    ],
)
def test_an_old_driver_is_named_with_what_to_do(driver, says):
    problem = machine_check.driver_problem(13, driver)
    assert bool(says) == bool(problem)
    assert problem is None or (says in problem.message and problem.hint)


def test_a_package_that_is_missing_ends_the_job_in_its_first_seconds(tmp_path):
    trainer = script(tmp_path, "print('it trained all the same')")
    run = Supervised(tmp_path, trainer, config={"use_unsloth": True, "quantization_bit": 4})
    assert run.wait() == contract.EXIT_FAILED
    record = run.outcome()
    assert (record["state"], record["reason"]) == ("FAILED", "bad_config")
    assert "quantization_bit" not in record["message"] and "unsloth" in record["message"]
    assert "it trained" not in run.output()


def test_a_package_beside_the_environment_counts(tmp_path):
    (tmp_path / "unsloth").mkdir()
    (tmp_path / "unsloth" / "__init__.py").write_text("")
    assert machine_check.package_problem("llamafactory", {"use_unsloth": True})
    assert machine_check.package_problem("llamafactory", {"use_unsloth": True}, str(tmp_path)) is None
