"""A job of ours through the SageMaker SDK's own objects. `sdk_handle.py URI PORT`, in the SDK's environment.

The job waits for a connection to PORT. The last line of stdout is what was seen, as JSON.
"""

from __future__ import annotations

import json
import socket
import sys

from sagemaker.core.helper.session_helper import Session
from sagemaker.serve import ModelBuilder

from ftsdk import Job

uri, port = sys.argv[1:]
handle = Job.attach(uri).native()
seen = [handle.training_job_status]
socket.create_connection(("127.0.0.1", int(port))).recv(1)
handle.wait(poll=1)
seen.append(handle.training_job_status)

artifacts = handle.model_artifacts.s3_model_artifacts
weights = {"S3DataSource": {"S3Uri": artifacts, "S3DataType": "S3Prefix", "CompressionType": "None"}}
ModelBuilder(
    s3_model_data_url=weights,
    image_uri="123456789012.dkr.ecr.us-west-2.amazonaws.com/ours:1",
    role_arn="arn:aws:iam::123456789012:role/ftsdk",
    sagemaker_session=Session(default_bucket="sagemaker-us-west-2-123456789012"),
).build()
said = {"kind": type(handle).__name__, "name": handle.training_job_name, "statuses": seen, "artifacts": artifacts}
print("\n" + json.dumps(said))
