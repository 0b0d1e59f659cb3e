"""What a supervisor starts from: the job document, the attempt's number, the secrets."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ftsdk import contract
from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.platforms.cluster import Cluster, read_cluster

SECRETS_FOLDER = "ftsdk-"
"""Prefix of a folder that the launcher made for the secrets alone; it goes with them."""


class RefusedError(Exception):
    """The job cannot even be read; the message is one sentence for a person."""


class Start(NamedTuple):
    """All that a supervisor is told."""

    document: JobDocument
    attempt: int
    cluster: Cluster
    secrets: Mapping[str, str]
    warnings: tuple[str, ...]


def read_start(environ: Mapping[str, str]) -> Start:
    """Read what the launcher left. The secrets' file is gone afterwards. Raises RefusedError."""
    document = _document(environ.get(contract.ENV_JOB, ""))
    native = environ.get(contract.ENV_NATIVE_NAME, contract.native_name(document["name"], 1))
    try:
        _, attempt = contract.split_native_name(native)
        cluster = read_cluster(environ) if document["num_nodes"] > 1 else Cluster()
    except ValueError as problem:
        raise RefusedError(f"The environment of this job is broken ({problem}): submit the job again.") from None
    secrets, warnings = _secrets(environ.get(contract.ENV_SECRETS_FILE, ""))
    given = environ.get(contract.ENV_SECRETS, "").split(",")
    secrets |= {name: environ[name] for name in given if name in environ}
    if told := environ.get(contract.ENV_SECRETS_FROM):
        secrets |= _fetched(told, environ)
    return Start(document, attempt, cluster, secrets, warnings)


def _document(path: str) -> JobDocument:
    if not path:
        raise RefusedError(f"{contract.ENV_JOB} is not set: it must hold the path of the job document.")
    try:
        document: JobDocument = json.loads(Path(path).read_bytes())
        version = document["contract"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise RefusedError(f"The job document {path} cannot be read ({problem}): submit the job again.") from None
    if version != contract.VERSION:
        raise RefusedError(
            f"The job document {path} is of contract version {version}, this runtime understands {contract.VERSION}: "
            f"submit the job again with the ftsdk that made this runtime, or update ftsdk."
        )
    missing = JobDocument.__required_keys__ - document.keys()
    if missing:
        raise RefusedError(f"The job document {path} lacks {', '.join(sorted(missing))}: submit the job again.")
    document["scratch"] = str(Path(document["scratch"]).absolute())  # the supervisor moves there later
    if "://" not in document["durable"]:
        document["durable"] = str(Path(document["durable"]).absolute())
    return document


def _fetched(told: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Secrets that the job asks the cloud for itself."""
    from ftsdk.runtime.platforms import aliyun_secrets, aws_secrets
    from ftsdk.runtime.platforms.aws_secrets import SecretError

    try:
        if "kms" in json.loads(told):
            return aliyun_secrets.fetch(told, environ)
        return aws_secrets.fetch(told, environ)
    except SecretError as problem:
        raise RefusedError(f"{problem}: store it with `ftsdk secrets put`, and let the job's role read it.") from None


def _secrets(name: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read and remove the secrets' file. A restarted container finds it gone: that is a warning, not an end."""
    if not name:
        return {}, ()
    path = Path(name)
    try:
        found: dict[str, str] = json.loads(path.read_bytes())
        path.unlink()
    except FileNotFoundError:
        return {}, ("The secrets were given to an earlier start of this attempt only; this one goes on without them.",)
    except (OSError, ValueError) as problem:
        raise RefusedError(
            f"The secrets' file {name} cannot be read and removed ({type(problem).__name__}): "
            f"it must lie in a folder that the job may write to."
        ) from None
    if path.parent.name.startswith(SECRETS_FOLDER):
        with contextlib.suppress(OSError):
            path.parent.rmdir()
    return found, ()
