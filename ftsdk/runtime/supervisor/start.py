"""What a supervisor starts with: the job document, the attempt's number, the secrets."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ftsdk import contract
from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.platforms.cluster import Cluster
from ftsdk.runtime.platforms.detect import detect

SECRETS_FOLDER = "ftsdk-"
"""Prefix of a folder that the launcher created for the secrets alone; it is deleted with them."""


class JobRefusedError(Exception):
    """The job cannot be read or started; the message is one sentence for the user."""


class StartConfiguration(NamedTuple):
    """Everything that the launcher passes to a supervisor."""

    document: JobDocument
    attempt: int
    cluster: Cluster
    secrets: Mapping[str, str]
    warnings: tuple[str, ...]


def read_start(environ: Mapping[str, str]) -> StartConfiguration:
    """Read what the launcher passed; the secrets' file is deleted. Raises JobRefusedError."""
    document = _document(environ.get(contract.ENV_JOB, ""))
    native = environ.get(contract.ENV_NATIVE_NAME, contract.native_name(document["name"], 1))
    try:
        _, attempt = contract.split_native_name(native)
        cluster = detect(environ) if document["num_nodes"] > 1 else Cluster()
    except ValueError as problem:
        raise JobRefusedError(f"The environment of this job is broken ({problem}): submit the job again.") from None
    secrets, warnings = _secrets(environ.get(contract.ENV_SECRETS_FILE, ""))
    names = environ.get(contract.ENV_SECRETS, "").split(",")
    secrets |= {name: environ[name] for name in names if name in environ}
    if source := environ.get(contract.ENV_SECRETS_FROM):
        secrets |= _fetched(source, environ)
    return StartConfiguration(document, attempt, cluster, secrets, warnings)


def _document(path: str) -> JobDocument:
    if not path:
        raise JobRefusedError(f"{contract.ENV_JOB} is not set: it must hold the path of the job document.")
    try:
        document: JobDocument = json.loads(Path(path).read_bytes())
        version = document["contract"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise JobRefusedError(f"The job document {path} cannot be read ({problem}): submit the job again.") from None
    if version != contract.VERSION:
        raise JobRefusedError(
            f"The job document {path} is of contract version {version}, this runtime understands {contract.VERSION}: "
            f"submit the job again with the ftsdk that made this runtime, or update ftsdk."
        )
    missing = JobDocument.__required_keys__ - document.keys()
    if missing:
        raise JobRefusedError(f"The job document {path} lacks {', '.join(sorted(missing))}: submit the job again.")
    document["scratch"] = str(Path(document["scratch"]).absolute())  # the working directory changes later
    if "://" not in document["durable"]:
        document["durable"] = str(Path(document["durable"]).absolute())
    return document


def _fetched(source: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Secrets that the job fetches from the cloud."""
    from ftsdk.runtime.platforms import aliyun_secrets, aws_secrets
    from ftsdk.runtime.platforms.secret_service import SecretError

    try:
        if "kms" in json.loads(source):
            return aliyun_secrets.fetch(source, environ)
        return aws_secrets.fetch(source, environ)
    except SecretError as problem:
        raise JobRefusedError(
            f"{problem}: store it with `ftsdk secrets put`, and let the job's role read it."
        ) from None


def _secrets(name: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read and delete the secrets' file. After a restart of the container it is missing, which is only a warning."""
    if not name:
        return {}, ()
    path = Path(name)
    try:
        if name.startswith(contract.DESCRIPTORS):
            return _inherited(int(name.removeprefix(contract.DESCRIPTORS))), ()
        secrets: dict[str, str] = json.loads(path.read_bytes())
        path.unlink()
    except FileNotFoundError:
        return {}, ("The secrets were passed to a previous start of this attempt only; this start has none.",)
    except (OSError, ValueError) as problem:
        raise JobRefusedError(
            f"The secrets' file {name} cannot be read and removed ({type(problem).__name__}): "
            f"it must be in a folder that the job may write to."
        ) from None
    if path.parent.name.startswith(SECRETS_FOLDER):
        with contextlib.suppress(OSError):
            path.parent.rmdir()
    return secrets, ()


def _inherited(descriptor: int) -> dict[str, str]:
    """Read a descriptor from its start and close it: no process of the trainer gets it."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        secrets: dict[str, str] = json.loads(file.read())
        return secrets
