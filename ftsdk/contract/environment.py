"""Environment variables that a backend sets for a supervisor."""

from __future__ import annotations

from typing import Final

ENV_JOB: Final = "FTSDK_JOB"
"""Path of the job document (JSON) that the supervisor starts from."""
ENV_NATIVE_NAME: Final = "FTSDK_NATIVE_NAME"
"""`NAME-aN`: the job's name and the attempt's number. The only variable that differs between attempts."""
ENV_SECRETS_FILE: Final = "FTSDK_SECRETS_FILE"
"""Path of a 0600 JSON file of secret name -> value, which is deleted once it is read."""
DESCRIPTORS: Final = "/dev/fd/"
"""With a number behind it in `ENV_SECRETS_FILE`: a descriptor that the supervisor inherits, instead of a file."""
ENV_SECRETS: Final = "FTSDK_SECRETS"
"""Comma-separated names of variables in which the platform passes secrets to the job."""
ENV_MODEL_ARTIFACTS: Final = "FTSDK_MODEL_ARTIFACTS"
"""Set where the platform shall upload the model once more, to its own place."""
ENV_SECRETS_FROM: Final = "FTSDK_SECRETS_FROM"
"""Secrets that the job fetches: JSON `{"aws": [NAME, ...], "prefix": PREFIX}` or, with `"endpoint"`, `{"kms": …}`
(Alibaba Cloud); names only."""
ENV_NUM_NODES: Final = "FTSDK_NUM_NODES"
ENV_NODE_RANK: Final = "FTSDK_NODE_RANK"
ENV_MASTER_ADDR: Final = "FTSDK_MASTER_ADDR"
ENV_MASTER_PORT: Final = "FTSDK_MASTER_PORT"
ENV_SERVE: Final = "FTSDK_SERVE"
"""JSON for `runtime.pyz serve`: `{"model": …, "name": NAME, "host": ADDRESS, "port": N}`; port 0 takes a free one."""
SERVER_READY: Final = "ftsdk serves on port "
"""Beginning of the line that the server prints, with its port, once it answers."""
