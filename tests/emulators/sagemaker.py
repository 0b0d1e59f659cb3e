"""SageMaker training over real HTTP on loopback: the request's container runs for real, on the machine's Docker.

moto answers for S3, IAM, STS, ECR, Secrets Manager and SSM; training jobs and their logs are our own, because moto's
jobs end before they begin. What is not in here was read in the developer guide (pages "How Amazon SageMaker AI runs
your training image", "… provides training information", "… processes training output", "Managed spot training").
"""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from urllib.request import Request, urlopen

from botocore.exceptions import ClientError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.emulators import endpoint
from tests.emulators.cloudwatch import PAGE_STREAMS, Streams
from tests.emulators.roles import RoleAddress
from tests.emulators.service_model import refusals
from tests.emulators.training_job import ACCOUNT, REGION, TrainingJob, arn

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
KEYS = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": REGION}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ftsdk"
BUCKET = f"sagemaker-{REGION}-{ACCOUNT}"
JSON_TYPE = ("Content-Type", "application/x-amz-json-1.1")
Environ = dict[str, Any]
Start = Callable[..., Any]


def endpoint_arn(name: str, kind: str = "endpoint") -> str:
    """An ARN of an endpoint, or of its configuration."""
    return arn(name).replace("training-job", kind)


class RefusalError(Exception):
    """An error answer: its code and its words."""


