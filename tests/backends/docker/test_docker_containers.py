"""What happens to real containers: killed, stopped, restarted, removed, out of memory, in the way."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ftsdk.backends.base import JobState
from ftsdk.backends.docker import Docker, DockerOptions
from ftsdk.backends.image import default_tag
from ftsdk.errors import BackendError, JobNotFoundError, NotInstalledError, UnavailableError
from ftsdk.facts import inspect
from ftsdk.jobs.submit import submit
from ftsdk.spec.loading import parse
from ftsdk.testing.programs import in_durable_folder, new_label

pytestmark = pytest.mark.docker

LONG = "import time\nprint('begun')\nfor beat in range(600): print(beat); time.sleep(0.1)"


def docker(*arguments):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def left(plan):
    """Containers and networks of a plan's job that are still there."""
    ours = ("--filter", f"label=ftsdk.name={plan.name}", "--quiet")
    return docker("ps", "--all", *ours).split() + docker("network", "ls", *ours).split()


def eventually(condition):
    deadline = time.monotonic() + 60
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@pytest.fixture
def backend():
    return Docker(DockerOptions(image=default_tag("cpu"), grace_s=5))


@pytest.fixture
def make(spec_folder, backend):
    """A plan with a few lines of Python in the trainer's place; its label is new."""

    def plan(source="print('hello')", by=backend, **fields):
        spec = parse({"name": new_label(), "model": "model", "dataset": "train.jsonl", **fields}, where="test")
        return in_durable_folder(by.plan(spec, inspect(spec, folder=spec_folder)), source)

    return plan


@pytest.fixture
def start(backend, own_home):
    """Submit, wait for the first line if one is named, and leave nothing behind."""
    started = []

    def run(plan, by=backend, line=None, **secrets):
        started.append(plan)
        job = submit(plan, by, secrets=secrets, on_attach=lambda info: None)
        if line:
            next(found for found in job.logs(follow=True) if found.text.startswith(line))
        return job

    yield run
    for plan in started:  # some are being removed while we look
        ours = docker("ps", "--all", "--quiet", "--filter", f"label=ftsdk.name={plan.name}").split()
        subprocess.run(["docker", "rm", "--force", *ours], capture_output=True, check=False)


# --- the end of a container -------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", ["kill", "stop"])
def test_stopped_from_outside(make, start, verb):
    plan = make(LONG)
    job = start(plan, line="begun")
    docker(verb, plan.native_name)
    info = job.wait(60)
    assert (info.state, info.reason) == (JobState.FAILED, "stopped")
    assert "begun" in [line.text for line in job.logs()]
    assert eventually(lambda: not left(plan))
    assert job.info().reason == "stopped"  # also when the container is gone


def test_a_crash_is_restarted_and_the_attempt_goes_on(make, start):
    dies_once = """
import os, pathlib, signal
mark = pathlib.Path("/ftsdk/job/mark")
if not mark.exists():
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
print("second life")
"""
    job = start(make(dies_once))
    info = job.wait(60)
    assert (info.state, info.attempt) == (JobState.SUCCEEDED, 1)
    assert "second life" in [line.text for line in job.logs()]


def test_a_crash_that_repeats_is_given_up(make, start):
    plan = make("import os, signal; print('again'); os.kill(os.getpid(), signal.SIGKILL)")
    job = start(plan)
    info = job.wait(60)
    assert (info.state, info.reason) == (JobState.FAILED, "killed")
    assert [line.text for line in job.logs()].count("again") == 3
    assert eventually(lambda: not left(plan))


def test_a_failure_that_would_repeat_is_not_tried_again(make, start):
    plan = make("print('again'); raise MemoryError('CUDA out of memory')")
    job = start(plan)
    assert job.wait(60).reason == "oom"
    assert eventually(lambda: not left(plan))
    assert [line.text for line in job.logs()].count("again") == 1


