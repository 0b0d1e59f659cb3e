"""The pai backend passes the conformance suite, against the emulator with real containers."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.backends.pai import Pai
from ftsdk.errors import AuthError, BackendError
from ftsdk.facts import inspect
from ftsdk.jobs.submit import submit
from ftsdk.jobs.watching import wait_for_attempt
from ftsdk.plan import Upload
from ftsdk.spec.loading import parse
from ftsdk.testing import processes
from ftsdk.testing.conformance import PATIENCE_S, BackendConformance
from ftsdk.testing.programs import HELLO, LONG, MAKES_A_FILE, SECRET, new_label
from ftsdk.testing.recovery import ONE_STEP
from tests.backends.pai.account import ROLE, options
from tests.emulators import fixtures
from tests.emulators.dlc import DlcCloud

pytestmark = pytest.mark.docker

SPEAKS_UNTIL_STEP_3 = f"{ONE_STEP}\nif step < 3:\n    for beat in range(10**6): print(step, beat); time.sleep(0.01)"
"""Output of a machine between two steps is in its pod's log long before it is in a segment."""


def place_in_data_mount(plan, source, folder):
    """The plan with a trainer of a few lines among its data files."""
    data = source.encode()
    digest = hashlib.sha256(data).hexdigest()
    path = Path(folder, f"trainer-{digest[:12]}.py")
    path.write_bytes(data)
    target = next(u.target for u in plan.uploads if "/0/" in u.target).rpartition("/0/")[0] + f"/{path.name}"
    upload = Upload(source=str(path), target=target, bytes=len(data), sha256=digest, is_content_address=True)
    document = {**plan.document, "trainer": f"/mnt/ftsdk/data/{path.name}"}
    return replace(plan, document=document, uploads=(*plan.uploads, upload))