class SageMakerCloud:
    """The server. `trouble` is the share of calls that get a throttling or a 5xx answer instead of the normal one."""

    def __init__(self) -> None:
        self.jobs: dict[str, TrainingJob] = {}
        self.models: dict[str, dict[str, Any]] = {}
        """What CreateModel was asked; moto's DescribeModel has a VpcConfig without its fields."""
        self.endpoints: dict[str, endpoint.Endpoint] = {}
        self.endpoint_configs: dict[str, dict[str, Any]] = {}
        self.endpoint_requests: dict[str, dict[str, Any]] = {}
        self.logs = Streams()
        self.calls: Counter[str] = Counter()
        self.trouble = 0.0
        self.quotas: dict[str, int] = {}
        """Quota's name, `TYPE for (spot) training (job|warm pool) usage` -> machines; others are unlimited."""
        self.sold_out: set[str] = set()
        """Instance types that are not to be had."""
        self.role_lacks: set[str] = set()
        """Actions that the job's role may not do, as IAM's simulator says."""
        self.denied: set[str] = set()
        """Operations that the caller may not do."""
        self.before_answer: Callable[[str], None] = lambda operation: None
        """Called with an operation that is done, before its answer goes out."""
        self.grace_s = 120
        self.platform = {"os": "linux", "architecture": "amd64"}
        """What the configuration of every image in ECR says."""
        self.role: RoleAddress | None = None
        """Gives the role's keys to the containers; without it they have fixed ones."""
        self.file_systems: dict[str, Path] = {}
        """Id of a file system -> the folder that stands for it."""
        self.internal_errors = 0
        """So many of the next starts fail by the platform's own fault."""
        self._chance = random.Random(7)
        self._lock = threading.Lock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop what runs, then the server."""
        self.trouble = 0.0
        for job in self.jobs.values():
            job.kill()
        for running in self.endpoints.values():
            running.delete()
        self._server.shutdown()
        self._server.server_close()

    def client(self, service: str) -> Any:
        """boto3's client of this cloud."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def make_account(self) -> None:
        """An empty account with the bucket that SageMaker's own tools make; the emulators of a process share moto."""
        urlopen(Request(f"{self.url}/moto-api/reset", method="POST")).close()
        self.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    # --- requests ------------------------------------------------------------------------------------------
    def _answer(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            return self._answer_form(environ, start)
        if environ["PATH_INFO"] == "/image-config":
            return _say(start, "200 OK", self.platform)
        if re.fullmatch("/endpoints/[^/]+/invocations", environ["PATH_INFO"]):
            return self._invoke(environ, start)
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")
        self.calls[operation or environ["REQUEST_METHOD"]] += 1
        ours = self._operation(service, operation)
        if ours is None and not self._in_trouble():
            return self._moto(environ, start)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        lost = self._in_trouble() if ours else True
        if lost and (ours is None or self._chance.random() < 0.5):
            return self._break(operation, start)
        try:
            said = ours(json.loads(body)) if ours else {}
        except RefusalError as refusal:
            return _refuse(start, 400, *refusal.args)
        self.before_answer(operation)
        return self._break(operation, start) if lost else _say(start, "200 OK", said)  # done, but the answer is lost

    def _operation(self, service: str, operation: str) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
        if operation in self.denied:
            return self._deny
        if service == "SageMaker":
            return getattr(self, f"_{operation}", None)
        if service == "ServiceQuotasV20190624":
            return self._ListServiceQuotas
        if operation == "GetDownloadUrlForLayer":
            return lambda request: {"downloadUrl": f"{self.url}/image-config", "layerDigest": request["layerDigest"]}
        if service == "Logs_20140328":
            return {"DescribeLogStreams": self._DescribeLogStreams, "GetLogEvents": self._GetLogEvents}.get(operation)
        return None

    def _in_trouble(self) -> bool:
        with self._lock:
            return self._chance.random() < self.trouble

    def _break(self, operation: str, start: Start) -> list[bytes]:
        if not operation:  # S3 speaks XML
            start("503 Slow Down", [("Content-Type", "application/xml"), ("Connection", "close")])
            return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]
        if self._chance.random() < 0.5:
            return _refuse(start, 400, "ThrottlingException", "Rate exceeded")
        return _refuse(start, 500, "InternalFailure", "We encountered an internal error. Please try again.")

    def _deny(self, _request: dict[str, Any]) -> dict[str, Any]:
        raise RefusalError("AccessDeniedException", "User: arn:aws:iam::123456789012:user/ada is not authorized")

    # --- what moto lacks -----------------------------------------------------------------------------------
    def _answer_form(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """IAM and STS send forms."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        asked = parse_qs(body.decode())
        if asked.get("Action") != ["SimulatePrincipalPolicy"]:
            return self._moto({**environ, "wsgi.input": BytesIO(body)}, start)
        actions = [values[0] for key, values in asked.items() if key.startswith("ActionNames.")]
        rows = "".join(
            f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName><EvalDecision>"
            f"{'implicitDeny' if action in self.role_lacks else 'allowed'}</EvalDecision></member>"
            for action in actions
        )
        start("200 OK", [("Content-Type", "text/xml")])
        found = f"<EvaluationResults>{rows}</EvaluationResults><IsTruncated>false</IsTruncated>"
        result = f"<SimulatePrincipalPolicyResult>{found}</SimulatePrincipalPolicyResult>"
        return [f"<SimulatePrincipalPolicyResponse>{result}</SimulatePrincipalPolicyResponse>".encode()]

    def _ListServiceQuotas(self, _request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Quotas": [{"QuotaName": name, "Value": count} for name, count in self.quotas.items()]}

    # --- training jobs -------------------------------------------------------------------------------------
    def _CreateTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if why := refusals(request):
            raise RefusalError("ValidationException", f"{len(why)} validation errors detected: {'; '.join(why[:5])}")
        self._check_manifest(request["AlgorithmSpecification"]["TrainingImage"])
        self._check_quotas(request)
        name = request["TrainingJobName"]
        with self._lock:
            if name in self.jobs:
                raise RefusalError(
                    "ResourceInUse", "Training job names must be unique within an AWS account and region"
                )
            self.jobs[name] = job = TrainingJob(request, self)
        job.start()
        return {"TrainingJobArn": arn(name)}

    def _check_manifest(self, image: str) -> None:
        """As aws/amazon-sagemaker-feedback#180 reports; images that are not in ECR are the machine's own."""
        registry, _, name = image.partition("/")
        if ".dkr.ecr." not in registry:
            return
        repository, _, tag = name.partition(":")
        try:
            place = {"repositoryName": repository, "imageIds": [{"imageTag": tag}]}
            found = self.client("ecr").batch_get_image(**place)["images"]
        except ClientError:  # no such repository: that comes out when the image is pulled
            return
        kind = found[0]["imageManifestMediaType"] if found else "docker"
        if "docker" not in kind or "list" in kind:
            raise RefusalError("ValidationException", f"Unsupported manifest media type {kind} for image {image}.")

    def _check_quotas(self, request: dict[str, Any]) -> None:
        """Every type of the request must have the quota of its usage; one that falls short refuses the whole."""
        machines = request["ResourceConfig"]
        usages = ["spot training job usage" if request.get("EnableManagedSpotTraining") else "training job usage"]
        if machines.get("KeepAlivePeriodInSeconds"):
            usages.append("training warm pool usage")
        for item in machines.get("InstancePreferences") or [machines]:
            for usage in usages:
                self._check_quota(f"{item['InstanceType']} for {usage}", item.get("InstanceCount", 1))

    def _check_quota(self, name: str, count: int) -> None:
        if count > self.quotas.get(name, count):
            raise RefusalError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{name}' is {self.quotas[name]} Instances, with current utilization "
                f"of 0 Instances and a request delta of {count} Instances. Please use AWS Service Quotas to request "
                f"an increase for this quota.",
            )

    def _DescribeTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._job(request).describe()

    def _StopTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        job = self._job(request)
        if not job.stop():
            raise RefusalError(
                "ValidationException", f"The request was rejected because the training job is in status {job.status}."
            )
        return {}

    def _DeleteTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if self._job(request).status not in ("Completed", "Failed", "Stopped"):
            raise RefusalError("ResourceInUse", "The training job is in use")
        del self.jobs[request["TrainingJobName"]]
        return {}

    def _ListTrainingJobs(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        part, first = request.get("NameContains", ""), int(request.get("NextToken", 0))
        status = request.get("StatusEquals")
        found = [job.summary() for name, job in self.jobs.items() if part in name and status in (None, job.status)]
        found.sort(key=lambda row: row["CreationTime"], reverse=request.get("SortOrder", "Descending") == "Descending")
        last = first + request.get("MaxResults", 10)
        more = {"NextToken": str(last)} if last < len(found) else {}
        return {"TrainingJobSummaries": found[first:last], **more}

    def _job(self, request: dict[str, Any]) -> TrainingJob:
        found = self.jobs.get(request["TrainingJobName"])
        if found is None:
            raise RefusalError("ValidationException", "Requested resource not found.")
        return found

    # --- models for endpoints ------------------------------------------------------------------------------
    def _CreateModel(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._refuse_taken(self.models, request["ModelName"], request, "CreateModel")
        return {"ModelArn": arn(request["ModelName"]).replace("training-job", "model")}

    def _DescribeModel(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {**self.models[request["ModelName"]], "CreationTime": time.time()}

    def _DeleteModel(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._drop(self.models, request["ModelName"])

    # --- endpoints -----------------------------------------------------------------------------------------
    def _CreateEndpointConfig(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._refuse_taken(self.endpoint_configs, request["EndpointConfigName"], request, "CreateEndpointConfig")
        return {"EndpointConfigArn": endpoint_arn(request["EndpointConfigName"], "endpoint-config")}

    def _CreateEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name, config = request["EndpointName"], self.endpoint_configs.get(request["EndpointConfigName"])
        if config is None or any(variant["ModelName"] not in self.models for variant in config["ProductionVariants"]):
            raise RefusalError("ValidationException", "Could not find the endpoint configuration or a model.")
        for variant in config["ProductionVariants"]:
            self._check_quota(f"{variant['InstanceType']} for endpoint usage", variant["InitialInstanceCount"])
        self._refuse_taken(self.endpoint_requests, name, request, "CreateEndpoint")
        variants = [(variant, self.models[variant["ModelName"]]) for variant in config["ProductionVariants"]]
        self.endpoints[name] = endpoint.Endpoint(name, variants, self)
        return {"EndpointArn": endpoint_arn(name)}

    def _DescribeEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if request["EndpointName"] not in self.endpoints:
            raise RefusalError("ValidationException", f'Could not find endpoint "{request["EndpointName"]}".')
        return endpoint.describe(self.endpoints[request["EndpointName"]], endpoint_arn(request["EndpointName"]))

    def _DeleteEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._DescribeEndpoint(request)
        self.endpoints[request["EndpointName"]].delete()
        del self.endpoint_requests[request["EndpointName"]]
        return self._drop(self.endpoints, request["EndpointName"])

    def _DeleteEndpointConfig(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self._drop(self.endpoint_configs, request["EndpointConfigName"])

    def _ListTags(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Tags": self.endpoint_requests[request["ResourceArn"].rpartition("/")[2]]["Tags"]}

    def _refuse_taken(self, things: dict[str, Any], name: str, request: dict[str, Any], operation: str) -> None:
        if why := refusals(request, operation):
            raise RefusalError("ValidationException", f"{len(why)} validation errors detected: {'; '.join(why[:5])}")
        if name in things:
            raise RefusalError("ValidationException", f"Cannot create already existing {name}.")
        things[name] = request

    def _drop(self, things: dict[str, Any], name: str) -> dict[str, Any]:
        if things.pop(name, None) is None:
            raise RefusalError("ValidationException", f'Could not find "{name}".')
        return {}

    def _invoke(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """InvokeEndpoint of the runtime's API."""
        found = self.endpoints.get(environ["PATH_INFO"].split("/")[2])
        if found is None or found.status != "InService":
            status, body = 400, endpoint.error("Endpoint of account 123456789012 not found.")
        else:
            status, body = found.invoke(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            status = status if status == 200 else 424
        start(f"{status} ", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    # --- their logs ----------------------------------------------------------------------------------------
    def _DescribeLogStreams(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if not self.logs.has_any:
            raise RefusalError("ResourceNotFoundException", "The specified log group does not exist.")
        found, first = self.logs.describe(request.get("logStreamNamePrefix", "")), int(request.get("nextToken", 0))
        more = {"nextToken": str(first + PAGE_STREAMS)} if first + PAGE_STREAMS < len(found) else {}
        return {"logStreams": found[first : first + PAGE_STREAMS], **more}

    def _GetLogEvents(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self.logs.page(request["logStreamName"], request.get("nextToken"))


def _say(start: Start, status: str, data: dict[str, Any], *headers: tuple[str, str]) -> list[bytes]:
    body = json.dumps(data).encode()
    start(status, [JSON_TYPE, ("Content-Length", str(len(body))), *headers])
    return [body]


def _refuse(start: Start, status: int, code: str, message: str) -> list[bytes]:
    word = "Bad Request" if status == 400 else "Internal Server Error"
    return _say(start, f"{status} {word}", {"__type": code, "message": message}, ("x-amzn-errortype", code))
