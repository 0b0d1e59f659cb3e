"""AWS's services: clients with one retry policy, and translation of their errors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ftsdk.backends.sagemaker import addresses
from ftsdk.backends.shared import ClientCache, credentials_key
from ftsdk.errors import (
    AuthError,
    BackendError,
    CapacityError,
    NotInstalledError,
    QuotaError,
    SpecError,
    UnavailableError,
)

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.client import BaseClient

    from ftsdk.backends.sagemaker.options import SageMakerOptions


class ClientTimeouts(NamedTuple):
    """Attempts and timeouts of one call."""

    attempts: int
    """Attempts in all, with botocore's standard backoff for throttling and 5xx."""
    connect_s: float
    read_s: float


DEFAULT_TIMEOUTS: Final = ClientTimeouts(attempts=10, connect_s=10, read_s=60)
DOCTOR_TIMEOUTS: Final = ClientTimeouts(attempts=3, connect_s=2, read_s=5)
"""For `ftsdk doctor`: without a network it fails within ten seconds."""
CREDENTIALS_HINT: Final = "run `aws configure sso` or set AWS_PROFILE; `ftsdk doctor -b sagemaker` checks it"

CODES: Final[tuple[tuple[str, type[BackendError], str], ...]] = (
    (
        r"AccessDenied|UnauthorizedOperation|NotAuthorized",
        AuthError,
        "AWS does not allow it: {detail}; `ftsdk doctor -b sagemaker` prints the policies that are needed",
    ),
    (r"Expired|InvalidClientTokenId|UnrecognizedClient|InvalidSignature|SignatureDoesNotMatch|AuthFailure", AuthError,
     "AWS refuses the credentials: {detail}; " + CREDENTIALS_HINT),
    (r"ResourceLimitExceeded|LimitExceeded|QuotaExceeded", QuotaError, "{detail}; {quota}"),
    (r"CapacityError|InsufficientCapacity", CapacityError,
     "AWS has no such machine free right now: {detail}; name more types (-o instance_type=A,B) or try another region"),
    (r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|ServiceUnavailable|InternalFailure|InternalError"
     r"|InternalServer|RequestTimeout|^5\d\d$", UnavailableError,
     "AWS does not answer as it should: {detail}; try again in a minute"),
)  # fmt: skip
"""Error code -> our error; the first match wins."""


CLIENTS: Final[ClientCache[BaseClient]] = ClientCache()
"""One for each account, region and service: a client takes about 20 MB."""
FILES: Final = (("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"))
"""Variable -> the file below a person's home where it is not set."""


class AwsServices:
    """Clients of one account and region, created on first use and shared by all jobs of this process."""

    def __init__(self, options: SageMakerOptions, timeouts: ClientTimeouts = DEFAULT_TIMEOUTS) -> None:
        self._options, self._timeouts = options, timeouts

    @property
    def region(self) -> str:
        """The region. Raises SpecError without one."""
        return addresses.checked_region(self._options.region)

    def client(self, name: str) -> BaseClient:
        """boto3's client of a service. Raises NotInstalledError without boto3."""
        files = [Path(os.environ.get(variable) or Path.home() / file).expanduser() for variable, file in FILES]
        account = credentials_key(("AWS_",), files)
        key = (name, self.region, self._options.endpoint_url, self._timeouts, account)
        return CLIENTS.get(key, lambda: self._make(name))

    def call(self, service: str, operation: str, /, **arguments: object) -> Any:
        """One request and its answer. Raises ftsdk's errors, with `ClientError` as the cause."""
        client = self.client(service)
        with errors(self.region):
            return getattr(client, operation)(**arguments)

    def pages(self, service: str, operation: str, /, **arguments: object) -> Iterator[Any]:
        """All pages of a listing."""
        pages = iter(self.client(service).get_paginator(operation).paginate(**arguments))
        while True:
            with errors(self.region):
                page = next(pages, None)
            if page is None:
                return
            yield page

    def session(self) -> Session:
        """boto3's session for the region. Raises NotInstalledError without boto3."""
        try:
            import boto3
            from botocore.exceptions import BotoCoreError
        except ImportError:
            raise NotInstalledError("The sagemaker backend needs boto3: pip install 'ftsdk[sagemaker]'.") from None
        try:
            return boto3.session.Session(region_name=self.region)
        except BotoCoreError as problem:
            raise SpecError(f"boto3 cannot be set up ({problem}): check AWS_PROFILE and ~/.aws/config.") from problem

    def _make(self, name: str) -> BaseClient:
        session = self.session()
        from botocore.config import Config

        attempts, connect_s, read_s = self._timeouts
        retries = {"mode": "standard", "total_max_attempts": attempts}
        config = Config(retries=retries, connect_timeout=connect_s, read_timeout=read_s, user_agent_extra="ftsdk")
        with errors(self.region):
            return session.client(name, endpoint_url=self._options.endpoint_url, config=config)


class AwsRefusedError(BackendError):
    """The service refused a request with a code that `CODES` does not list."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"AWS refused: {detail} ({code}).")
        self.code, self.detail = code, detail


@contextmanager
def errors(region: str) -> Iterator[None]:
    """Translate botocore's errors to ftsdk's."""
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as problem:
        raise failure(problem.response.get("Error", {}), region) from problem
    except (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.TokenRetrievalError,
        exceptions.CredentialRetrievalError,
        exceptions.RefreshWithMFAUnsupportedError,
    ) as problem:
        raise AuthError(f"There are no AWS credentials ({problem}); {CREDENTIALS_HINT}.") from problem
    except exceptions.SSOError as problem:
        raise AuthError(f"The AWS login is over ({problem}): run `aws sso login`.") from problem
    except exceptions.LoginError as problem:
        raise AuthError(f"The AWS login is over ({problem}): run `aws login`.") from problem
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as problem:
        detail = str(problem).rstrip(".")
        raise UnavailableError(f"AWS does not answer in {region} ({detail}): check the network.") from problem
    except exceptions.ParamValidationError as problem:
        raise SpecError(f"The request is malformed: {problem}.") from problem
    except exceptions.BotoCoreError as problem:
        detail = str(problem).rstrip(".")
        raise BackendError(f"boto3 cannot do this ({detail}): check AWS_PROFILE and ~/.aws/config.") from problem


def failure(error: Mapping[str, object], region: str) -> BackendError:
    """The ftsdk error for a service's error code and message."""
    code, detail = str(error.get("Code", "")), str(error.get("Message", "")).rstrip(". ") or "it gave no reason"
    for pattern, kind, sentence in CODES:
        if re.search(pattern, code):
            return kind(sentence.format(detail=detail, quota=quota_hint(detail, region)) + ".")
    return AwsRefusedError(code, detail)


def quota_hint(detail: str, region: str) -> str:
    """Which quota to raise, and where."""
    named = re.search(r"service limit '([^']+)'", detail)
    quota = f"the quota '{named[1]}'" if named else "it"
    console = f"https://{region}.console.{addresses.partition_of(region).console}"
    return f"raise {quota} of SageMaker at {console}/servicequotas/home/services/sagemaker/quotas"


def says_not_found(problem: AwsRefusedError) -> bool:
    """SageMaker answers ValidationException for a job that is not there, other services ResourceNotFound."""
    return (
        "NotFound" in problem.code
        or "not found" in problem.detail.lower()
        or "could not find" in problem.detail.lower()
    )
