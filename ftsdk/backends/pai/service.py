"""Alibaba Cloud's services: the real clients, one retry policy (they have none), and translation of their errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftsdk.backends.pai import addresses
from ftsdk.backends.pai.shapes import DlcJob, EcsSpec
from ftsdk.backends.shared import ClientCache, credentials_key
from ftsdk.errors import AuthError, BackendError, CapacityError, NotInstalledError, QuotaError, UnavailableError
from ftsdk.runtime.retry import RetryPolicy
from ftsdk.runtime.storage.aliyun_credentials import library_client

if TYPE_CHECKING:
    from alibabacloud_pai_dlc20201203.client import Client as DlcClient
    from alibabacloud_tea_openapi.client import Client

    from ftsdk.backends.pai.options import PaiOptions

RETRY: Final = RetryPolicy(
    attempts=7, first_pause_s=0.25, max_pause_s=8.0, is_final=lambda problem: not isinstance(problem, UnavailableError)
)
"""For every call that may be repeated: after throttling, 5xx and cut connections."""
CONNECT_MS, READ_MS = 10_000, 60_000
PAGE: Final = 100
SINCE: Final = "2020-12-03T00:00:00Z"
"""A listing looks back seven days by default; no job is older than the API."""
DEFAULT_STORAGE: Final = "modelExportPath"
"""Key of the workspace's default storage (pai-python-sdk, pai/api/workspace.py)."""
ENVIRONMENT: Final = ("ALIBABA_CLOUD_", "ALIBABACLOUD_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""What the client reads when it is created begins so."""
PROFILES: Final = (".aliyun/config.json", ".alibabacloud/credentials.ini")
"""Below a person's home; where they are, what the client says of them helps."""
CREDENTIALS_HINT: Final = (
    "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or run `aliyun configure`; "
    "`ftsdk doctor -b pai` checks it"
)

CODES: Final[tuple[tuple[str, type[BackendError], str], ...]] = (
    (r"InvalidAccessKey|SignatureDoesNotMatch|InvalidSecurityToken|IncompleteSignature|SecurityTokenExpired|InvalidToken",
     AuthError, "Alibaba Cloud refuses the credentials: {detail}; " + CREDENTIALS_HINT),
    (r"Forbidden(?!.ResourceNotFound)|NoPermission|Unauthorized|AccessDenied", AuthError,
     "Alibaba Cloud does not allow it: {detail}; `ftsdk doctor -b pai` prints the policy that is needed"),
    (r"Throttl|TooManyRequests|ServiceUnavailable|InternalError|InternalServer|InternalFailure|SystemError|Timeout|^5\d\d$",
     UnavailableError, "PAI does not answer as it should: {detail}; try again in a minute"),
    (r"Quota|LimitExceeded|ExceedLimit", QuotaError, "{detail}; see the quotas of the workspace in PAI's console"),
    (r"NoStock|OutOfStock|Insufficient|NotEnough", CapacityError,
     "There is no such machine free right now: {detail}; name another type (-o ecs_spec=TYPE) or try another region"),
)  # fmt: skip
"""Error code -> our error; the first match wins."""


CLIENTS: Final[ClientCache[DlcClient]] = ClientCache()


class AlibabaServices:
    """Clients of one account and region, created on first use; DLC's is shared by all jobs of this process."""

    def __init__(self, options: PaiOptions) -> None:
        self._options = options

    @property
    def region(self) -> str:
        """The region. Raises SpecError without one."""
        return addresses.checked_region(self._options.region)

    @property
    def workspace_id(self) -> str:
        """The workspace. Raises SpecError without one."""
        return addresses.needed(self._options.workspace_id, "workspace_id", "the number of a PAI workspace")

    def once(self, operation: str, *path: str, **fields: object) -> Any:
        """One request, never repeated; `fields` in the API's own names. Raises our errors."""
        client = self._client()
        from alibabacloud_pai_dlc20201203 import models

        kind = getattr(models, f"{''.join(word.title() for word in operation.split('_'))}Request", None)
        arguments = (kind().from_map(fields),) if kind else ()  # operations without fields have no such class
        with errors():
            return getattr(client, operation)(*path, *arguments).body.to_map()

    def call(self, operation: str, *path: str, **fields: object) -> Any:
        """One request that may be repeated, and its answer."""
        return RETRY.call(lambda: self.once(operation, *path, **fields))

    def jobs(self, **fields: object) -> Iterator[DlcJob]:
        """Rows of a listing in the workspace, newest first."""
        arguments = {"WorkspaceId": self.workspace_id, "StartTime": SINCE, "Order": "desc", "SortBy": "GmtCreateTime"}
        return self._rows("list_jobs", "Jobs", {**arguments, **fields})

    def machines(self, **fields: object) -> Iterator[EcsSpec]:
        """Machine types of the region as they are right now: stock, spot stock and discount, no prices."""
        return self._rows("list_ecs_specs", "EcsSpecs", fields)

    def _rows(self, operation: str, key: str, fields: Mapping[str, object]) -> Iterator[Any]:
        for page in count(1):
            rows = self.call(operation, PageSize=PAGE, PageNumber=page, **fields).get(key) or []
            yield from rows
            if len(rows) < PAGE:
                return

    def default_bucket(self) -> str | None:
        """The bucket of the workspace's default storage, the only one that PAI's default role reaches; None if the
        workspace has none."""
        response = self.generic(
            addresses.workspace_endpoint(self._options), "ListConfigs", "2021-02-04", style="ROA",
            path=f"/api/v1/workspaces/{self.workspace_id}/configs", query={"ConfigKeys": DEFAULT_STORAGE},
        )  # fmt: skip
        values = (row["ConfigValue"] for row in response.get("Configs") or () if row["ConfigKey"] == DEFAULT_STORAGE)
        address = next(filter(None, values), None)
        return addresses.bucket_of(address) if address else None

    @property
    def eas_endpoint(self) -> str:
        """Host of the API of PAI EAS as this machine reaches it."""
        return addresses.eas_endpoint(self._options)

    def kms(self, action: str, **query: str) -> None:
        """One call of KMS."""
        self.generic(
            addresses.kms_endpoint(self._options, inside=False), action, "2016-01-20", style="RPC", query=query
        )

    def generic(
        self,
        endpoint: str,
        action: str,
        version: str,
        *,
        style: str,
        path: str = "/",
        query: Mapping[str, str] | None = None,
        method: str | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Any:
        """One call of a service without adding its client as a dependency; repeated unless `method` is POST.

        `method` is POST for the style RPC and GET for ROA if it is left out.
        """
        client = self._open(endpoint, None)
        from alibabacloud_tea_openapi import utils_models
        from darabonba.runtime import RuntimeOptions

        verb = method or ("POST" if style == "RPC" else "GET")
        how = utils_models.Params(action=action, version=version, protocol=client._protocol, pathname=path,
                                  method=verb, auth_type="AK", style=style, req_body_type="json",
                                  body_type="json")  # fmt: skip

        def request() -> dict[str, object]:
            with errors():
                sent = utils_models.OpenApiRequest(query=dict(query or {}), body=body)
                response = client.call_api(how, sent, RuntimeOptions())
            return dict(response.get("body") or {})

        return request() if method == "POST" else RETRY.call(request)

    def _client(self) -> DlcClient:
        endpoint = addresses.dlc_endpoint(self._options)
        account = credentials_key(ENVIRONMENT, [Path.home() / name for name in PROFILES])
        key = (self.region, endpoint, account)
        return CLIENTS.get(key, lambda: self._open(endpoint, "alibabacloud_pai_dlc20201203.client"))

    def _open(self, endpoint: str, module: str | None) -> Client:
        from importlib import import_module

        try:
            from alibabacloud_tea_openapi.utils_models import Config

            credentials = library_client()
            kind = import_module(module or "alibabacloud_tea_openapi.client").Client
        except ImportError:
            raise NotInstalledError("The pai backend needs Alibaba Cloud's client: pip install 'ftsdk[pai]'.") from None
        scheme, mark, host = endpoint.rpartition("://")
        with errors():
            credentials.get_credential()  # inside a request, having none would look like having no network
            config = Config(credential=credentials, endpoint=host, region_id=self.region, user_agent="ftsdk",
                            protocol=scheme if mark else "https", connect_timeout=CONNECT_MS,
                            read_timeout=READ_MS)  # fmt: skip
            return kind(config)


class AlibabaRefusedError(BackendError):
    """The service refused a request with a code that `CODES` does not list."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"Alibaba Cloud refused: {detail} ({code}).")
        self.code, self.detail = code, detail


@contextmanager
def errors() -> Iterator[None]:
    """Translate the clients' errors to ftsdk's."""
    from alibabacloud_credentials.exceptions import CredentialException
    from darabonba.exceptions import DaraException, RetryError
    from Tea.exceptions import TeaException, UnretryableException

    try:
        yield
    except CredentialException as problem:
        tried = f" ({problem})" if any((Path.home() / name).exists() for name in PROFILES) else ""
        raise AuthError(f"There are no Alibaba Cloud credentials: {CREDENTIALS_HINT}{tried}.") from problem
    except (UnretryableException, RetryError, OSError) as problem:
        detail = str(getattr(problem, "message", "") or problem).rstrip(".").splitlines()[0][:200]
        raise UnavailableError(f"Alibaba Cloud does not answer ({detail}): check the network.") from problem
    except (DaraException, TeaException) as problem:
        status = str(getattr(problem, "status_code", "") or "")
        raise failure(str(problem.code or ""), str(problem.message or ""), status) from problem


def failure(code: str, message: str, status: str = "") -> BackendError:
    """The ftsdk error for a service's error code and message."""
    detail = re.sub(r"^code: \d+, ", "", message).partition(" request id:")[0].rstrip(". ") or "it gave no reason"
    for pattern, kind, sentence in CODES:
        if re.search(pattern, code) or (re.fullmatch(r"5\d\d", status) and kind is UnavailableError):
            return kind(sentence.format(detail=detail) + ".")
    return AlibabaRefusedError(code, detail)


def says_not_found(problem: AlibabaRefusedError) -> bool:
    """DLC says NotFound or ResourceNotFound, KMS Forbidden.ResourceNotFound."""
    return "NotFound" in problem.code
