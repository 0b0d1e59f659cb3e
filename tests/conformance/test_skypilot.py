"""The skypilot backend passes the conformance suite, on the real SkyPilot and a real Slurm cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.backends.skypilot import SkyPilot, jobs
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.contract import EVENT_COMMIT, EVENT_PHASE
from ftsdk.errors import AuthError, CapacityError, UnavailableError
from ftsdk.facts import inspect
from ftsdk.jobs.job import Job
from ftsdk.jobs.submit import submit
from ftsdk.spec.loading import parse
from ftsdk.testing import conformance, processes, tiny
from ftsdk.testing.conformance import PATIENCE_S, BackendConformance
from ftsdk.testing.programs import HELLO, TWELVE_STEPS, in_durable_folder, new_label
from tests import slurm
from tests.emulators.buckets import KEY, SECRET

pytestmark = pytest.mark.skypilot
CLUSTER = new_label()


@pytest.fixture(autouse=True)
def own_skypilot(monkeypatch):
    """SkyPilot's and Slurm's programs talk to those of tests/setup/slurm.sh."""
    for name, value in slurm.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes that stay up: its own cluster takes each job half a minute longer."""
    resources = {"infra": slurm.INFRA, "cpus": 8, "accelerators": "H100:2"}
    yield slurm.sky_up(CLUSTER, {"num_nodes": 2, "resources": resources})
    slurm.sky_down(CLUSTER)


def options(**changed):
    """What every job here needs; only files in `shared` need not be copied."""
    given = {"storage": str(slurm.BASE / "shared"), "python": tiny.TRAINER_PYTHON, "sky_python": str(slurm.PYTHON)}
    return SkyPilotOptions(**{**given, **changed})


LONG_ENOUGH = {**TWELVE_STEPS, "max_steps": 100}
"""To be preempted in the middle."""


def long_training(backend, tiny_fields, **resources):
    spec = parse(
        {
            **tiny_fields,
            "name": new_label(),
            "hyperparameters": LONG_ENOUGH,
            "checkpoint": {"every_steps": 10},
            "env": {"OMP_NUM_THREADS": "1"},
            "resources": {"num_nodes": 2, **resources},
        },
        where="test",
    )
    return submit(backend.plan(spec, inspect(spec)), backend, secrets={}, on_attach=lambda info: None)


