"""The sagemaker backend keeps what every backend promises, against the emulator with real containers."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ftsdk.backends.sagemaker import SageMaker
from ftsdk.backends.sagemaker.options import SageMakerOptions
from ftsdk.plan import Upload
from ftsdk.testing.conformance import SECRET, BackendConformance
from tests.backends.sagemaker.account import image, options
from tests.emulators.sagemaker import KEYS, SageMakerCloud

pytestmark = pytest.mark.docker


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
        yield cloud
        cloud.close()

    @pytest.fixture
    def backend(self, cloud, tmp_path_factory):
        self.cloud, self.scripts = cloud, tmp_path_factory.mktemp("scripts")
        cloud.client("secretsmanager").create_secret(Name="ftsdk/FTSDK_SECRET_WORD", SecretString=SECRET)
        return SageMaker(options(cloud))

    @pytest.fixture
    def trained(self, tiny_fields):
        return tiny_fields

    def place(self, plan, source):
        return place_in_train_channel(plan, source, self.scripts)

    def public_words(self, plan):
        said = self.cloud.client("sagemaker").describe_training_job(TrainingJobName=plan.native_name)
        return json.dumps(said, default=str)
