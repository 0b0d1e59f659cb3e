"""From an address to a connection: endpoint, addressing and credentials of S3, Alibaba OSS and Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from ftsdk.contract.documents import Storage
from ftsdk.runtime.retry import RetryPolicy
from ftsdk.runtime.storage import aliyun_credentials, aws_credentials
from ftsdk.runtime.storage.aws_regions import bucket_region, s3_endpoint
from ftsdk.runtime.storage.credentials import RenewedCredentials
from ftsdk.runtime.storage.oss_api import OssBucket, own_endpoint

if TYPE_CHECKING:
    from obstore.store import ObjectStore as ObstoreStore

REQUEST_S = 300
MAX_REQUEST_RETRY_S = 150.0
"""How long obstore itself may repeat one request; it signs once, so this must stay below five minutes (its own
docs)."""
DEFAULT_REGION = "us-east-1"
GOOGLE_CREDENTIALS = {"service_account_key": "GOOGLE_SERVICE_ACCOUNT_KEY", "bearer_token": "GOOGLE_BEARER_TOKEN"}
"""Credentials that may be a job's secrets; obstore itself finds files and metadata servers."""


class Create(Protocol):
    """Write an object unless there is one."""

    def __call__(self, key: str, data: bytes) -> None:
        """Raises FileExistsError or obstore's AlreadyExistsError if the key exists."""


class Connection(NamedTuple):
    """A bucket as obstore's objects."""

    store: ObstoreStore
    create: Create
    """Write an object, or raise if it exists; without retries: a caller must know whether its first attempt was stored.
    """
    credentials: RenewedCredentials | None = None
    """What gives the keys, where they are a role's."""


def connect(uri: str, storage: Storage, environ: Mapping[str, str], retry: RetryPolicy) -> Connection:
    """Connections to the bucket of an address; no request is made yet, but for the region of a bucket whose
    region is not given. Raises ValueError for another scheme."""
    parts = urlsplit(uri)
    opener = {"s3": _s3, "oss": _oss, "gs": _gcs}.get(parts.scheme)
    if opener is None or not parts.netloc:
        raise ValueError(f"{uri!r} is no address of a bucket")
    retry_s = min(MAX_REQUEST_RETRY_S if retry.deadline_s is None else retry.deadline_s, MAX_REQUEST_RETRY_S)
    pauses = {"init_backoff": retry.first_pause_s, "max_backoff": retry.max_pause_s}
    backoff = {"base": 2, **{name: timedelta(seconds=pause_s) for name, pause_s in pauses.items()}}
    repeated = {"max_retries": 1000, "retry_timeout": timedelta(seconds=retry_s), "backoff": backoff}
    prefix = parts.path.strip("/") or None
    return opener(parts.netloc, {"prefix": prefix}, storage, environ, (repeated, {**repeated, "max_retries": 0}))


def _s3(
    bucket: str, common: dict[str, object], storage: Storage, environ: Mapping[str, str], retries: tuple[Any, Any]
) -> Connection:
    from obstore.store import S3Store

    configured = storage.get("endpoint") or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    region = storage.get("region") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    if not (configured or storage.get("region")):  # what the environment says may be another bucket's
        region = bucket_region(bucket, s3_endpoint(region)) or region
    # A bucket's dots break the certificate of a virtual host; servers at other endpoints rarely have virtual hosts.
    virtual = storage.get("addressing") or ("path" if configured or "." in bucket else "virtual")
    endpoint = _endpoint(configured or s3_endpoint(region), bucket, virtual)
    credentials = aws_credentials.provider(environ)
    open_store = partial(
        S3Store,
        bucket,
        **common,
        aws_endpoint_url_s3=endpoint,
        region=region,
        virtual_hosted_style_request=virtual != "path",
        client_options=_client(endpoint),
        **({"credential_provider": credentials} if credentials else {}),
    )
    repeated, once = retries
    renewed = credentials if isinstance(credentials, RenewedCredentials) else None
    return Connection(open_store(retry_config=repeated), _creator(open_store(retry_config=once)), renewed)


def _oss(
    bucket: str, common: dict[str, object], storage: Storage, environ: Mapping[str, str], retries: tuple[Any, Any]
) -> Connection:
    """OSS by its S3 protocol: virtual hosts only (path style is refused), and no bulk delete without Content-MD5.

    It answers 501 to If-None-Match (apache/arrow-rs-object-store#416), so that objects are created by OSS's own API.
    """
    from obstore.store import S3Store

    region = (storage.get("region") or environ.get("OSS_REGION") or "").removeprefix("oss-")
    configured = storage.get("endpoint") or environ.get("OSS_ENDPOINT")
    if not (region or configured):
        raise ValueError(f"oss://{bucket} needs a region, such as cn-hangzhou, or an endpoint")
    addressing = storage.get("addressing", "virtual")
    endpoint = _endpoint(configured or f"https://s3.oss-{region}.aliyuncs.com", bucket, addressing)
    credentials = aliyun_credentials.AliyunCredentials(environ)
    open_store = partial(
        S3Store,
        bucket,
        **common,
        aws_endpoint_url_s3=endpoint,
        region=region or DEFAULT_REGION,
        virtual_hosted_style_request=addressing != "path",
        disable_bulk_delete=True,
        credential_provider=credentials,
    )
    own_api = OssBucket(
        bucket, region or DEFAULT_REGION, own_endpoint(endpoint), str(common["prefix"] or ""), credentials
    )
    repeated, _ = retries
    store = open_store(retry_config=repeated, client_options=_client(endpoint))
    return Connection(store, own_api.create, credentials)


def _gcs(
    bucket: str, common: dict[str, object], storage: Storage, environ: Mapping[str, str], retries: tuple[Any, Any]
) -> Connection:
    from obstore.store import GCSStore

    endpoint = storage.get("endpoint", "")
    credentials = {option: environ[name] for option, name in GOOGLE_CREDENTIALS.items() if name in environ}
    open_store = partial(GCSStore, bucket, **common, **credentials, client_options=_client(endpoint))
    if endpoint:
        open_store = partial(open_store, base_url=endpoint)
    repeated, once = retries
    return Connection(open_store(retry_config=repeated), _creator(open_store(retry_config=once)))


def _creator(store: ObstoreStore) -> Create:
    import obstore

    def create(key: str, data: bytes) -> None:
        obstore.put(store, key, data, mode="create", use_multipart=False)

    return create


def _client(endpoint: str) -> dict[str, object]:
    return {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=10),
        "timeout": timedelta(seconds=REQUEST_S),
    }


def _endpoint(url: str, bucket: str, addressing: str) -> str:
    """The URL under which the bucket's objects lie; `cname` means that the URL is the bucket already."""
    url = url.rstrip("/") if "://" in url else f"https://{url.rstrip('/')}"
    scheme, _, host = url.partition("://")
    return f"{scheme}://{bucket}.{host}" if addressing == "virtual" else url
