"""PAI DLC, EAS, KMS and a job's RAM role over real HTTP on loopback; containers run on the machine's Docker.

Every request's ACS3-HMAC-SHA256 signature is computed again from what came over the wire. Object storage is
`tests.emulators.buckets.OssBuckets`, which machines and this process reach as an HTTP proxy, so that hosts are the real
ones. Paths, fields and statuses are those of alibabacloud-pai-dlc20201203 1.11.6.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import urllib.parse
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ftsdk.storage.objects import ObjectStore
from tests.emulators.buckets import DEFAULT_ROLE_TOKEN, KEY, SECRET, TOKEN, OssBuckets
from tests.emulators.dlc_job import STOPPABLE, TERMINAL, DlcJob
from tests.emulators.eas import EasService

REGION, WORKSPACE, BUCKET = "cn-hangzhou", "46099", "ours"
SIGNED = {"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"}
VERSIONS = {"2020-12-03", "2016-01-20", "2021-02-04", "2016-06-07", "2018-12-01", "2021-07-01"}
SPOT = {"SpotStockStatus": "WithStock", "NonProtectSpotDiscount": 0.1}
MACHINES: list[dict[str, Any]] = [
    {"InstanceType": "ecs.g7.2xlarge", "AcceleratorType": "CPU", "IsAvailable": True, **SPOT},
    {
        "InstanceType": "ecs.gn7i-c8g1.2xlarge",
        "AcceleratorType": "GPU",
        "IsAvailable": True,
        **SPOT,
        "DefaultGPUDriver": "550.127.08",
        "SupportedGPUDrivers": ["550.127.08", "580.82.07", "590.1"],
    },
    {
        "InstanceType": "ecs.gn6v-c8g1.2xlarge",
        "AcceleratorType": "GPU",
        "IsAvailable": True,
        "DefaultGPUDriver": "470.199.02",
        "SupportedGPUDrivers": ["470.199.02"],
    },
    {"InstanceType": "ecs.gn7e-c16g1.4xlarge", "AcceleratorType": "GPU", "IsAvailable": False},
]
LOOK_BACK = timedelta(days=7)
Answer = tuple[int, dict[str, Any]]


def acs3_signature(
    method: str, path: str, query: str, headers: dict[str, str], signed: list[str], digest: str, secret: str
) -> str:
    """https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature"""
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    quoted = "&".join("=".join(urllib.parse.quote(text, safe="~") for text in pair) for pair in pairs)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in signed)
    canonical = "\n".join([method, path or "/", quoted, lines, ";".join(signed), digest])
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class RefusalError(Exception):
    """An error answer: status, code, words."""


class DlcCloud:
    """The servers. A call's trouble: an HTTP status, or a connection cut before (`drop`) or after (`lose`) the work."""

    def __init__(self) -> None:
        self.jobs: dict[str, DlcJob] = {}
        """JobId -> job."""
        self.services: dict[str, EasService] = {}
        """EAS services by name."""
        self.secrets: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.troubles: dict[str, list[int | str]] = {}
        """Action -> what happens to its next calls."""
        self.denied: set[str] = set()
        self.sold_out: set[str] = set()
        self.default_bucket = BUCKET
        """Of the workspace's default storage; the only bucket that PAI's default role reaches."""
        self.max_grace_s = 3600
        """Seconds between SIGTERM and SIGKILL, whatever a job asks for."""
        self.throttled_every = 0
        """Every so many calls are refused as too many."""
        self.held = ""
        """A status in which jobs stay until this is another."""
        self.forgets = 0
        """Pods' logs lack every line whose number this divides, as DLC drops lines of bursts."""
        self.unseen = 0
        """So many of the next listings do not show the newest job yet."""
        self.before_answer: Callable[[str], None] = lambda action: None
        self.before_refusal: Callable[[str], None] = lambda action: None
        self._nonces: set[str] = set()
        self._lock = threading.Lock()
        self.oss = OssBuckets()
        self.oss.make_bucket(BUCKET)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop what runs, then the servers."""
        self.held = ""
        for job in self.jobs.values():
            job.kill()
        for service in self.services.values():
            service.delete()
        self._server.shutdown()
        self._server.server_close()
        self.oss.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a user of this account has set."""
        return {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
            "ALIBABA_CLOUD_SECURITY_TOKEN": TOKEN,
            "all_proxy": self.oss.url,  # Alibaba's client knows no `no_proxy`, and does not look at this one
            "no_proxy": "127.0.0.1,localhost",
        }

    def job(self, name: str) -> DlcJob:
        """The newest job of a name."""
        return [job for job in list(self.jobs.values()) if job.name == name][-1]

    def store(self, bucket: str = BUCKET) -> ObjectStore:
        """A bucket, as the machines see it (the proxy and the keys are in this process's environment)."""
        return ObjectStore(f"oss://{bucket}", {"endpoint": f"http://{OssBuckets.host}", "region": REGION})

    # --- requests ------------------------------------------------------------------------------------------
    def _handler(self) -> type[BaseHTTPRequestHandler]:
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version, wbufsize = "HTTP/1.1", -1

            def log_message(self, *_args: object) -> None:
                pass

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                found = cloud.answer(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                if found is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                data = json.dumps(found[1]).encode()
                self.send_response(found[0])
                self.send_header("content-type", "application/json;charset=utf-8")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

        return Handler

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer | None:
        """Status and body; None cuts the connection."""
        path, _, query = target.partition("?")
        if path.startswith("/api/predict/"):
            return self._predict(path, headers, body)
        if path.startswith("/role/"):
            return 200, self._role(self.jobs.get(path.rpartition("/")[2]))
        action = headers.get("x-acs-action", "")
        self.calls[action] += 1
        trouble = self.troubles[action].pop(0) if self.troubles.get(action) else None
        if trouble == "drop":
            return None
        if self.throttled_every and sum(self.calls.values()) % self.throttled_every == 0:
            trouble = trouble or 429
        if isinstance(trouble, int):
            return trouble, _error("Throttling.User" if trouble == 429 else "ServiceUnavailable", "flow control")
        try:
            self._check(method, path, query, headers, body)
            asked = dict(urllib.parse.parse_qsl(query))
            with self._lock:
                said = self._work(action, method, path, asked, json.loads(body) if body else {})
        except RefusalError as refusal:
            self.before_refusal(action)
            status, code, words = refusal.args
            return status, _error(code, words)
        self.before_answer(action)
        return None if trouble == "lose" else (200, {**said, "RequestId": str(uuid.uuid4())})

    def _check(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> None:
        """Refuse what is not signed as it should be."""
        found = re.fullmatch(
            r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})",
            headers.get("authorization", ""),
        )
        token = headers.get("x-acs-security-token")
        if token == DEFAULT_ROLE_TOKEN:
            raise RefusalError(403, "Forbidden.NoPermission", "This operation is forbidden by permission system.")
        if not found or found[1] != KEY or token != TOKEN:
            raise RefusalError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        signed, digest = found[2].split(";"), headers.get("x-acs-content-sha256", "")
        if not {*SIGNED, "x-acs-security-token"} <= set(signed) or digest != hashlib.sha256(body).hexdigest():
            raise RefusalError(400, "IncompleteSignature", "a header is not signed")
        if found[3] != acs3_signature(method, path, query, headers, signed, digest, SECRET):
            raise RefusalError(400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation.")
        if headers["x-acs-signature-nonce"] in self._nonces:
            raise RefusalError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces.add(headers["x-acs-signature-nonce"])
        if headers["x-acs-version"] not in VERSIONS:
            raise RefusalError(404, "InvalidVersion", "Specified parameter Version is not valid.")

    def _work(self, action: str, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        if action in self.denied:
            raise RefusalError(403, "NoPermission", f"You are not authorized to do paidlc:{action}")
        found = getattr(self, f"_{action}", None)
        if found is None:
            raise RefusalError(404, "InvalidAction.NotFound", f"{method} {path}")
        parts = path.removeprefix("/api/v1/").split("/")
        answer: dict[str, Any] = found(parts, query, body)
        return answer

    def _role(self, job: DlcJob | None) -> dict[str, Any]:
        """What ALIBABA_CLOUD_CREDENTIALS_URI answers in a job; PAI's default role has a token that reaches less.

        Without a job: what it answers where the request names a role.
        """
        self.oss.default_role_bucket = self.default_bucket
        items = job.request["CredentialConfig"]["CredentialConfigItems"] if job else []
        named = job is None or any("RoleArn" in role for item in items for role in item["Roles"])
        token = TOKEN if named else DEFAULT_ROLE_TOKEN
        ends = datetime.now(UTC) + timedelta(hours=1)
        return {"AccessKeyId": KEY, "AccessKeySecret": SECRET, "SecurityToken": token,
                "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"), "Code": "Success"}  # fmt: skip

    # --- DLC -----------------------------------------------------------------------------------------------
    def _CreateJob(self, _path: list[str], _query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        for name in ("DisplayName", "JobType", "JobSpecs", "UserCommand"):
            if not body.get(name):
                raise RefusalError(400, "InvalidParameter", f"{name} is required")
        if len(json.dumps(body)) > 65536 or not re.fullmatch(r"[A-Za-z0-9_.-]{1,256}", body["DisplayName"]):
            raise RefusalError(400, "InvalidParameter", "the request is not valid")
        job = DlcJob(f"dlc{uuid.uuid4().hex[:14]}", body, self)
        self.jobs[job.id] = job
        job.start()
        return {"JobId": job.id}

    def _ListJobs(self, _path: list[str], query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        since = query.get("StartTime") or (datetime.now(UTC) - LOOK_BACK).strftime("%Y-%m-%dT%H:%M:%SZ")
        there = list(self.jobs.values())
        if self.unseen:
            self.unseen -= 1
            there = there[:-1]
        rows = [
            job.describe()
            for job in reversed(there)
            if query.get("DisplayName", "").lower() in job.name.lower()
            and job.created_at >= since
            and query.get("Status") in (None, job.status)
            and query.get("WorkspaceId") in (None, job.request.get("WorkspaceId"))
        ]
        size = int(query.get("PageSize", 10))
        first = (int(query.get("PageNumber", 1)) - 1) * size
        return {"Jobs": rows[first : first + size], "TotalCount": len(rows)}

    def _GetJob(self, path: list[str], _query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._named(path).describe()

    def _StopJob(self, path: list[str], _query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        job = self._named(path)
        if job.status in TERMINAL:
            raise RefusalError(400, "BadRequest", "job is in a terminal state")
        if job.status not in STOPPABLE:
            raise RefusalError(400, "BadRequest", f"job is in state {job.status} and cannot be stopped")
        job.stop()
        return {"JobId": job.id}

    def _GetPodLogs(self, path: list[str], query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        lines = self._named(path).lines(path[3], query.get("PodUid"))
        lines = [line for number, line in enumerate(lines) if not self.forgets or number % self.forgets]
        return {"JobId": path[1], "PodId": path[3], "Logs": lines[-int(query.get("MaxLines", 2000)) :]}

    def _GetWebTerminal(self, path: list[str], query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if query.get("IsShared") not in (None, "true", "false"):
            raise RefusalError(400, "InvalidParameter", "IsShared is not valid")
        if self._named(path).status != "Running":
            raise RefusalError(400, "BadRequest", "the pod is not running")
        return {"WebTerminalUrl": f"wss://pai-dlc.{REGION}/{path[3]}?shared={query.get('IsShared')}&token=once"}

    def _ListEcsSpecs(self, _path: list[str], query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        rows = [row for row in MACHINES if query.get("AcceleratorType") in (None, row["AcceleratorType"])]
        named = query.get("InstanceTypes", "").split(",")
        rows = [row for row in rows if named == [""] or row["InstanceType"] in named]
        return {"EcsSpecs": rows if query["PageNumber"] == "1" else [], "TotalCount": len(rows)}

    def _GetWorkspace(self, path: list[str], _query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if path[1] != WORKSPACE:
            raise RefusalError(404, "NotFound", "the workspace does not exist")
        return {"WorkspaceId": WORKSPACE, "WorkspaceName": "lab"}

    def _ListConfigs(self, path: list[str], query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._GetWorkspace(path, query, {})
        address = f"oss://{self.default_bucket}.oss-{REGION}-internal.aliyuncs.com/" if self.default_bucket else ""
        return {"Configs": [{"ConfigKey": "modelExportPath", "ConfigValue": address}], "TotalCount": 1}

    def _named(self, path: list[str]) -> DlcJob:
        found = self.jobs.get(path[1])
        if found is None:
            raise RefusalError(404, "ResourceNotFound", f"job not found: {path[1]}")
        return found

    # --- EAS -----------------------------------------------------------------------------------------------
    def _CreateService(self, _path: list[str], query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = body["metadata"]["name"]
        if not re.fullmatch(r"[a-z][a-z0-9_]{2,62}", name) or query["WorkspaceId"] != WORKSPACE:
            raise RefusalError(400, "InvalidParameter", "the service is not valid")
        if name in self.services:
            raise RefusalError(400, "ServiceAlreadyExists", f"service {name} already exists")
        self.services[name] = EasService(body, json.loads(query["Labels"]), self)
        return {"ServiceName": name, "Status": "Creating"}

    def _CreateServiceAutoScaler(self, path: list[str], _query: object, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._service(path[:-1]).autoscaler = body
        return {}

    def _DescribeService(self, path: list[str], _query: object, _body: object) -> dict[str, Any]:  # noqa: N802
        return self._service(path).describe()

    def _DescribeServiceLog(self, path: list[str], query: dict[str, str], _body: object) -> dict[str, Any]:  # noqa: N802
        size = int(query["PageSize"])
        first = (int(query["PageNum"]) - 1) * size
        return {"Logs": self._service(path[:-1]).logs()[first : first + size]}

    def _DeleteService(self, path: list[str], _query: object, _body: object) -> dict[str, Any]:  # noqa: N802
        self._service(path).delete()
        del self.services[path[-1]]
        return {}

    def _service(self, path: list[str]) -> EasService:
        if path[-1] not in self.services or path[-2] != REGION:
            raise RefusalError(404, "InvalidService.NotFound", f"service {path[-1]} is not found")
        return self.services[path[-1]]

    def _predict(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """A request to a service's server, through the gateway."""
        name, _, rest = path.removeprefix("/api/predict/").partition("/")
        status, said = self.services[name].forward(f"/{rest}", headers.get("authorization", ""), body)
        return status, json.loads(said)

    # --- KMS -----------------------------------------------------------------------------------------------
    def _GetSecretValue(self, _path: list[str], query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._DescribeSecret(_path, query, _body)
        return {"SecretName": query["SecretName"], "SecretData": self.secrets[query["SecretName"]]}

    def _DescribeSecret(self, _path: list[str], query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if query["SecretName"] not in self.secrets:
            raise RefusalError(404, "Forbidden.ResourceNotFound", "Resource not found.")
        return {"SecretName": query["SecretName"]}

    def _CreateSecret(self, _path: list[str], query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if query["SecretName"] in self.secrets:
            raise RefusalError(409, "Rejected.ResourceExist", "The secret exists.")
        return self._PutSecretValue(_path, query, _body)

    def _PutSecretValue(self, _path: list[str], query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.secrets[query["SecretName"]] = query["SecretData"]
        return {"SecretName": query["SecretName"]}

    # --- ACR -----------------------------------------------------------------------------------------------
    def _ListInstance(self, _path: list[str], query: dict[str, str], _body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        there = [{"InstanceName": "lab", "InstanceId": "cri-lab"}, {"InstanceName": "lab2", "InstanceId": "cri-lab2"}]
        return {"IsSuccess": True, "Instances": [one for one in there if query["InstanceName"] in one["InstanceName"]]}

    def _GetAuthorizationToken(self, path: list[str], query: dict[str, str], _body: object) -> dict[str, Any]:  # noqa: N802
        if path == ["", "tokens"]:
            return {"data": {"tempUserName": "cr_temp_user", "authorizationToken": "passing", "expireDate": 1}}
        return {"IsSuccess": True, "TempUsername": "cr_temp_user", "AuthorizationToken": f"of-{query['InstanceId']}"}


def _error(code: str, words: str) -> dict[str, Any]:
    return {"RequestId": str(uuid.uuid4()), "Code": code, "Message": words, "HostId": "pai-dlc"}