def test_the_memory_limit_counts(make, start, backend):
    options = backend.options.model_copy(update={"restarts": 0})
    greedy = Docker(options)
    plan = make("block = bytearray(1 << 30); print(len(block))", by=greedy, resources={"memory_gb": 0.2})
    info = start(plan, by=greedy).wait(60)
    assert (info.state, info.reason) == (JobState.FAILED, "host_oom")


def test_a_container_that_was_removed_is_lost(make, start):
    plan = make(LONG)
    job = start(plan, line="begun")
    docker("rm", "--force", plan.native_name)
    info = job.wait(60)
    assert (info.state, info.reason) == (JobState.FAILED, "lost")
    again = start(replace(plan, document={**plan.document, "trainer": "/ftsdk/job/other.py"}))
    assert again.info().attempt == 2


def test_a_supervisor_that_cannot_begin_leaves_its_last_lines(make, start, backend):
    plan = make()
    words = [["nonsense" if word == "supervise" else word for word in argv] for argv in plan.request["commands"]]
    job = start(replace(plan, request={**plan.request, "commands": words}))
    info = job.wait(60)
    assert (info.state, info.reason) == (JobState.FAILED, "crashed")
    lines = list(job.logs())
    assert {line.text for line in lines} == {"usage: python runtime.pyz supervise | train | serve | preview"}
    assert list(job.logs(after=lines[-2].cursor)) == lines[-1:]
    assert eventually(lambda: not left(plan))
    assert list(Docker(backend.options).logs(plan.name)) == lines  # kept when the container is gone


def test_a_paused_container_runs_still(make, start):
    plan = make(LONG)
    job = start(plan, line="begun")
    docker("pause", plan.native_name)
    assert eventually(lambda: "paused" in job.info().message)
    assert job.state is JobState.RUNNING
    docker("unpause", plan.native_name)
    job.cancel()
    assert job.wait(60).state is JobState.CANCELLED


def test_a_cancel_right_after_the_start_takes_effect(make, start):
    job = start(make(LONG))
    job.cancel()
    info = job.wait(60)
    assert (info.state, info.reason) == (JobState.CANCELLED, "cancelled")


def test_a_trainer_that_ignores_sigterm_is_killed_after_the_grace_period(make, start):
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('begun'); time.sleep(600)"
    job = start(make(deaf), line="begun")
    job.cancel()
    assert job.wait(60).state is JobState.CANCELLED


# --- clean up -----------------------------------------------------------------------------------------------------
def test_the_next_call_cleans_up_after_a_client_that_died(make, start, backend):
    plan = make()
    start(plan)
    assert eventually(
        lambda: "exited" in docker("ps", "--all", "--filter", f"name={plan.name}", "--format", "{{.State}}")
    )
    assert [info.state for info in backend.list()] == [JobState.SUCCEEDED]
    assert not left(plan)
    assert backend.describe(plan.name).state is JobState.SUCCEEDED


def test_a_container_whose_job_was_deleted_is_stopped_and_removed(make, start, backend, own_home):
    plan = make(LONG)
    start(plan, line="begun")
    (own_home / "jobs" / "docker" / plan.name / "plan.json").unlink()
    assert eventually(lambda: not list(backend.list()) and not left(plan))


def test_containers_of_another_home_are_neither_listed_nor_removed(make, start, backend, monkeypatch, tmp_path_factory):
    plan = make(LONG)
    start(plan, line="begun")
    elsewhere = {"home": str(tmp_path_factory.mktemp("other")), "folder": str(tmp_path_factory.mktemp("folder"))}
    with monkeypatch.context() as theirs:
        theirs.setenv("FTSDK_HOME", elsewhere["home"])
        assert list(backend.list()) == []
        with pytest.raises(JobNotFoundError):
            backend.describe(plan.name)
        their_plan = replace(plan, request={**plan.request, **elsewhere})
        with pytest.raises(BackendError, match="another FTSDK_HOME"):
            submit(their_plan, backend, secrets={}, on_attach=lambda info: None)
    assert backend.describe(plan.name).state is JobState.RUNNING


