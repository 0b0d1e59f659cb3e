"""An account of the emulator: the backend's options in it, and the image that its jobs run."""

from __future__ import annotations

import os
from typing import Any

from ftsdk.backends.image import default_tag
from ftsdk.backends.pai.options import PaiOptions
from tests.emulators.buckets import OssBuckets
from tests.emulators.dlc import BUCKET, REGION, WORKSPACE, DlcCloud

ROLE = "acs:ram::1234567890123456:role/ftsdk"
"""A role that reaches the bucket and KMS; PAI's default role reaches the default bucket only."""


def options(cloud: DlcCloud, **changed: Any) -> PaiOptions:
    """The backend's options in an emulated account: small CPU machines."""
    given = {
        "workspace_id": WORKSPACE,
        "region": REGION,
        "bucket": BUCKET,
        "image": os.environ.get("FTSDK_TEST_IMAGE", default_tag("cpu")),
        "ecs_spec": "ecs.g7.2xlarge",
        "grace_s": 20,
        "endpoint": cloud.url,
        "kms_endpoint": cloud.url,
        "acr_endpoint": cloud.url,
        "workspace_endpoint": cloud.url,
        "eas_endpoint": cloud.url,
        "oss_endpoint": f"http://{OssBuckets.host}",
        "oss_job_endpoint": f"http://{OssBuckets.host}",
    }
    return PaiOptions(**{**given, **changed})
