"""Models as endpoints of the emulated account: their containers run, and answer real requests."""

import pytest

from ftsdk.backends.base import DeploymentState
from ftsdk.backends.sagemaker import SageMaker
from ftsdk.errors import BackendError, QuotaError, SpecError, UnsupportedError
from ftsdk.jobs.starting import no_bar
from ftsdk.models.deployment import deploy, plan_deployment, recorded
from ftsdk.spec.loading import parse
from ftsdk.testing.programs import new_label
from tests.backends.sagemaker.account import image, options
from tests.emulators.sagemaker import KEYS, SageMakerCloud

CHAT = {"messages": [{"role": "user", "content": "sun moon"}], "max_tokens": 3}


@pytest.fixture
def cloud(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    cloud = SageMakerCloud()
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)  # models in S3 are looked at as from anywhere else
    cloud.make_account()
    yield cloud
    cloud.close()


def spec(folder, **program):
    fields = {"model": str(folder / "model"), "name": new_label(), "program": {"type": "serve", **program}}
    return parse(fields, where="test")


def put(cloud, folder, bucket, prefix):
    """A model's folder in S3, as a job leaves it."""
    for path in (folder / "model").iterdir():
        cloud.client("s3").upload_file(str(path), bucket, f"{prefix}/{path.name}")


@pytest.mark.docker
@pytest.mark.trainer
def test_two_models_behind_one_address(cloud, tiny_folder):
    """One from this machine, one from S3; both answer, by their weights, and nothing is left afterwards."""
    backend = SageMaker(options(cloud, image=image()))
    put(cloud, tiny_folder, "sagemaker-us-west-2-123456789012", "theirs/model")
    asked = spec(tiny_folder, beside="s3://sagemaker-us-west-2-123456789012/theirs/model", beside_share=0.4)
    plan = plan_deployment(asked, backend)
    assert not any("theirs" in upload.target for upload in plan.uploads)
    made = deploy(plan, backend, bar=no_bar)
    assert made.info().state is DeploymentState.READY
    assert deploy(plan, backend, bar=no_bar).uri == made.uri
    answers = [made.ask(CHAT) for _ in range(12)]
    assert {answer["object"] for answer in answers} == {"chat.completion"}
    assert set(cloud.endpoints[made.name].answered) == {"main", "beside"}
    with pytest.raises(BackendError, match="424"):
        made.ask({"messages": [{"role": "user", "content": "x"}], "n": 2})
    alone = asked.model_copy(update={"program": asked.program.model_copy(update={"beside": None})})
    with pytest.raises(SpecError, match="is taken by another deployment"):
        deploy(plan_deployment(alone, backend), backend, bar=no_bar)
    made.undeploy()
    assert (cloud.endpoints, cloud.endpoint_configs, cloud.models, recorded()) == ({}, {}, {}, [])


@pytest.mark.docker
@pytest.mark.trainer
@pytest.mark.long
def test_an_endpoint_that_fails_is_deleted_and_its_last_line_is_in_the_error(cloud, tiny_folder):
    put(cloud, tiny_folder, "sagemaker-us-west-2-123456789012", "broken/model")
    broken = {"Bucket": "sagemaker-us-west-2-123456789012", "Key": "broken/model/tokenizer.json", "Body": b"{"}
    cloud.client("s3").put_object(**broken)
    backend = SageMaker(options(cloud, image=image()))
    asked = spec(tiny_folder).model_copy(update={"model": "s3://sagemaker-us-west-2-123456789012/broken/model"})
    with pytest.raises(BackendError, match=r"ping health check.* has a tokenizer that cannot be loaded"):
        deploy(plan_deployment(asked, backend), backend, bar=no_bar)
    assert (cloud.endpoints, cloud.models) == ({}, {})


def test_an_exceeded_quota_is_named_and_nothing_is_created(cloud, tiny_folder):
    cloud.quotas = {"ml.m5.xlarge for endpoint usage": 0}
    backend = SageMaker(options(cloud, image="image"))
    with pytest.raises(QuotaError, match=r"raise the quota 'ml\.m5\.xlarge for endpoint usage'"):
        deploy(plan_deployment(spec(tiny_folder), backend), backend, bar=no_bar)
    assert (cloud.endpoints, cloud.endpoint_configs, cloud.models) == ({}, {}, {})


@pytest.mark.parametrize(
    ("program", "words"),
    [({"min_replicas": 0}, "at least one machine"), ({"max_replicas": 3}, "sets no autoscaling")],
)
def test_unsupported_endpoint_fields_are_refused(cloud, tiny_folder, program, words):
    with pytest.raises(UnsupportedError, match=words):
        plan_deployment(spec(tiny_folder, **program), SageMaker(options(cloud)))
