"""An account of the emulator: the backend's options in it, and the image that its jobs run."""

from __future__ import annotations

import os
from typing import Any

from ftsdk.backends.sagemaker.options import SageMakerOptions
from ftsdk.image import default_tag
from tests.emulators.sagemaker import ROLE, SageMakerCloud
from tests.emulators.training_job import REGION


def image() -> str:
    """The project's image, in the machine's own daemon instead of ECR."""
    return os.environ.get("FTSDK_TEST_SAGEMAKER_IMAGE", default_tag("cpu"))


def options(cloud: SageMakerCloud, **changed: Any) -> SageMakerOptions:
    """The backend's options in an emulated account: small CPU machines."""
    given = {
        "role": ROLE,
        "region": REGION,
        "endpoint_url": cloud.url,
        "image": image(),
        "instance_type": "ml.m5.xlarge",
    }
    return SageMakerOptions(**{**given, **changed})
