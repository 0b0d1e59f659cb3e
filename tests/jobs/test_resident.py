"""Watching many jobs of a cloud: what a round asks the service, and what follows the end of a job."""

import json
from dataclasses import replace

import pytest

from ftsdk.backends.base import SupportsActiveJobs
from ftsdk.backends.pai import Pai
from ftsdk.backends.sagemaker import SageMaker
from ftsdk.jobs import journal, resident
from tests.backends.pai import account as pai_account
from tests.backends.sagemaker import account as sagemaker_account
from tests.emulators.dlc import DlcCloud
from tests.emulators.dlc_job import DlcJob
from tests.emulators.sagemaker import BUCKET, KEYS, SageMakerCloud
from tests.emulators.training_job import TrainingJob
from tests.golden import pai, sagemaker

JOBS = 6


def submitted(plan, options):
    """Jobs that the journal has; whether the platform has them is the test's matter."""
    for number in range(JOBS):
        name = f"many-{number:08x}"
        request = json.loads(json.dumps(plan.request).replace(plan.name, name))
        data = {"uri": plan.uri.replace(plan.name, name), "options": options.model_dump(mode="json")}
        job = replace(plan, name=name, request=request, **data)
        journal.intend(job)
        journal.complete(job)
        yield job


@pytest.fixture
def on_sagemaker(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    cloud = SageMakerCloud()
    cloud.make_account()
    for plan in submitted(sagemaker.REQUESTS["one-gpu"](), sagemaker_account.options(cloud)):
        cloud.jobs[plan.native_name] = TrainingJob(plan.request, cloud)
    yield cloud
    cloud.jobs.clear()
    cloud.close()


@pytest.fixture
def on_pai(monkeypatch):
    cloud = DlcCloud()
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    for plan in submitted(pai.REQUESTS["one-gpu"](), pai_account.options(cloud)):
        cloud.jobs[plan.name] = DlcJob(plan.name, plan.request, cloud)
        cloud.jobs[plan.name].status = "Running"
    yield cloud
    cloud.jobs.clear()
    cloud.close()


def one_round(cloud):
    """The events of one look at every job, and how often each operation of the service was called."""
    cloud.calls.clear()
    return list(resident.watch(once=True)), dict(cloud.calls)


def test_running_training_jobs_cost_one_listing(on_sagemaker):
    assert one_round(on_sagemaker) == ([], {"ListTrainingJobs": 1})


def test_running_dlc_jobs_cost_one_listing_for_each_status(on_pai):
    assert one_round(on_pai) == ([], {"ListJobs": 2})


def test_watching_describes_only_jobs_that_have_ended(on_sagemaker):
    on_sagemaker.jobs["many-00000001-a1"]._end("Stopped", "Stopped")
    document = b'{"num_nodes": 1}'
    on_sagemaker.client("s3").put_object(Bucket=BUCKET, Key="ftsdk/jobs/many-00000001/job.json", Body=document)
    events, calls = one_round(on_sagemaker)
    assert [(event.uri, event.decision.action) for event in events] == [("sagemaker://us-west-2/many-00000001", "done")]
    assert calls["DescribeTrainingJob"] < JOBS
    assert one_round(on_sagemaker) == ([], {"ListTrainingJobs": 1})


def test_a_job_that_the_platform_lost_is_a_problem_of_its_own(on_sagemaker):
    del on_sagemaker.jobs["many-00000001-a1"]
    events, _ = one_round(on_sagemaker)
    assert [(event.uri, type(event.problem).__name__) for event in events] == [
        ("sagemaker://us-west-2/many-00000001", "JobNotFoundError")
    ]


def test_without_permission_to_list_every_job_is_polled(on_sagemaker):
    running = list(resident.watch(once=True))
    on_sagemaker.denied.add("ListTrainingJobs")
    events, _ = one_round(on_sagemaker)
    assert running == []
    assert {event.uri for event in events} == {f"sagemaker://us-west-2/many-{number:08x}" for number in range(JOBS)}


def test_jobs_of_one_account_share_a_client_until_its_credentials_change(on_sagemaker, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    one, other = (SageMaker(sagemaker_account.options(on_sagemaker)) for _ in range(2))
    assert isinstance(one, SupportsActiveJobs)
    first = one._services.client("sagemaker")
    assert other._services.client("sagemaker") is first
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = AKIATEST\naws_secret_access_key = secret\n")
    renewed = other._services.client("sagemaker")
    assert renewed is not first
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    assert one._services.client("sagemaker") is not renewed


def test_jobs_of_one_workspace_share_a_client(on_pai, monkeypatch):
    one, other = (Pai(pai_account.options(on_pai)) for _ in range(2))
    assert one._services._client() is other._services._client()
    first = one._services._client()
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "other")
    assert one._services._client() is not first
