"""Deployments as services of SkyServe: the YAML of a service, which `sky serve up` starts.

ftsdk renders it and has not run one: the project has no cloud in which SkyServe can open a port. Fields:
https://docs.skypilot.co/en/latest/serving/service-yaml-spec.html (0.14).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NoReturn

from ftsdk import contract
from ftsdk.backends.base import Capabilities, DeploymentInfo, require
from ftsdk.backends.skypilot import request as requests
from ftsdk.backends.skypilot.options import SkyPilotOptions, is_kubernetes
from ftsdk.backends.skypilot.request import SkyPilotContext
from ftsdk.backends.skypilot.shapes import SkyTask
from ftsdk.contract.programs import Completion
from ftsdk.errors import UnsupportedError
from ftsdk.facts import Facts
from ftsdk.plan import deployment
from ftsdk.plan.deployment import NOT_RUN, PORT, DeploymentPlan
from ftsdk.spec import JobSpec

START_S: Final = 3600
"""Seconds that a server has for fetching and loading its model."""
REQUESTS_PER_S: Final = 1.0
"""Requests a second and server above which SkyServe starts another one: a server makes one answer at a time."""
OF_JOBS: Final = ("autostop", "job_recovery")
"""Fields of `resources` that a service does not have."""


class SkyPilotDeployments:
    """SkyServe services, as YAML files to be."""

    def __init__(self, options: SkyPilotOptions, capabilities: Capabilities) -> None:
        self._options, self._capabilities = options, capabilities

    def plan(self, spec: JobSpec, facts: Facts) -> DeploymentPlan:
        """The service's YAML."""
        require("skypilot", self._capabilities, spec)
        deployment.refuse("skypilot", spec, beside="SkyServe sends every server the same share")
        if self._options.cluster or self._options.bare:
            raise UnsupportedError(
                "option cluster, bare: SkyServe starts machines of its own with an image; leave both out."
            )
        context = SkyPilotContext(spec=spec, facts=facts, options=self._options, name=spec.name, digest="", durable="")
        return deployment.deployment(
            spec,
            facts,
            backend="skypilot",
            scope=next(iter(self._options.infra), "any"),
            request={"task": _task(context)},
            options=self._options.model_dump(mode="json"),
            warnings=(NOT_RUN,),
        )

    def create(self, plan: DeploymentPlan) -> None:
        """Refuse it, with what starts it."""
        _refuse(plan.name)

    def describe(self, name: str) -> DeploymentInfo | None:
        """None: ftsdk has started none."""
        return None

    def logs(self, name: str) -> Iterator[str]:
        """Refuse it, with what shows them."""
        _refuse(name)

    def delete(self, name: str) -> None:
        """Refuse it, with what does it."""
        _refuse(name)

    def ask(self, name: str, request: Mapping[str, object]) -> Completion:
        """Refuse it."""
        _refuse(name)


def _refuse(name: str) -> NoReturn:
    raise UnsupportedError(
        f"SkyServe services are rendered, not run: save what `ftsdk deploy … -b skypilot --plan` prints below `task` "
        f"as service.yaml, and use `sky serve up service.yaml -n {name}`, `sky serve status`, `sky serve logs` and "
        f"`sky serve down {name}`."
    )


def _task(context: SkyPilotContext) -> SkyTask:
    """A task's YAML with a service."""
    resources = {key: value for key, value in requests.resources(context).items() if key not in OF_JOBS}
    layout = requests.layout(context)
    pods = any(map(is_kubernetes, context.options.infra)) or not context.options.infra
    task: SkyTask = {
        "name": context.spec.name,
        "service": {
            "readiness_probe": {"path": "/ping", "initial_delay_seconds": START_S},
            **_replicas(context.spec),
        },
        "resources": {**resources, "ports": PORT},
        "file_mounts": requests.file_mounts(context),
        "envs": {contract.ENV_SERVE: deployment.server_environment(context.spec, context.facts.model, layout)},
    }
    if context.options.setup:
        task["setup"] = context.options.setup
    if pods:
        task["config"] = requests.AS_ROOT
    task["run"] = f"exec {context.options.python or 'python'} {requests.runtime_path(context)} serve"
    return task


def _replicas(spec: JobSpec) -> dict[str, object]:
    program = deployment.serving(spec)
    if program.min_replicas == program.max_replicas:
        return {"replicas": program.min_replicas}
    policy = {"min_replicas": program.min_replicas, "max_replicas": program.max_replicas}
    return {"replica_policy": {**policy, "target_qps_per_replica": REQUESTS_PER_S}}