# --- secrets ------------------------------------------------------------------------------------------------------
def test_the_secrets_file_is_deleted_after_it_was_read(make, start):
    look = "import os; print('left:', os.listdir('/ftsdk/secrets'), 'word', len(os.environ['FTSDK_WORD']))"
    plan = make(look, secrets=("FTSDK_WORD",))
    job = start(plan, FTSDK_WORD="four")
    assert job.wait(60).state is JobState.SUCCEEDED
    assert "left: [] word 4" in [line.text for line in job.logs()]
    assert not Path(plan.request["secrets"][0]).exists()


# --- starts that fail ---------------------------------------------------------------------------------------------
def refused(plan, by, kind, words):
    with pytest.raises(kind, match=words):
        submit(plan, by, secrets={"A_WORD": "x"}, on_attach=lambda info: None)
    assert not [folder for folder in plan.request["secrets"] if Path(folder).exists()]
    with pytest.raises(JobNotFoundError):
        by.describe(plan.name)


def test_an_image_that_is_not_here(make, start, backend):
    without = Docker(DockerOptions(image="no-such-image:1"))
    plan = make(by=without, secrets=("A_WORD",))
    refused(plan, without, NotInstalledError, "no-such-image:1: build .* `ftsdk image build`")
    assert not left(plan)
    argv = [[default_tag("cpu") if word == "no-such-image:1" else word for word in c] for c in plan.request["commands"]]
    job = start(replace(plan, request={**plan.request, "commands": argv}), A_WORD="x")
    assert job.wait(60).attempt == 1  # the start that failed was none


def test_an_image_without_python(make):
    empty = subprocess.run(["docker", "import", "-"], input=bytes(10240), capture_output=True, check=True)
    image = empty.stdout.decode().strip()
    try:
        without = Docker(DockerOptions(image=image))
        plan = make(by=without)
        refused(plan, without, NotInstalledError, "no `python`")
        assert not left(plan)
    finally:
        docker("image", "rm", image)


def test_nothing_is_left_if_one_of_two_nodes_cannot_start(make, backend):
    plan = make(resources={"num_nodes": 2})
    broken = [*plan.request["commands"][:2], [*plan.request["commands"][2][:-3], "no-such-image:1"]]
    refused(replace(plan, request={**plan.request, "commands": broken}), backend, NotInstalledError, "no-such-image")
    assert not left(plan)


def test_a_daemon_that_is_not_there(make, start, backend, monkeypatch, own_home):
    done = make()
    start(done).wait(60)
    plan = make()
    with monkeypatch.context() as there:
        there.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        with pytest.raises(UnavailableError, match="daemon does not answer"):
            submit(plan, backend, secrets={}, on_attach=lambda info: None)
        assert not (own_home / "jobs" / "docker" / plan.name / "plan.json").exists()
        with pytest.raises(UnavailableError):
            list(backend.list())
        assert Docker(backend.options).describe(done.name).state is JobState.SUCCEEDED  # its folder says so


def test_a_program_that_is_not_there(make):
    without = Docker(DockerOptions(program="no-such-docker"))
    plan = make(by=without)
    with pytest.raises(NotInstalledError, match="no-such-docker"):
        submit(plan, without, secrets={}, on_attach=lambda info: None)


# --- doctor -------------------------------------------------------------------------------------------------------
def test_doctor_lists_checks_of_all_backends(backend):
    checks = {check.what: check for check in backend.doctor()}
    assert all(check.ok for check in checks.values())
    assert {"daemon", "image"} <= checks.keys()
    without = {check.what: check for check in Docker(DockerOptions(image="no-such-image:1")).doctor()}
    assert not without["image"].ok
    assert "ftsdk image build" in without["image"].remedy
    [nothing] = Docker(DockerOptions(program="no-such-docker")).doctor()
    assert not nothing.ok
