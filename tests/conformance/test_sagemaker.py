"""The sagemaker backend passes the conformance suite, against the emulator with real containers."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.backends.sagemaker import SageMaker, states
from ftsdk.errors import AuthError, QuotaError
from ftsdk.jobs import journal
from ftsdk.jobs.starting import make_ready
from ftsdk.jobs.submit import submit
from ftsdk.jobs.watching import wait_for_attempt
from ftsdk.plan import Upload
from ftsdk.spec.loading import parse
from ftsdk.storage.store import open_store
from ftsdk.testing import processes
from ftsdk.testing.conformance import PATIENCE_S, BackendConformance
from ftsdk.testing.programs import HELLO, LONG, MAKES_A_FILE, SECRET
from tests.backends.sagemaker import sdk
from tests.backends.sagemaker.account import image, options
from tests.emulators import fixtures
from tests.emulators.roles import RoleAddress
from tests.emulators.sagemaker import KEYS, SageMakerCloud

pytestmark = pytest.mark.docker
READS_AND_WRITES = """
import pathlib
folder = pathlib.Path("/opt/ml/input/data/hub")
print((folder / "words.txt").read_text())
try:
    (folder / "new.txt").write_text("")
except OSError:
    print("read-only")
"""


def place_in_train_channel(plan, source, folder):
    """The plan with a trainer of a few lines among its training files."""
    data = source.encode()
    digest = hashlib.sha256(data).hexdigest()
    path = Path(folder, f"trainer-{digest[:12]}.py")
    path.write_bytes(data)
    channel = next(c for c in plan.request["InputDataConfig"] if c["ChannelName"] == "train")
    target = channel["DataSource"]["S3DataSource"]["S3Uri"] + path.name
    upload = Upload(source=str(path), target=target, bytes=len(data), sha256=digest, is_content_address=True)
    document = {**plan.document, "trainer": f"/opt/ml/input/data/train/{path.name}"}
    return replace(plan, document=document, uploads=(*plan.uploads, upload))


class TestSageMaker(BackendConformance):
    @pytest.fixture
    def cloud(self, monkeypatch):
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        cloud = SageMakerCloud()
        cloud.make_account()
        cloud.grace_s = 10
        fixtures.like_sagemaker(cloud, fixtures.measured("FTSDK_PROBE_SAGEMAKER"))
        yield cloud
        cloud.close()
        if cloud.role:
            cloud.role.close()

    @pytest.fixture
    def backend(self, cloud, tmp_path_factory):
        self.cloud, self.scripts = cloud, tmp_path_factory.mktemp("scripts")
        cloud.client("secretsmanager").create_secret(Name="ftsdk/FTSDK_SECRET_WORD", SecretString=SECRET)
        return SageMaker(options(cloud, image=image()))

    @pytest.fixture
    def trained(self, tiny_fields):
        return tiny_fields

    def place(self, plan, source):
        return place_in_train_channel(plan, source, self.scripts)

    def test_all_of_many_lines_are_read_in_order(self, backend, plan):
        self.follow_many(backend, plan, 200_000)

    def test_lines_that_come_late_are_not_lost(self, backend, plan, cloud):
        cloud.logs.delay_s = 3.0
        job = self.start(plan, backend, "for i in range(1000): print('line', i)")
        texts = [line.text for line in job.logs(follow=True) if line.text.startswith("line")]
        assert texts == [f"line {i}" for i in range(1000)]

    def test_a_fifth_of_all_calls_refused_has_no_effect(self, backend, plan, cloud):
        cloud.trouble = 0.2
        job = self.start(plan, backend, MAKES_A_FILE + "\nfor i in range(1000): print('line', i)")
        texts = [line.text for line in job.logs(follow=True) if line.text.startswith("line")]
        assert texts == [f"line {i}" for i in range(1000)]
        assert job.result(PATIENCE_S).files["weights.bin"] == 256 * 40
        assert list(cloud.jobs) == [plan.native_name]

    def test_a_client_that_dies_after_the_create_loses_nothing(self, backend, plan, cloud, tmp_path):
        placed = self.place(plan, HELLO)
        (tmp_path / "plan.json").write_text(json.dumps(placed.to_json()))
        code = (
            "import json, sys; from ftsdk.plan import Plan; from ftsdk import backends\n"
            "from ftsdk.jobs.submit import submit\n"
            "plan = Plan.from_json(json.load(open(sys.argv[1]))); backend = backends.get('sagemaker', plan.options)\n"
            "submit(plan, backend, secrets={}, on_attach=print)"
        )
        client = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "plan.json")],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        cloud.before_answer = lambda operation: client.kill() if operation == "CreateTrainingJob" else None
        assert client.wait(PATIENCE_S) == -signal.SIGKILL
        cloud.before_answer = lambda operation: None
        assert [(entry.uri, entry.submitted_at) for entry in journal.entries()] == [(plan.uri, None)]
        there = []
        job = submit(placed, backend, secrets={}, on_attach=there.append)
        assert [info.attempt for info in there] == [1]
        assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED
        assert list(cloud.jobs) == [plan.native_name]

    def test_a_job_stopped_in_the_console_is_cancelled(self, backend, plan, cloud):
        job = self.start(plan, backend, LONG)
        next(line for line in job.logs(follow=True) if line.text == "begun")
        cloud.client("sagemaker").stop_training_job(TrainingJobName=plan.native_name)
        info = job.wait(PATIENCE_S)
        assert (info.state, info.reason) == (JobState.CANCELLED, "stopped")

    def test_the_platforms_failure_reason_has_the_supervisors_message(self, backend, plan, cloud):
        job = self.start(plan, backend, "raise MemoryError('an odd thing happened')")
        info = job.wait(PATIENCE_S)
        said = cloud.jobs[plan.native_name].describe()["FailureReason"]
        assert said.startswith(f"AlgorithmError: {info.reason}: ")
        assert "an odd thing happened" in said
        assert states.state_of({"TrainingJobStatus": "Failed", "FailureReason": said}).message in info.message
        assert info.native["training_seconds"] is not None

    def test_model_artifacts_are_uploaded_only_with_the_option(self, backend, spec, facts, cloud):
        plan = backend.plan(spec, facts)
        self.start(plan, backend, MAKES_A_FILE).result(PATIENCE_S)
        address = cloud.jobs[plan.native_name].describe()["ModelArtifacts"]["S3ModelArtifacts"]
        assert list(open_store(address, plan.storage).list()) == []
        asking = SageMaker(backend.options.model_copy(update={"model_artifacts": True}))
        plan = asking.plan(spec.model_copy(update={"name": f"{spec.name}-2"}), facts)
        self.start(plan, asking, MAKES_A_FILE).result(PATIENCE_S)
        address = cloud.jobs[plan.native_name].describe()["ModelArtifacts"]["S3ModelArtifacts"]
        assert open_store(address, plan.storage).read("weights.bin") == bytes(range(256)) * 40

    def test_a_file_system_is_mounted_to_read(self, backend, spec, facts, cloud, tmp_path):
        (tmp_path / "hub").mkdir()
        (tmp_path / "hub" / "words.txt").write_text("sun moon")
        cloud.file_systems["fs-0a1b2c3d"] = tmp_path
        network = {"subnets": ("subnet-0a1b2c3d",), "security_groups": ("sg-0a1b2c3d",)}
        given = {"file_systems": {"hub": "efs://fs-0a1b2c3d/hub"}, **network}
        mounting = SageMaker(backend.options.model_copy(update=given))
        job = self.start(mounting.plan(spec, facts), mounting, READS_AND_WRITES)
        assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED
        assert {"sun moon", "read-only"} <= {line.text for line in job.logs()}

    def test_a_start_that_the_platform_breaks_is_made_again(self, backend, spec, facts, cloud):
        cloud.internal_errors, cloud.logs.empty_pages = 1, True
        patient = SageMaker(backend.options.model_copy(update={"max_pending_hours": 1.0}))
        plan = patient.plan(spec, facts)
        job = self.start(plan, patient, MAKES_A_FILE + "\nfor i in range(1000): print('line', i)")
        texts = [line.text for line in job.logs(follow=True) if line.text.startswith("line")]
        assert texts == [f"line {i}" for i in range(1000)]
        assert job.result(PATIENCE_S).files["weights.bin"] == 256 * 40
        passed = [row["Status"] for row in cloud.jobs[plan.native_name].transitions]
        assert passed[0] == "Pending" and "Restarting" in passed and "DownloadingTrainingImage" in passed

    def test_role_keys_from_an_address_that_fails_now_and_then(self, backend, plan, cloud):
        cloud.role = RoleAddress()
        cloud.role.trouble, cloud.role.lifetime_s = 0.6, 2.0
        job = self.start(plan, backend, MAKES_A_FILE + "\nimport time; time.sleep(5)")
        assert job.result(PATIENCE_S).files["weights.bin"] == 256 * 40
        assert len(cloud.role.ends) > 1 and cloud.role.failures > 0
        cloud.role.close()

    def test_an_old_image_and_a_missing_package_end_before_the_training(self, backend, plan, cloud):
        lacking = replace(plan, document={**plan.document, "config": {**plan.document["config"], "use_vllm": True}})
        info = self.start(lacking, backend, HELLO).wait(PATIENCE_S)
        assert (info.state, info.reason) == (JobState.FAILED, "bad_config")
        assert "vllm" in info.message
        assert "vllm" in cloud.jobs[plan.native_name].describe()["FailureReason"]

    def test_a_sold_out_machine_type_fails_with_capacity(self, backend, plan, cloud):
        cloud.sold_out = {"ml.m5.xlarge"}
        info = self.start(plan, backend, HELLO).wait(PATIENCE_S)
        assert (info.state, info.reason) == (JobState.FAILED, "capacity")

    def test_on_spot_the_next_type_is_tried(self, backend, spec, facts, cloud):
        cloud.sold_out = {"ml.c5.xlarge"}
        chooser = SageMaker(backend.options.model_copy(update={"instance_type": ("ml.c5.xlarge", "ml.m5.xlarge")}))
        asked = parse({**spec.model_dump(), "resources": {"spot": True}}, where="test")
        plan = chooser.plan(asked, facts)
        assert wait_for_attempt(self.start(plan, chooser, HELLO), PATIENCE_S).reason == "capacity"
        info = self.start(plan, chooser, HELLO).wait(PATIENCE_S)
        assert (info.state, info.attempt, info.native["instance_type"]) == (JobState.SUCCEEDED, 2, "ml.m5.xlarge")

    def test_on_demand_the_service_takes_the_first_that_is_free(self, backend, spec, facts, cloud):
        cloud.sold_out = {"ml.c5.xlarge"}
        chooser = SageMaker(backend.options.model_copy(update={"instance_type": ("ml.c5.xlarge", "ml.m5.xlarge")}))
        info = self.start(chooser.plan(spec, facts), chooser, HELLO).wait(PATIENCE_S)
        assert (info.state, info.native["instance_type"]) == (JobState.SUCCEEDED, "ml.m5.xlarge")

    def test_an_exceeded_quota_raises_quota_error(self, backend, plan, cloud):
        cloud.quotas = {"ml.m5.xlarge for training job usage": 0}
        with pytest.raises(
            QuotaError, match=r"raise the quota 'ml.m5.xlarge for training job usage' of SageMaker at http"
        ):
            self.start(plan, backend, HELLO)
        assert journal.entries() == []

    def test_a_denied_create_raises_auth_error(self, backend, plan, cloud):
        cloud.denied = {"CreateTrainingJob"}
        with pytest.raises(AuthError, match="ftsdk doctor -b sagemaker"):
            self.start(plan, backend, HELLO)

    def test_a_secret_that_is_only_here_is_refused(self, backend, spec, facts):
        told = parse({**spec.model_dump(), "secrets": ("ANOTHER",)}, where="test")
        with pytest.raises(AuthError, match="ftsdk secrets put ANOTHER --backend sagemaker"):
            self.start(backend.plan(told, facts), backend, HELLO, ANOTHER="x")

    def test_a_second_submit_sends_no_file_again(self, backend, plan, cloud):
        make_ready(plan)
        puts = cloud.calls["PUT"]
        make_ready(plan)
        assert cloud.calls["PUT"] == puts + 1  # the job document

    @pytest.mark.long
    def test_the_vendors_sdk_reads_the_job(self, backend, spec, facts, cloud, tmp_path):
        backend = SageMaker(backend.options.model_copy(update={"model_artifacts": True}))
        plan = backend.plan(spec, facts)
        with socket.create_server(("127.0.0.1", 0)) as meeting, ThreadPoolExecutor() as pool:
            here = f"socket.create_connection(('127.0.0.1', {meeting.getsockname()[1]})).recv(1)"
            job = self.start(plan, backend, f"import socket; {here}\n{MAKES_A_FILE}")
            met = pool.submit(lambda: [meeting.accept()[0].close for _ in range(2)])  # the job and the SDK
            program = Path(sdk.__file__).with_name("sdk_handle.py")
            said = pool.submit(sdk.run, cloud, tmp_path, str(program), job.uri, str(meeting.getsockname()[1]))
            for close in met.result(PATIENCE_S):
                close()
            seen = json.loads(said.result(PATIENCE_S).splitlines()[-1])
        assert (seen["kind"], seen["name"]) == ("TrainingJob", plan.native_name)
        assert seen["statuses"] == ["InProgress", "Completed"]
        assert open_store(seen["artifacts"], plan.storage).read("weights.bin") == bytes(range(256)) * 40
        (model,) = cloud.models.values()
        source = model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]
        assert (source["S3Uri"], source["CompressionType"]) == (seen["artifacts"], "None")

    def public_words(self, plan):
        said = self.cloud.client("sagemaker").describe_training_job(TrainingJobName=plan.native_name)
        return json.dumps(said, default=str) + processes.command_lines()

    def kill(self, job):
        self.cloud.jobs[contract.native_name(job.name, job.info().attempt)].interrupt(notice=False)

    @contextmanager
    def break_start(self, plan):
        self.cloud.denied = {"CreateTrainingJob"}
        yield plan
        self.cloud.denied = set()