def until(condition):
    """Wait for what the emulator does by itself."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def take_back(native, step, *, notice):
    """Take a machine once its checkpoint of this step is committed and it says more; AIMaster gets another."""
    until(lambda: native.nodes and native.nodes[0] not in native.history_pods)
    node = native.nodes[0]
    until(lambda: any(f'"commit", "step": {step}' in line for line in node.said))
    enough = len(node.said) + 50
    until(lambda: len(node.said) > enough)
    native.evict(notice=notice)
    until(lambda: node in native.history_pods)


class TestPai(BackendConformance):
    @pytest.fixture
    def cloud(self, monkeypatch):
        cloud = DlcCloud()
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        fixtures.like_pai(cloud, fixtures.measured("FTSDK_PROBE_PAI"))
        yield cloud
        cloud.close()

    @pytest.fixture
    def backend(self, cloud, tmp_path_factory):
        self.cloud, self.scripts = cloud, tmp_path_factory.mktemp("scripts")
        cloud.secrets["ftsdk/FTSDK_SECRET_WORD"] = SECRET
        return Pai(options(cloud, role=ROLE))

    @pytest.fixture
    def trained(self, tiny_fields):
        return tiny_fields

    @pytest.mark.long  # the container is that of SageMaker's emulator, where it always runs
    @pytest.mark.trainer
    def test_real_evaluation(self, backend, trained):
        super().test_real_evaluation(backend, trained)

    def place(self, plan, source):
        return place_in_data_mount(plan, source, self.scripts)

    def public_words(self, plan):
        return json.dumps(self.cloud.job(plan.native_name).describe()) + processes.command_lines()

    def kill(self, job):
        self.cloud.job(contract.native_name(job.name, job.info().attempt)).evict(notice=False)

    @contextmanager
    def break_start(self, plan):
        self.cloud.denied.add("CreateJob")
        yield plan
        self.cloud.denied.clear()

    def test_all_of_many_lines_are_read_in_order(self, backend, plan):
        self.follow_many(backend, plan, 200_000)

    def test_bursts_of_equal_lines_that_pods_drop_are_complete(self, backend, plan, cloud):
        cloud.forgets = 7
        source = "import sys, time\nfor _ in range(20): sys.stdout.write('same\\n' * 5000); time.sleep(0.05)"
        job = self.start(plan, backend, source)
        followed = list(job.logs(follow=True))
        assert [line.text for line in followed].count("same") == 100_000
        stamps = [contract.parse_stamp(line.cursor).sequence for line in followed]
        assert stamps == list(range(len(stamps)))
        assert list(job.logs()) == followed

    def test_inputs_in_oss_are_read_where_they_are(self, backend, spec, cloud, tmp_path, monkeypatch):
        monkeypatch.setenv("OSS_ENDPOINT", backend.options.oss_endpoint)
        store = cloud.store()
        for name in ("model/config.json", "train.jsonl"):
            store.put(f"given/{name}", (tmp_path / name).read_bytes())
        given = {"name": new_label(), "model": "oss://ours/given/model", "dataset": "oss://ours/given/train.jsonl"}
        asked = parse(given, where="test")
        plan = backend.plan(asked, inspect(asked))
        source = (
            "import json, os, pathlib\nconfig = json.load(open(os.environ['FTSDK_TRAIN']))['document']\n"
            "folder = pathlib.Path(config['config']['model_name_or_path'])\n"
            "print('model', json.load(open(folder / 'config.json')))\n"
            "(one,) = [data['file_name'] for data in config['dataset_info'].values()]\n"
            "print('rows', len(open(one).readlines()))"
        )
        place = {**plan.document, "trainer": "/mnt/more/trainer.py"}
        mount = {"Uri": "oss://ours.oss-cn-hangzhou-internal.aliyuncs.com/more/", "MountPath": "/mnt/more",
                 "MountAccess": "RO"}  # fmt: skip
        store.put("more/trainer.py", source.encode())
        request = {**plan.request, "DataSources": [*plan.request["DataSources"], mount]}
        job = submit(replace(plan, document=place, request=request), backend, secrets={}, on_attach=print)
        assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED, [line.text for line in job.logs()]
        assert [line.text for line in job.logs() if line.text.startswith(("model", "rows"))] == [
            "model {'model_type': 'qwen2'}",
            "rows 5",
        ]

    @pytest.mark.parametrize("trouble", ["drop", "lose"])
    def test_a_create_whose_connection_breaks_starts_one_job(self, backend, plan, cloud, trouble):
        cloud.troubles["CreateJob"] = [trouble]
        job = self.start(plan, backend, HELLO)
        assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED
        assert [job.name for job in cloud.jobs.values()] == [plan.native_name]

    def test_every_call_is_retried(self, backend, plan, cloud):
        for action in ("ListJobs", "GetJob", "StopJob"):
            cloud.troubles[action] = ["drop", 429, "lose"]
        job = self.start(plan, backend, LONG)
        next(line for line in job.logs(follow=True) if line.text == "begun")
        job.cancel()
        assert job.wait(PATIENCE_S).state is JobState.CANCELLED
        assert len(cloud.jobs) == 1

    def test_a_client_that_dies_after_the_create_loses_nothing(self, backend, plan, cloud, tmp_path):
        placed = self.place(plan, HELLO)
        (tmp_path / "plan.json").write_text(json.dumps(placed.to_json()))
        code = (
            "import json, sys; from ftsdk.plan import Plan; from ftsdk import backends\n"
            "from ftsdk.jobs.submit import submit\n"
            "plan = Plan.from_json(json.load(open(sys.argv[1]))); backend = backends.get('pai', plan.options)\n"
            "submit(plan, backend, secrets={}, on_attach=print)"
        )
        client = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "plan.json")],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        cloud.before_answer = lambda action: client.kill() if action == "CreateJob" else None
        assert client.wait(PATIENCE_S) == -signal.SIGKILL
        cloud.before_answer = lambda action: None
        there = []
        job = submit(placed, backend, secrets={}, on_attach=there.append)
        assert [info.attempt for info in there] == [1]
        assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED
        assert len(cloud.jobs) == 1

    @pytest.mark.parametrize("status", ["Creating", "Queuing", "EnvPreparing", "Running"])
    def test_a_cancel_in_every_state(self, backend, plan, cloud, status):
        cloud.held = status
        cloud.sold_out = {"ecs.g7.2xlarge"} if status == "Creating" else set()
        cloud.before_refusal = lambda action: setattr(cloud, "held", "")  # what cannot be stopped yet, goes on
        job = self.start(plan, backend, LONG)
        native = cloud.job(plan.native_name)
        until(lambda: native.status == status)
        if status == "Running":
            assert re.fullmatch(r"wss://.+-master-0\?shared=true.*", job.terminal())
        else:
            with pytest.raises(BackendError, match="a terminal needs a running one"):
                job.terminal()
        assert job.info().state is (JobState.RUNNING if status == "Running" else JobState.PENDING)
        job.cancel()
        info = job.wait(PATIENCE_S)
        assert (info.state, info.reason) == (JobState.CANCELLED, "cancelled")
        assert (cloud.calls["StopJob"] > 1) == (status == "Creating")
        assert native.status == ("Failed" if status == "EnvPreparing" else "Stopped")

    @pytest.mark.parametrize(("status", "source"), [("Succeeded", MAKES_A_FILE), ("Failed", "raise SystemExit('no')")])
    def test_machines_that_are_kept_after_the_end(self, backend, plan, cloud, status, source):
        cloud.held = f"{status}Reserving"
        job = self.start(plan, backend, source)
        info = job.wait(PATIENCE_S)
        assert (info.native["status"], info.state) == (cloud.held, status.upper())
        lines = list(job.logs(follow=True))
        job.cancel()
        assert cloud.calls["StopJob"] == 0
        cloud.held = ""
        native = cloud.job(plan.native_name)
        until(lambda: native.status == status)
        assert (job.info().state, list(job.logs())) == (info.state, lines)
        if info.state is JobState.SUCCEEDED:
            assert job.model().files["weights.bin"] == 256 * 40
        else:
            assert self.start(plan, backend, HELLO).wait(PATIENCE_S).attempt == 2

    def test_a_job_stopped_in_the_console_is_cancelled(self, backend, plan, cloud):
        job = self.start(plan, backend, LONG)
        next(line for line in job.logs(follow=True) if line.text == "begun")
        cloud.job(plan.native_name).stop()
        info = job.wait(PATIENCE_S)
        assert (info.state, info.reason) == (JobState.CANCELLED, "stopped")

    @pytest.mark.parametrize("notice", [True, False])
    def test_a_reclaimed_spot_machine_is_a_preemption(self, backend, spec, facts, cloud, notice):
        fields = {**spec.model_dump(), "name": new_label(), "resources": {"spot": True}}
        asked = parse(fields, where="test")
        plan = Pai(options(cloud, spot_discount_limit=0.8)).plan(asked, facts)
        job = self.start(plan, backend, LONG)
        next(line for line in job.logs(follow=True) if line.text == "begun")
        cloud.job(plan.native_name).evict(notice=notice)
        info = wait_for_attempt(job, PATIENCE_S)
        assert (info.state, info.reason) == (JobState.FAILED, "preempted"), info
        assert info.reason in contract.RETRIED["preemption"]
        again = self.start(backend.on_demand(plan), backend, HELLO)
        assert again.wait(PATIENCE_S).attempt == 2
        assert "SpotSpec" not in cloud.job(contract.native_name(plan.name, 2)).request["JobSpecs"][0]
        assert [line.text for line in again.logs() if line.text in ("begun", "hello")] == ["begun", "hello"]

    @pytest.mark.parametrize("num_nodes", [1, pytest.param(2, marks=pytest.mark.long)])
    def test_aimaster_starts_it_again(self, backend, spec, facts, cloud, num_nodes):
        """The job stays Running with other pods: one attempt, and every pod's lines, once and in order."""
        fields = {**spec.model_dump(), "name": new_label(), "resources": {"spot": True, "num_nodes": num_nodes}}
        lingjun = Pai(options(cloud, ecs_spec="ml.gu7xf.8xlarge-gu108", spot_discount_limit=0.8))
        plan = lingjun.plan(parse(fields, where="test"), facts)
        job = self.start(plan, lingjun, SPEAKS_UNTIL_STEP_3)
        native = cloud.job(plan.native_name)
        with ThreadPoolExecutor(1) as pool:
            followed = pool.submit(lambda: list(job.logs(follow=True)))
            for step, notice in ((1, False), (2, True)):
                take_back(native, step, notice=notice)
                assert job.info().state is JobState.RUNNING
            lines = followed.result(PATIENCE_S)
        info = job.wait(PATIENCE_S)
        assert (info.state, info.attempt, len(cloud.jobs)) == (JobState.SUCCEEDED, 1, 1)
        pods = [*native.history_pods, *native.nodes]
        assert len(pods) == 3 * num_nodes
        for number in range(num_nodes):
            said = [contract.split_line(line) for pod in pods if pod.number == number for line in pod.said]
            mine = [(line.cursor.partition(",")[0], line.text) for line in lines]
            assert [line for line in mine if line[0].split(".")[1] == str(number)] == [
                (str(s), text) for s, text in said
            ]
        for place in range(0, len(lines), 37):
            rest = [line.text for line in job.logs(after=lines[place].cursor)]
            assert sorted(rest) == sorted(line.text for line in lines[place + 1 :])

    def test_the_shells_error_is_in_the_log(self, backend, plan, cloud):
        command = "echo it rains; exec no-such-program"
        job = submit(replace(plan, request={**plan.request, "UserCommand": command}), backend, secrets={},
                     on_attach=print)  # fmt: skip
        info = job.wait(PATIENCE_S)
        assert (info.state, info.reason) == (JobState.FAILED, "bad_config")
        lines = list(job.logs())
        assert "it rains" in {line.text for line in lines}
        assert any("no-such-program" in line.text for line in lines)
        assert list(job.logs(after=lines[0].cursor)) == lines[1:]

    def test_variables_of_the_platform_are_removed_on_two_nodes(self, backend, spec, facts, cloud):
        fields = {**spec.model_dump(), "name": new_label(), "resources": {"num_nodes": 2, "accelerators_per_node": 2}}
        plan = backend.plan(parse(fields, where="test"), facts)
        source = (
            "import os\nkept = {k: os.environ.get(k) for k in ('WORLD_SIZE', 'RANK', 'LOCAL_RANK', 'GROUP_RANK')}\n"
            "os.write(1, f'seen {kept} {\"NPROC_PER_NODE\" in os.environ}\\n'.encode())  # at once: two share a pipe"
        )
        job = self.start(plan, backend, source)
        assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED, job.info()
        seen = sorted(line.text for line in job.logs() if line.text.startswith("seen"))
        ranks = (
            {"WORLD_SIZE": "4", "RANK": str(2 * node + local), "LOCAL_RANK": str(local), "GROUP_RANK": str(node)}
            for node in range(2)
            for local in range(2)
        )
        assert seen == [f"seen {rank} False" for rank in ranks]

    def test_a_denied_create_raises_auth_error(self, backend, plan, cloud):
        cloud.denied = {"CreateJob"}
        with pytest.raises(AuthError, match="ftsdk doctor -b pai"):
            self.start(plan, backend, HELLO)
        cloud.denied = set()
        assert self.start(plan, backend, HELLO).wait(PATIENCE_S).state is JobState.SUCCEEDED

    def test_a_secret_that_is_only_here_is_refused(self, backend, spec, facts):
        told = parse({**spec.model_dump(), "secrets": ("ANOTHER",)}, where="test")
        with pytest.raises(AuthError, match="ftsdk secrets put ANOTHER --backend pai"):
            self.start(backend.plan(told, facts), backend, HELLO, ANOTHER="x")

    def test_the_default_role_reaches_one_bucket(self, spec, facts, cloud):
        """Where the workspace cannot be queried, the job itself fails: its role may not write."""
        cloud.denied = {"ListConfigs"}
        backend = Pai(options(cloud, sanity_check=True))
        for default, state in (("ours", JobState.SUCCEEDED), ("theirs", JobState.FAILED)):
            cloud.default_bucket = default
            plan = backend.plan(parse({**spec.model_dump(), "name": new_label()}, where="test"), facts)
            job = self.start(plan, backend, HELLO)
            assert job.wait(PATIENCE_S).state is state, job.info()
            statuses = [step["Status"] for step in cloud.job(plan.native_name).history]
            assert statuses.index("SanityChecking") < statuses.index("Running")

    def test_a_secret_is_put_and_put_again(self, backend, cloud):
        for value in ("one", "two"):
            assert backend.put_secret("A", value) == "ftsdk/A"
            assert cloud.secrets["ftsdk/A"] == value

    def test_an_attempt_finishes_and_writes_the_model_to_oss(self, backend, plan, cloud):
        model = self.start(plan, backend, MAKES_A_FILE).result(PATIENCE_S)
        assert model.files["weights.bin"] == 256 * 40
        assert backend.artifacts(plan.name).uri == f"oss://ours/ftsdk/jobs/{plan.name}"
