"""An account of the emulator: the backend's options in it, and the image that its jobs run."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

from ftsdk.backends.image import default_tag, derive
from ftsdk.backends.sagemaker.addresses import registry
from ftsdk.backends.sagemaker.options import SageMakerOptions
from ftsdk.backends.sagemaker.registry import OWNER
from tests.emulators.sagemaker import ROLE, SageMakerCloud
from tests.emulators.training_job import ACCOUNT, REGION


@cache
def image() -> str:
    """The project's image as `ftsdk image push` would push it, in the machine's own daemon instead of ECR."""
    address = f"{registry(ACCOUNT, REGION)}/ftsdk:test-sagemaker"
    derive(os.environ.get("FTSDK_TEST_IMAGE", default_tag("cpu")), address, OWNER)
    return address


def options(cloud: SageMakerCloud, **changed: Any) -> SageMakerOptions:
    """The backend's options in an emulated account: small CPU machines."""
    given = {
        "role": ROLE,
        "region": REGION,
        "endpoint_url": cloud.url,
        "instance_type": "ml.m5.xlarge",
    }
    return SageMakerOptions(**{**given, **changed})


MANIFEST = {"schemaVersion": 2, "config": {"digest": "sha256:" + "0" * 64, "size": 1}, "layers": []}


def put_image(
    cloud: SageMakerCloud,
    repository: str = "ours",
    tag: str = "1",
    kind: str = "application/vnd.docker.distribution.manifest.v2+json",
    **changed: Any,
) -> None:
    """Put an image's manifest into the emulated ECR."""
    ecr = cloud.client("ecr")
    ecr.create_repository(repositoryName=repository)
    manifest = json.dumps({**MANIFEST, "mediaType": kind, **changed})
    ecr.put_image(repositoryName=repository, imageManifest=manifest, imageManifestMediaType=kind, imageTag=tag)
