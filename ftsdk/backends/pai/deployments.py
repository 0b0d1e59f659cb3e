"""Deployments as services of PAI EAS: containers that read the model from OSS, behind EAS's own gateway.

The service's JSON is that of PAI's user guide ("Deploy services with JSON configuration files"), the calls are those of
alibabacloud-eas20210701 7.0.0, made without that client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any, Final

from ftsdk import contract
from ftsdk.backends.base import Capabilities, DeploymentInfo, DeploymentState, require
from ftsdk.backends.pai import addresses, machines
from ftsdk.backends.pai import request as requests
from ftsdk.backends.pai.request import PaiContext
from ftsdk.backends.pai.service import AlibabaRefusedError, AlibabaServices, says_not_found
from ftsdk.backends.pai.shapes import EasAutoscaler, EasContainer, EasDescription, EasRequests, EasService
from ftsdk.backends.shared import file_name, post_json
from ftsdk.contract.programs import Completion
from ftsdk.errors import BackendError, UnsupportedError
from ftsdk.facts import Facts
from ftsdk.plan import deployment, hubs
from ftsdk.plan.deployment import PORT, DeploymentPlan
from ftsdk.spec import JobSpec

VERSION: Final = "2021-07-01"
SERVICES: Final = "/api/v2/services"
DIGEST_LABEL: Final = "ftsdk-digest"
STATES: Final = {"Running": DeploymentState.READY, "Failed": DeploymentState.FAILED,
                 "Deleting": DeploymentState.DELETING}  # fmt: skip
"""Status -> state; every other one is STARTING."""
PERIOD_S: Final = 10
CHECKS: Final = 360
"""Checks `PERIOD_S` seconds apart: a server has an hour for loading its model."""
REQUESTS_PER_S: Final = 1.0
"""Requests a second and server above which EAS starts another one: a server makes one answer at a time."""
IDLE_S: Final = 600
"""Seconds without a request after which EAS stops the last server; its own default."""
PAGE: Final = 500
Contexts = Callable[[JobSpec, Facts], PaiContext]


class PaiDeployments:
    """EAS services of one account and region."""

    def __init__(self, services: AlibabaServices, capabilities: Capabilities, contexts: Contexts) -> None:
        self._services, self._capabilities, self._contexts = services, capabilities, contexts

    def plan(self, spec: JobSpec, facts: Facts) -> DeploymentPlan:
        """The service's JSON and its autoscaler."""
        require("pai", self._capabilities, spec)
        deployment.refuse("pai", spec, beside="ftsdk makes no EAS service groups; deploy each on its own")
        context = self._contexts(spec, replace(facts, machine=replace(facts.machine, accelerators=())))
        _refuse_options(context)
        price = machines.usd_per_hour(context.ecs_spec or "", context.region, facts.prices, spot=False)
        return deployment.deployment(
            context.spec,
            facts,
            backend="pai",
            scope=context.region,
            request=_request(context, deployment.deployment_digest(spec, facts)),
            options=context.options.model_dump(mode="json"),
            machine_usd_per_hour=price,
            uploads=tuple(upload for source in _sources(context) for upload in source.uploads),
            copies=tuple(requests.copies(context)),
            storage=addresses.storage(context.options),
            warnings=hubs.warnings(facts, context.region, spec.env),
        )

    def create(self, plan: DeploymentPlan) -> None:
        """Create the service, then its autoscaler; after a refusal of the latter, the service is deleted."""
        service, labels = plan.request["service"], json.dumps(plan.request["labels"])
        query = {"WorkspaceId": service["metadata"]["workspace_id"], "Labels": labels}
        self._call("CreateService", "POST", SERVICES, query=query, body=service)
        if "autoscaler" in plan.request:
            try:
                path = f"{self._path(plan.name)}/autoscaler"
                self._call("CreateServiceAutoScaler", "POST", path, body=plan.request["autoscaler"])
            except BackendError:
                self.delete(plan.name)
                raise

    def describe(self, name: str) -> DeploymentInfo | None:
        """The service's status."""
        response = self._describe(name)
        if response is None:
            return None
        labels = {row["LabelKey"]: row["LabelValue"] for row in response.get("Labels") or ()}
        return DeploymentInfo(
            name=name,
            state=STATES.get(response["Status"], DeploymentState.STARTING),
            digest=labels.get(DIGEST_LABEL, ""),
            address=f"{response['InternetEndpoint'].rstrip('/')}/v1" if response.get("InternetEndpoint") else "",
            message=f"{response.get('Reason') or ''} {response.get('Message') or ''}".strip(),
        )

    def logs(self, name: str) -> Iterator[str]:
        """The servers' lines."""
        for page in count(1):
            query = {"PageNum": str(page), "PageSize": str(PAGE)}
            lines = self._call("DescribeServiceLog", "GET", f"{self._path(name)}/logs", query=query).get("Logs") or []
            yield from lines
            if len(lines) < PAGE:
                return

    def delete(self, name: str) -> None:
        """Delete the service."""
        try:
            self._call("DeleteService", "DELETE", self._path(name))
        except AlibabaRefusedError as problem:
            if not says_not_found(problem):
                raise

    def ask(self, name: str, request: Mapping[str, object]) -> Completion:
        """The answer of a server, through EAS's gateway and with the service's token."""
        response = self._describe(name)
        if response is None or not response.get("InternetEndpoint"):
            raise BackendError(f"The EAS service {service_name(name)} has no public address: see PAI's console.")
        address = f"{response['InternetEndpoint'].rstrip('/')}/invocations"
        return post_json(address, request, {"Authorization": response["AccessToken"]})

    def _describe(self, name: str) -> EasDescription | None:
        try:
            response: EasDescription = self._call("DescribeService", "GET", self._path(name))
        except AlibabaRefusedError as problem:
            if not says_not_found(problem):
                raise
            return None
        return response

    def _path(self, name: str) -> str:
        return f"{SERVICES}/{self._services.region}/{service_name(name)}"

    def _call(
        self, action: str, method: str, path: str, *, query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Any:  # fmt: skip
        return self._services.generic(
            self._services.eas_endpoint, action, VERSION, style="ROA", path=path, query=query, method=method, body=body
        )


def service_name(name: str) -> str:
    """EAS's name of a deployment: it has lower-case letters, digits and underscores only."""
    return name.replace("-", "_")


def _refuse_options(context: PaiContext) -> None:
    refused = [key for key in ("resource_id", "image_auth", "mounts") if getattr(context.options, key)]
    if refused:
        raise UnsupportedError(
            f"option {refused[0]}: a deployment on pai takes machines as you go (-o ecs_spec=TYPE), an image of ACR in "
            f"its region, and no mounts of yours; leave it out."
        )


def _request(context: PaiContext, digest: str) -> EasRequests:
    program = deployment.serving(context.spec)
    body: EasRequests = {
        "service": _service(context, max(1, program.min_replicas)),
        "labels": {DIGEST_LABEL: digest, **context.options.tags},
    }
    if program.min_replicas != program.max_replicas:
        body["autoscaler"] = _autoscaler(program.min_replicas, program.max_replicas)
    return body


def _service(context: PaiContext, replicas: int) -> EasService:
    options = context.options
    network = {"vpc_id": options.vpc_id, "vswitch_id": options.switch_id}
    network["security_group_id"] = options.security_group_id
    inside = {key: value for key, value in network.items() if value}
    workspace = addresses.needed(options.workspace_id, "workspace_id", "the number of a PAI workspace")
    return {
        "metadata": {"name": service_name(context.spec.name), "instance": replicas, "workspace_id": workspace},
        "cloud": {
            "computing": {"instance_type": context.ecs_spec},
            **({"networking": inside} if inside else {}),
        },
        "containers": [_container(context)],
        "storage": [
            {"mount_path": source.path, "oss": {"path": f"{source.address.rstrip('/')}/", "readOnly": True}}
            for source in _sources(context)
        ],
    }


def _container(context: PaiContext) -> EasContainer:
    environment = {
        contract.ENV_SERVE: deployment.server_environment(context.spec, context.facts.model, requests.layout(context)),
        "HF_HOME": f"{requests.HUB_CACHE}/huggingface",
        "MODELSCOPE_CACHE": f"{requests.HUB_CACHE}/modelscope",
    }
    return {
        "image": addresses.needed(context.options.image, "image", "an image that holds the trainer and a `python`"),
        "port": PORT,
        "script": f"exec python {requests.MOUNTS}/runtime/{file_name(context.facts.runtime.path)} serve",
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "startup_check": {
            "http_get": {"path": "/ping", "port": PORT},
            "initial_delay_seconds": PERIOD_S,
            "period_seconds": PERIOD_S,
            "failure_threshold": CHECKS,
        },
    }


def _autoscaler(low: int, high: int) -> EasAutoscaler:
    body: EasAutoscaler = {
        "min": low,
        "max": high,
        "scaleStrategies": [{"metricName": "qps", "threshold": REQUESTS_PER_S}],
    }
    if low == 0:
        body["behavior"] = {"onZero": {"scaleDownGracePeriodSeconds": IDLE_S, "scaleUpActivationReplicas": 1}}
    return body


def _sources(context: PaiContext) -> list[requests.MountedFolder]:
    """The runtime and the model; the first source of a job is its own folder."""
    return requests.sources(context)[1:]