def weights(job):
    return Path(job.result(400).path, "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(cluster, tiny_fields, tmp_path_factory):
    """A training on two nodes that nothing happens to; its inputs are copied there."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**slurm.ENVIRONMENT, "FTSDK_HOME": str(tmp_path_factory.mktemp("home"))}.items():
            patch.setenv(name, value)
        job = long_training(SkyPilot(options(cluster=cluster)), tiny_fields)
        job.wait(300)
        yield job


class TestSkyPilot(BackendConformance):
    @pytest.fixture
    def backend(self, cluster):
        return SkyPilot(options(cluster=cluster, shared=("/tmp",)))

    @pytest.mark.trainer
    def test_real_training(self, undisturbed):
        model = undisturbed.model()
        assert model.adapter
        assert "adapter_model.safetensors" in model.files
        losses = {point["step"]: point["loss"] for point in undisturbed.metrics() if "loss" in point}
        assert sorted(losses) == list(range(1, 101))
        assert losses[100] < losses[1]
        assert {line.cursor.split(",")[0].split(".")[1] for line in undisturbed.logs()} == {"0", "1"}

    # What no backend does by itself is tried on the others; here each takes half a minute.
    @pytest.mark.long
    @pytest.mark.trainer
    def test_real_evaluation(self, backend, trained):
        super().test_real_evaluation(backend, trained)

    @pytest.mark.long
    def test_lines_are_stamped(self, backend, plan):
        super().test_lines_are_stamped(backend, plan)

    @pytest.mark.long
    def test_artifacts_and_model(self, backend, plan, tmp_path):
        super().test_artifacts_and_model(backend, plan, tmp_path)

    @pytest.mark.long
    def test_a_submit_after_a_cancel_starts_a_new_attempt(self, backend, plan):
        super().test_a_submit_after_a_cancel_starts_a_new_attempt(backend, plan)

    @pytest.mark.long
    def test_a_killed_supervisor_is_noticed(self, backend, plan, monkeypatch):
        """A supervisor counts as running until it has sent nothing for jobs.SILENCE_S, longer than the suite waits."""
        monkeypatch.setattr(conformance, "PATIENCE_S", 2 * jobs.SILENCE_S)
        super().test_a_killed_supervisor_is_noticed(backend, plan)

    def public_words(self, plan):
        return slurm.sky_queue(CLUSTER) + processes.command_lines()

    def kill(self, job):
        processes.kill_supervisor(job.name)

    @contextmanager
    def break_start(self, plan):
        yield replace(plan, request={**plan.request, "cluster": "nobodys"})

    def test_a_failed_start_leaves_no_claim(self, backend, plan):
        """A refusal of SkyPilot's stays as a failed attempt with its reason; the next submit starts another."""
        with self.break_start(self.place(plan, HELLO)) as broken, pytest.raises(UnavailableError):
            submit(broken, backend, secrets={}, on_attach=lambda info: None)
        assert backend.describe(plan.name).state is JobState.FAILED
        info = self.start(plan, backend, HELLO).wait(PATIENCE_S)
        assert (info.state, info.attempt) == (JobState.SUCCEEDED, 2)

    def test_all_of_many_lines_are_read_in_order(self, backend, plan):
        self.follow_many(backend, plan, 200_000)

    def test_a_job_survives_the_end_of_its_client(self, backend, plan):
        job = self.start(plan, backend, "import time; time.sleep(5)")
        said = backend.artifacts(plan.name).path(jobs.request_key(1))
        assert json.loads(said.read_bytes())["request_id"]
        said.unlink()  # it died before it heard of the request
        fresh = Job(job.uri, SkyPilot(backend.options))
        assert not fresh.info().state.terminal
        assert fresh.wait(60).state is JobState.SUCCEEDED


REFUSED = {
    "aws": ({"infra": ("aws",)}, {}, AuthError, "auth"),
    "a card that nobody has": ({"infra": (slurm.INFRA,)}, {"accelerator": "L4"}, CapacityError, "capacity"),
    "no such cluster": ({"cluster": "nobodys"}, {}, UnavailableError, "lost"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_is_raised_by_submit(what, spec_folder):
    given, resources, kind, reason = REFUSED[what]
    spec = parse(
        {"model": "model", "dataset": "train.jsonl", "resources": resources, "name": new_label()}, where="test"
    )
    backend = SkyPilot(options(**given))
    plan = backend.plan(spec, inspect(spec, folder=spec_folder))
    with pytest.raises(kind):
        submit(plan, backend, secrets={}, on_attach=lambda info: None)
    info = Job(plan.uri, backend).info()
    assert (info.state, info.reason, info.attempt) == (JobState.FAILED, reason, 1)


@pytest.mark.long
def test_a_trainer_that_is_not_there_is_named(spec_folder):
    spec = parse({"model": "model", "dataset": "train.jsonl", "name": new_label()}, where="test")
    backend = SkyPilot(options(infra=(slurm.INFRA,), python="/no/such/python"))
    plan = backend.plan(spec, inspect(spec, folder=spec_folder))
    info = submit(plan, backend, secrets={}, on_attach=lambda info: None).wait(120)
    assert (info.state, info.reason) == (JobState.FAILED, "crashed")
    assert "/no/such/python: No such file" in info.message
    assert slurm.is_gone(plan.native_name, within_s=60)
    assert Job(plan.uri, SkyPilot(backend.options)).info() == info  # kept, though the log is gone


def test_doctor_says_where_it_may_run():
    checks = {check.what: check for check in SkyPilot(options()).doctor()}
    assert all(check.ok for check in checks.values()), checks
    assert slurm.INFRA in checks["infra"].detail
    without = SkyPilot(SkyPilotOptions(sky_python="/no/such/python")).doctor()
    assert [(check.what, check.ok) for check in without] == [("SkyPilot", False)]


READS_ITS_DATA = """
import json, os, sys, time
job = json.load(open(os.environ["FTSDK_TRAIN"]))["document"]
for file in job["inputs"]:
    print("input", file["path"], len(open(file["path"], "rb").read()) == file["bytes"], flush=True)
time.sleep(3)
sys.exit("it has read them")
"""


def test_a_cluster_of_its_own_gets_the_inputs_and_goes(spec_folder):
    fields = {"model": "model", "dataset": "train.jsonl", "name": new_label(), "resources": {"accelerator": "H100"}}
    spec = parse(fields, where="test")
    backend = SkyPilot(options(infra=(slurm.INFRA,)))
    plan = in_durable_folder(backend.plan(spec, inspect(spec, folder=spec_folder)), READS_ITS_DATA)
    job = submit(plan, backend, secrets={}, on_attach=lambda info: None)
    next(line for line in job.logs(follow=True) if line.text.startswith("input"))
    assert not job.done()
    claim = json.loads(backend.artifacts(plan.name).read(contract.claim_key(1)))
    assert claim["usd_per_hour"] == pytest.approx(2.5, rel=0.05)  # as SkyPilot's configuration has it
    info = job.wait(180)
    assert (info.state, info.exit_code) == (JobState.FAILED, 1)
    assert "it has read them" in info.message
    read = [line.text.split() for line in job.logs() if line.text.startswith("input")]
    assert [words[2] for words in read] == ["True"] * 2
    assert all(words[1].startswith(f"/tmp/ftsdk-{plan.name}/inputs/") for words in read)
    assert slurm.is_gone(plan.native_name, within_s=120)


@pytest.mark.trainer
def test_a_bucket_holds_log_checkpoints_and_model(cluster, tiny_fields, s3, tmp_path, monkeypatch):
    """Nodes and client share nothing but a bucket; another home needs to know only that."""
    fields = {
        **tiny_fields,
        "name": new_label(),
        "hyperparameters": dict(TWELVE_STEPS),
        "checkpoint": {"every_steps": 5},
        "secrets": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    }
    spec = parse(fields, where="test")
    backend = SkyPilot(options(cluster=cluster, storage=s3.address, storage_endpoint=s3.url))
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    job = submit(backend.plan(spec, inspect(spec)), backend, secrets=keys, on_attach=lambda info: None)
    model = job.result(300)
    monkeypatch.setenv("FTSDK_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("FTSDK_SKYPILOT_STORAGE", s3.address)
    monkeypatch.setenv("FTSDK_SKYPILOT_STORAGE_ENDPOINT", s3.url)
    there = Job.attach(job.uri)
    assert there.info() == job.info()
    assert list(there.logs()) == list(job.logs())
    assert sorted(point["step"] for point in there.metrics() if "loss" in point) == list(range(1, 13))
    assert there.model().files == model.files
    assert model.uri.startswith(s3.address)
    assert (there.model().download(tmp_path / "model") / "adapter_model.safetensors").stat().st_size > 0
    commits = [event["step"] for event in there.events() if event["event"] == EVENT_COMMIT]
    kept = {item.key.split("/")[1] for item in there.store.list(f"{contract.CHECKPOINTS_DIR}/")}
    assert commits == [5, 10]
    assert kept
    assert not list((slurm.BASE / "shared" / job.name).glob("*"))


@pytest.mark.long
@pytest.mark.trainer
def test_nodes_without_a_trainer_install_one(tiny_fields):
    """Two nodes on one shared folder: one of them makes the virtual environment, from our locks."""
    storage = slurm.BASE / "shared" / new_label()
    fields = {**tiny_fields, "name": new_label(), "hyperparameters": dict(TWELVE_STEPS), "resources": {"num_nodes": 2}}
    spec = parse(fields, where="test")
    backend = SkyPilot(options(infra=(slurm.INFRA,), storage=str(storage), python=None))
    try:
        job = submit(backend.plan(spec, inspect(spec)), backend, secrets={}, on_attach=lambda info: None)
        assert "adapter_model.safetensors" in job.result(900).files
        assert len(list(storage.glob(".ftsdk-trainer-*/ready"))) == 1
    finally:
        shutil.rmtree(storage, ignore_errors=True)


# --- recovery ---------------------------------------------------------------------------------------------
@pytest.mark.trainer
def test_a_preempted_job_makes_the_same_model(undisturbed, cluster, tiny_fields):
    expected = weights(undisturbed)
    slurm.sky_down(cluster)  # its allocation would keep the preempting job waiting
    backend = SkyPilot(options(infra=(slurm.SPOT,)))
    job = long_training(backend, tiny_fields, spot=True)
    next(event for event in job.events(follow=True) if event["event"] == EVENT_COMMIT)
    subprocess.run(["srun", "-p", "dev", "-N", "2", "--exclusive", "sleep", "1"], check=True)
    next(event for event in job.events(follow=True) if event.get("resume_step"))
    assert (
        slurm.ask("squeue", "-h", "-o", "%P %j").split()[0] == "spot"
    )  # where the user wants it, not where it was free
    assert weights(job) == expected
    assert job.info().attempt == 1
    starts = [
        event["resume_step"] for event in job.events() if event["event"] == EVENT_PHASE and "resume_step" in event
    ]
    assert starts[0] is None
    assert max(filter(None, starts)) >= 10
    metrics = [point["step"] for point in job.metrics() if "loss" in point]
    assert metrics == list(range(1, 101))
