"""With fewer GPUs than planned a training goes on with fewer processes and the same rows in each step."""

from __future__ import annotations

import pytest

from ftsdk import contract
from ftsdk.errors import UnsupportedError
from ftsdk.runtime.checkpoints.resume import global_batch
from ftsdk.runtime.supervisor.elastic import with_processes
from tests.golden import plans
from tests.runtime.harness import Supervised, document, script
from tests.runtime.supervisor.test_node_checks import GOOD, nvidia_smi  # noqa: F401 - a fixture

CONFIG = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3}


@pytest.mark.parametrize(("here", "processes", "accumulated"), [(3, 3, 4), (2, 2, 6), (1, 1, 12)])
def test_the_rows_of_a_step_stay(tmp_path, here, processes, accumulated):
    planned = document(tmp_path, "llamafactory", nproc_per_node=4, config=CONFIG)
    fewer, found = with_processes(planned, here)
    assert (found, fewer["config"]["gradient_accumulation_steps"]) == (processes, accumulated)
    assert global_batch(fewer, processes) == global_batch(planned, 4)


def test_processes_among_which_a_step_cannot_be_divided_are_left_out(tmp_path):
    planned = document(tmp_path, "llamafactory", nproc_per_node=8, config=CONFIG | {"gradient_accumulation_steps": 1})
    assert with_processes(planned, 7)[1] == 4


def test_an_elastic_job_runs_with_fewer_gpus(tmp_path, nvidia_smi):  # noqa: F811
    environ = nvidia_smi(GOOD)
    trainer = script(tmp_path, "print(job['document']['nproc_per_node'], job['document']['config'])")
    run = Supervised(tmp_path, trainer, nproc_per_node=2, config=CONFIG, elastic=True, environ=environ)
    assert run.wait() == contract.EXIT_SUCCEEDED, run.lines()
    assert f"1 {CONFIG | {'gradient_accumulation_steps': 6}}" in run.output()
    assert any("1 of 2 GPUs are here: 1 processes train with 6 instead of 3" in line for line in run.lines())


def test_elastic_is_refused_where_it_is_not_supported():
    assert plans.PLANS["local"]().document["elastic"] is False
    with pytest.raises(UnsupportedError, match=r"resources\.elastic: only"):
        from ftsdk.backends.local import Local, LocalOptions

        spec = plans.spec(resources={"elastic": True}, sharding="zero2")
        Local(LocalOptions()).plan(spec, plans.facts())
