"""Jobs of a study wait while this machine has no room for them beside others."""

from dataclasses import replace

import pytest

from ftsdk.facts import MachineFacts
from ftsdk.facts.machine import inspect_machine
from ftsdk.sizing.memory.terms import GIB, Memory, Term
from ftsdk.studies.room import held_against, why_no_room
from tests.studies.trainings import LEARNS, planned


def sized(plan, gib, gpus=1):
    """The plan with another estimate and another number of GPUs."""
    memory = Memory(terms=(Term("weights", int(gib * GIB), "as the test says"),), peak="step")
    document = {**plan.document, "nproc_per_node": gpus}
    return replace(plan, estimate=replace(plan.estimate, memory=memory), document=document)


@pytest.fixture
def plan(spec_folder):
    return planned(spec_folder).trials[0].plan


def machine(gpus=0, memory_gib=64.0):
    return MachineFacts(platform="linux", python="3.11.0", accelerators=("NVIDIA L4",) * gpus, memory_gib=memory_gib)


@pytest.mark.parametrize(
    ("place", "needs", "others", "words"),
    [
        (machine(), (40, 1), [], ""),
        (machine(), (400, 1), [], ""),
        (machine(), (40, 1), [(20, 1)], ""),
        (machine(), (40, 1), [(20, 1), (10, 1)], "64 GiB of memory, 2 other jobs may take 30 and it may take 40"),
        (machine(memory_gib=None), (40, 1), [(400, 1)], ""),
        (machine(gpus=4), (400, 2), [(400, 2)], ""),
        (machine(gpus=4), (1, 2), [(1, 2), (1, 1)], "3 of this machine's 4 GPUs are taken by 2 other jobs"),
    ],
)
def test_gpus_are_counted_or_memory_where_there_are_none(plan, place, needs, others, words):
    why = held_against(sized(plan, *needs), [sized(plan, *other) for other in others], place)
    assert words in why
    assert bool(why) is bool(words)


def test_a_job_on_another_machine_never_waits(plan):
    assert why_no_room(replace(plan, backend="sagemaker")) == ""


@pytest.mark.skipif(bool(inspect_machine().accelerators), reason="a machine with GPUs counts those")
def test_jobs_of_a_study_wait_for_each_other_and_all_run(spec_folder):
    gate = spec_folder / "gate"
    source = f'while not pathlib.Path("{gate}").exists(): time.sleep(0.01)\n' + LEARNS
    made = planned(spec_folder, source, parallel=3)
    gib = 0.6 * inspect_machine().memory_gib
    study = replace(made, trials=tuple(replace(one, plan=sized(one.plan, gib)) for one in made.trials)).create()
    news = []

    def open_the_gate(sentence):
        news.append(sentence)
        if "waits: this machine has" in sentence:
            running = [trial for trial in study.status().trials if trial.claimed and not trial.state.terminal]
            assert len(running) <= 1
            gate.touch()

    study.wait(on_event=open_the_gate)
    assert gate.exists()
    assert [trial.state for trial in study.status().trials] == ["SUCCEEDED"] * 3
    assert [one.partition(" ")[0] for one in news if "submitted" in one] == ["1/3", "2/3", "3/3"]
