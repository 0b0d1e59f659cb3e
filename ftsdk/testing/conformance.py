"""Conformance tests of the backend protocol (`ftsdk.backends.base`), run with real jobs.

    class TestMyBackend(BackendConformance):
        @pytest.fixture
        def backend(self):
            return MyBackend(MyOptions(...))

        def public_words(self, plan): ...
        def kill(self, job): ...
        def break_start(self, plan): ...

Nearly all jobs run a few lines of Python instead of the trainer, so they need no torch and take a second; one trains
for real. Every test has a home of its own. Needs pytest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

import pytest

from ftsdk import backends, contract, home
from ftsdk.backends.base import Backend, JobInfo, JobState
from ftsdk.errors import FtsdkError, JobFailedError, JobNotFoundError, SpecError
from ftsdk.facts import Facts, inspect
from ftsdk.jobs.job import Job
from ftsdk.jobs.starting import make_ready
from ftsdk.jobs.submit import submit
from ftsdk.plan import Plan
from ftsdk.spec import JobSpec
from ftsdk.spec.loading import parse
from ftsdk.storage.records import LogLine
from ftsdk.testing import tiny
from ftsdk.testing.programs import (
    HELLO,
    LIMITS,
    LONG,
    MAKES_A_FILE,
    MANY_LINES,
    SAYS_SECRET,
    SECRET,
    TWELVE_STEPS,
    in_durable_folder,
    new_label,
)
from ftsdk.testing.purity import sealed
from ftsdk.testing.trained import ProgramConformance

PATIENCE_S = 120.0
OTHER_PROCESS = "import json, sys; from ftsdk.jobs.job import Job; job = Job.attach(sys.argv[1]); "


class BackendConformance(ProgramConformance):
    """Subclass it as `Test…`; the fixture `backend` and the hooks that raise NotImplementedError must be overridden."""

    # --- what a backend gives ------------------------------------------------------------------------------
    @pytest.fixture
    def backend(self) -> Backend:
        """The backend, with the options that it needs here."""
        raise NotImplementedError

    @pytest.fixture
    def trained(self, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
        """Fields of a spec that trains within a minute; by default a tiny model generated here (see `tiny.make`)."""
        return tiny.spec_fields(tiny.make(tmp_path_factory.mktemp("tiny")))

    def place(self, plan: Plan, source: str) -> Plan:
        """The plan with this Python source as the trainer. By default it lies in the job's durable folder."""
        return in_durable_folder(plan, source)

    def public_words(self, plan: Plan) -> str:
        """Everything that others can see of a running job: the request as the platform shows it, its native
        description, and the command lines of its processes (`processes.command_lines` where they run here)."""
        raise NotImplementedError

    def kill(self, job: Job) -> None:
        """Make a running job's supervisor disappear without notice, as when the machine is lost."""
        raise NotImplementedError

    def break_start(self, plan: Plan) -> AbstractContextManager[Plan]:
        """A context in which submitting the plan that it yields fails after the claim."""
        raise NotImplementedError

    # --- what the tests share ------------------------------------------------------------------------------
    @pytest.fixture(autouse=True)
    def own_home(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Journal, caches and jobs of one test."""
        folder = tmp_path_factory.mktemp("home")
        monkeypatch.setenv("FTSDK_HOME", str(folder))
        return folder

    @pytest.fixture(autouse=True)
    def nothing_left(self, backend: Backend, own_home: Path) -> Iterator[None]:
        """Jobs that a test left running are cancelled and waited for."""
        yield
        for info in list(backend.list()):
            if not info.state.terminal:
                backend.cancel(info.name)
                Job(f"{backend.name}://{info.name}", backend).wait(PATIENCE_S)
        list(backend.list())

    @pytest.fixture
    def spec(self, tmp_path: Path) -> JobSpec:
        """A spec that can be planned; its label is new, so that no two tests share a job."""
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text('{"model_type": "qwen2"}')
        rows = [{"instruction": f"What is {i}?", "input": "", "output": f"It is {i}."} for i in range(5)]
        (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        fields = {"name": new_label(), "model": "model", "dataset": "train.jsonl"}
        return parse(fields, where="conformance")

    @pytest.fixture
    def facts(self, spec: JobSpec, tmp_path: Path) -> Facts:
        """What is found when the spec is looked at."""
        return inspect(spec, folder=tmp_path)

    @pytest.fixture
    def plan(self, backend: Backend, spec: JobSpec, facts: Facts) -> Plan:
        """The plan of the spec."""
        return backend.plan(spec, facts)

    def start(self, plan: Plan, backend: Backend, source: str, **secrets: str) -> Job:
        """Submit a plan with this source in the trainer's place."""
        return submit(self.place(plan, source), backend, secrets=secrets, on_attach=lambda info: None)

    # --- plans ---------------------------------------------------------------------------------------------
    def test_a_plan_is_pure(self, backend: Backend, spec: JobSpec, facts: Facts, plan: Plan) -> None:
        written = spec.model_dump_json()
        with sealed():
            again = backend.plan(spec, facts)
        assert again == plan
        assert spec.model_dump_json() == written

    def test_a_plan_is_json(self, plan: Plan) -> None:
        assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan

    def test_attempts_differ_in_the_native_name_only(self, plan: Plan) -> None:
        second = plan.for_attempt(2)
        assert second.native_name == contract.native_name(plan.name, 2)
        assert second.for_attempt(1) == plan
        there = json.dumps(second.request)
        assert plan.native_name not in there
        assert there.replace(second.native_name, plan.native_name) == json.dumps(plan.request)

    # --- a life --------------------------------------------------------------------------------------------
    def test_a_life(self, backend: Backend, plan: Plan) -> None:
        with pytest.raises(JobNotFoundError):
            backend.describe(plan.name)
        job = self.start(plan, backend, "import time; time.sleep(2)")
        seen = [info.state for info in _states(job)]
        order = [JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED]
        assert seen == sorted(seen, key=order.index)
        assert seen[-2:] == [JobState.RUNNING, JobState.SUCCEEDED]
        info = job.info()
        assert (info.name, info.attempt, info.exit_code) == (plan.name, 1, 0)
        assert info.created_at is not None
        assert info.ended_at is not None
        assert info.created_at < info.ended_at

    def test_an_unknown_job_is_not_found(self, backend: Backend) -> None:
        for verb in (backend.describe, backend.cancel, backend.artifacts, lambda name: list(backend.logs(name))):
            with pytest.raises(JobNotFoundError):
                verb("no-such-job-00000000")

    def test_a_failure_has_a_reason(self, backend: Backend, plan: Plan) -> None:
        job = self.start(plan, backend, "print('so far so good')\nraise ValueError('an odd thing happened')")
        info = job.wait(PATIENCE_S)
        assert info.state is JobState.FAILED
        assert info.reason in contract.REASONS
        assert "an odd thing happened" in info.message
        assert "so far so good" in _texts(job.logs())
        with pytest.raises(JobFailedError, match="an odd thing happened"):
            job.model()

    def test_a_cancel(self, backend: Backend, plan: Plan) -> None:
        job = self.start(plan, backend, LONG)
        _wait_for_line(job, "begun")
        job.cancel()
        info = job.wait(PATIENCE_S)
        assert (info.state, info.reason) == (JobState.CANCELLED, "cancelled")
        job.cancel()
        assert job.info() == info

    def test_a_killed_supervisor_is_noticed(self, backend: Backend, plan: Plan) -> None:
        job = self.start(plan, backend, LONG)
        _wait_for_line(job, "begun")
        self.kill(job)
        *_, info = _states(job)  # Job.wait would start a retry
        assert info.state is JobState.FAILED, info
        assert info.reason in contract.REASONS
        again = self.start(plan, backend, HELLO).wait(PATIENCE_S)
        assert (again.state, again.attempt) == (JobState.SUCCEEDED, 2)

    def test_a_failed_start_leaves_no_claim(self, backend: Backend, plan: Plan) -> None:
        with self.break_start(self.place(plan, HELLO)) as broken, pytest.raises(FtsdkError):
            submit(broken, backend, secrets={}, on_attach=lambda info: None)
        info = self.start(plan, backend, HELLO).wait(PATIENCE_S)
        assert (info.state, info.attempt) == (JobState.SUCCEEDED, 1)

    # --- names ---------------------------------------------------------------------------------------------
    def test_the_same_again_attaches(self, backend: Backend, plan: Plan) -> None:
        first = self.start(plan, backend, HELLO)
        there: list[JobInfo] = []
        submit(self.place(plan, HELLO), backend, secrets={}, on_attach=there.append)
        first.wait(PATIENCE_S)
        submit(self.place(plan, HELLO), backend, secrets={}, on_attach=there.append)
        assert [info.attempt for info in there] == [1, 1]
        assert _texts(first.logs()).count("hello") == 1

    def test_two_at_once_start_one(self, backend: Backend, plan: Plan) -> None:
        placed = self.place(plan, HELLO)
        make_ready(placed)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: backend.submit(placed, {}), range(4)))
        job = Job(plan.uri, backend)
        assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED
        assert _texts(job.logs()).count("hello") == 1

    def test_after_a_failure_comes_a_new_attempt(self, backend: Backend, plan: Plan) -> None:
        job = self.start(plan, backend, "raise SystemExit('no')")
        assert job.wait(PATIENCE_S).state is JobState.FAILED
        again = self.start(plan, backend, HELLO)
        info = again.wait(PATIENCE_S)
        assert (again.uri, info.state, info.attempt) == (job.uri, JobState.SUCCEEDED, 2)
        stamps = [contract.parse_stamp(line.cursor) for line in again.logs()]
        assert stamps == sorted(stamps)
        assert {stamp.attempt for stamp in stamps} == {1, 2}

    def test_a_submit_after_a_cancel_starts_a_new_attempt(self, backend: Backend, plan: Plan) -> None:
        job = self.start(plan, backend, LONG)
        _wait_for_line(job, "begun")
        job.cancel()
        job.wait(PATIENCE_S)
        info = self.start(plan, backend, HELLO).wait(PATIENCE_S)
        assert (info.state, info.attempt) == (JobState.SUCCEEDED, 2)

    def test_list(self, backend: Backend, plan: Plan, facts: Facts, spec: JobSpec) -> None:
        assert list(backend.list()) == []
        job = self.start(plan, backend, HELLO)
        job.wait(PATIENCE_S)
        other = backend.plan(parse({**spec.model_dump(), "name": new_label()}, where="conformance"), facts)
        self.start(other, backend, LONG)
        assert [(info.name, info.state.terminal) for info in backend.list()] == [(other.name, False), (plan.name, True)]

    def test_attach_from_another_process(self, backend: Backend, plan: Plan) -> None:
        job = self.start(plan, backend, MAKES_A_FILE)
        code = "info = job.wait(60); print(json.dumps([info.state, info.attempt, job.model().files['weights.bin']]))"
        assert json.loads(_other_process(job.uri, code)) == ["SUCCEEDED", 1, 256 * 40]

    # --- lines ---------------------------------------------------------------------------------------------
    def test_lines_come_while_it_runs(self, backend: Backend, plan: Plan) -> None:
        job = self.start(plan, backend, "import time\nprint('early')\ntime.sleep(2)\nprint('late')")
        lines: list[LogLine] = []
        for line in job.logs(follow=True):
            lines.append(line)
            if line.text == "early":
                assert not job.done()
        assert job.done()
        assert lines == list(job.logs())
        assert _texts(lines).index("early") < _texts(lines).index("late")

    def test_lines_are_stamped(self, backend: Backend, plan: Plan) -> None:
        job = self.start(plan, backend, "for i in range(100): print(i)")
        job.wait(PATIENCE_S)
        store = backend.artifacts(plan.name)
        kept = b"".join(store.read(item.key) for item in store.list(f"{contract.LOGS_DIR}/")).decode().splitlines()
        stamped = [contract.split_line(line) for line in kept]
        assert [stamp and (*stamp,) for stamp, _ in stamped] == [(1, 0, number) for number in range(len(kept))]
        assert [text for _, text in stamped] == _texts(job.logs())

    def test_a_cursor_resumes_in_another_process(self, backend: Backend, plan: Plan) -> None:
        job = self.start(plan, backend, "import time\nfor i in range(30): print('line', i); time.sleep(0.02)")
        head = list(islice(job.logs(follow=True), 10))
        code = f"print(json.dumps([line for line in job.logs(follow=True, after={head[-1].cursor!r})]))"
        rest = [LogLine(*line) for line in json.loads(_other_process(job.uri, code))]
        assert [*head, *rest] == list(job.logs())
        assert [text for text in _texts([*head, *rest]) if text.startswith("line")] == [f"line {i}" for i in range(30)]
        with pytest.raises(SpecError):
            next(job.logs(after="gibberish"))

    def test_all_of_many_lines_are_read_in_order(self, backend: Backend, plan: Plan) -> None:
        self.follow_many(backend, plan, 100_000)

    @pytest.mark.long
    def test_a_million_lines(self, backend: Backend, plan: Plan) -> None:
        self.follow_many(backend, plan, 1_000_000)

    def follow_many(self, backend: Backend, plan: Plan, count: int) -> None:
        """Follow this many lines with five new starts in between: none is lost, doubled or cut."""
        job = self.start(plan, backend, MANY_LINES.format(count=count))
        expected = (f"{i} {'ä' * (i % 7)}{'=' * (i % 97)}" for i in range(count))
        cursor, got = None, 0
        for stop_at in [count * part // 6 for part in range(1, 6)] + [count + 1]:
            for line in Job.attach(job.uri).logs(follow=True, after=cursor):
                cursor = line.cursor
                if not line.text.startswith(contract.EVENT_MARK):
                    assert line.text == next(expected)
                    got += 1
                    if got == stop_at:
                        break
        assert got == count
        assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED

    # --- what it made --------------------------------------------------------------------------------------
    def test_artifacts_and_model(self, backend: Backend, plan: Plan, tmp_path: Path) -> None:
        job = self.start(plan, backend, MAKES_A_FILE)
        model = job.result(PATIENCE_S)
        assert model.files["weights.bin"] == 256 * 40 and set(model.files) == {"weights.bin", contract.LINEAGE_FILE}
        assert (model.job_uri, model.digest, model.adapter) == (plan.uri, plan.digest, False)
        copied = model.download(tmp_path / "copy") / "weights.bin"
        assert copied.read_bytes() == bytes(range(256)) * 40
        store = backend.artifacts(plan.name)
        assert json.loads(store.read(contract.JOB_FILE))["digest"] == plan.digest
        assert f"{contract.MODEL_DIR}/weights.bin" in {item.key for item in store.list()}

    @pytest.mark.trainer
    def test_real_training(self, backend: Backend, trained: Mapping[str, object]) -> None:
        fields = {
            "name": new_label(),
            "hyperparameters": dict(TWELVE_STEPS),
            "env": {"OMP_NUM_THREADS": "1"},
            **trained,
        }
        spec = parse(fields, where="conformance")
        plan = backend.plan(spec, inspect(spec))
        job = submit(plan, backend, secrets={}, on_attach=lambda info: None)
        model = job.result(PATIENCE_S * 3)
        assert model.adapter
        assert "adapter_model.safetensors" in model.files
        losses = {point["step"]: point["loss"] for point in job.metrics() if "loss" in point}
        assert sorted(losses) == list(range(1, 13))
        assert losses[12] < losses[1]

    # --- secrets -------------------------------------------------------------------------------------------
    def test_secrets_reach_the_job_and_nobody_else(
        self, backend: Backend, spec: JobSpec, facts: Facts, own_home: Path
    ) -> None:
        with_secret = parse({**spec.model_dump(), "secrets": ("FTSDK_SECRET_WORD",)}, where="conformance")
        plan = backend.plan(with_secret, facts)
        job = self.start(plan, backend, SAYS_SECRET + "\nimport time; time.sleep(1)", FTSDK_SECRET_WORD=SECRET)
        printed = _wait_for_line(job, "it is")
        shown = self.public_words(plan)
        described = repr(job.info())
        assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED
        assert printed != f"it is {SECRET}"
        assert SECRET not in json.dumps(plan.to_json())
        assert SECRET not in repr(plan)
        assert shown, "public_words returned nothing"
        assert SECRET not in shown, "everybody can see the secret's value (public_words)"
        assert SECRET not in described + repr(job.info()), "describe shows the secret's value"
        assert SECRET not in "".join(_texts(job.logs()))
        store = backend.artifacts(plan.name)
        kept = [store.read(item.key) for item in store.list()]
        kept += [path.read_bytes() for path in home.home_dir().rglob("*") if path.is_file()]
        assert not [data for data in kept if SECRET.encode() in data]

    def test_what_it_cannot_do_is_refused(self, backend: Backend, spec: JobSpec, facts: Facts) -> None:
        for ability, change in LIMITS.items():
            if not getattr(backend.capabilities, ability):
                changed = parse({**spec.model_dump(), **change}, where="conformance")
                with pytest.raises(FtsdkError, match="choose a backend that can"):
                    backend.plan(changed, facts)

    def test_it_is_registered(self, backend: Backend) -> None:
        assert backends.backend_class(backend.name) is type(backend)


def _states(job: Job) -> Iterator[JobInfo]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        yield (info := job.info())
        if info.state.terminal:
            return
        time.sleep(0.05)


def _wait_for_line(job: Job, start: str) -> str:
    return next(line.text for line in job.logs(follow=True) if line.text.startswith(start))


def _texts(lines: Iterable[LogLine]) -> list[str]:
    return [line.text for line in lines]


def _other_process(uri: str, code: str) -> str:
    """Run code with `job` attached, in another process that sees the same home."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": path}
    argv = [sys.executable, "-c", OTHER_PROCESS + code, uri]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout
