"""Environment variables by which a backend tells a supervisor what to run."""

from __future__ import annotations

from typing import Final

ENV_JOB: Final = "FTSDK_JOB"
"""Path of the job document (JSON) that the supervisor starts from."""
ENV_NATIVE_NAME: Final = "FTSDK_NATIVE_NAME"
"""`NAME-aN`: the logical job name and the attempt's number, in the one token that changes between attempts."""
ENV_SECRETS_FILE: Final = "FTSDK_SECRETS_FILE"
"""A 0600 JSON file of secret name -> value, unlinked once it is read."""
ENV_SECRETS: Final = "FTSDK_SECRETS"
"""Names, with commas, of variables in which the platform itself gives the job its secrets."""
ENV_SECRETS_FROM: Final = "FTSDK_SECRETS_FROM"
"""Where the job itself fetches its secrets: JSON `{"aws": [NAME, ...], "prefix": PREFIX}` or, with
`"endpoint"`, `{"kms": …}` (Alibaba Cloud); names only."""
ENV_NUM_NODES: Final = "FTSDK_NUM_NODES"
ENV_NODE_RANK: Final = "FTSDK_NODE_RANK"
ENV_MASTER_ADDR: Final = "FTSDK_MASTER_ADDR"
ENV_MASTER_PORT: Final = "FTSDK_MASTER_PORT"
