"""Deployments as containers of this machine, each behind a port of its loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from ftsdk import contract
from ftsdk.backends import folders
from ftsdk.backends.base import Capabilities, DeploymentInfo, DeploymentState, require
from ftsdk.backends.docker import command
from ftsdk.backends.docker import request as requests
from ftsdk.backends.docker.options import DockerOptions
from ftsdk.backends.docker.states import InspectedContainer
from ftsdk.backends.image import default_tag
from ftsdk.backends.shared import is_answering, post_json
from ftsdk.contract.programs import Completion
from ftsdk.errors import BackendError, UnsupportedError
from ftsdk.facts import Facts
from ftsdk.home import home_dir
from ftsdk.plan import deployment
from ftsdk.plan.deployment import PORT, DeploymentPlan
from ftsdk.sizing.forward import on_main_memory
from ftsdk.spec import JobSpec

LABEL: Final = "ftsdk.deployment"
RESTARTS: Final = 2
"""How often Docker starts a crashed server again."""


class DockerDeployments:
    """Containers `ftsdk-NAME`; they outlive the program that started them."""

    def __init__(self, options: DockerOptions, capabilities: Capabilities) -> None:
        self._options, self._capabilities = options, capabilities

    def plan(self, spec: JobSpec, facts: Facts) -> DeploymentPlan:
        """The docker command."""
        one = "there is one container behind the port"
        deployment.refuse("docker", spec, beside=one, zero="Docker stops none by itself", scaling=one)
        if deployment.serving(spec).max_replicas > 1:
            raise UnsupportedError(f"program.max_replicas: on docker {one}.")
        require("docker", self._capabilities, spec)
        folders.require_accelerator(spec, facts)
        made = deployment.deployment(
            spec,
            facts,
            backend="docker",
            scope="",
            request={"container": container_name(spec.name), "command": self._command(spec, facts)},
            options=self._options.model_dump(mode="json"),
            copies=tuple(folders.model_copies(facts).values()),
        )
        if facts.machine.accelerators:
            return made
        return replace(made, estimate=on_main_memory(spec, made.estimate, facts.machine.memory_gib))

    def create(self, plan: DeploymentPlan) -> None:
        """Run the container. One that Docker made and could not start is removed again."""
        (home_dir() / "cache" / "hub").mkdir(parents=True, exist_ok=True)  # may be mounted
        try:
            command.ask(plan.request["command"])
        except BackendError:
            self.delete(plan.name)
            raise

    def describe(self, name: str) -> DeploymentInfo | None:
        """The container's state, and whether the server in it answers."""
        container = self._inspect(name)
        if container is None:
            return None
        state, ports = container["State"], container["NetworkSettings"]["Ports"].get(f"{PORT}/tcp") or ()
        address = f"http://127.0.0.1:{ports[0]['HostPort']}" if ports else ""
        digest = container["Config"]["Labels"].get("ftsdk.digest", "")
        if not state["Running"] and not state["Restarting"]:
            message = f"The container ended with exit code {state['ExitCode']}."
            return DeploymentInfo(name=name, state=DeploymentState.FAILED, digest=digest, message=message)
        ready = bool(address) and is_answering(f"{address}/ping")
        current = DeploymentState.READY if ready else DeploymentState.STARTING
        return DeploymentInfo(name=name, state=current, digest=digest, address=f"{address}/v1" if address else "")

    def logs(self, name: str) -> Iterator[str]:
        """The container's output."""
        yield from command.ask([self._options.program, "logs", container_name(name)], stderr_too=True).splitlines()

    def delete(self, name: str) -> None:
        """Kill and remove the container."""
        command.ask([self._options.program, "rm", "--force", container_name(name)], allow="no such container")

    def ask(self, name: str, request: Mapping[str, object]) -> Completion:
        """The server's answer."""
        info = self.describe(name)
        if info is None or not info.address:
            raise BackendError(f"docker://deployments/{name} has no address: `ftsdk deployment status` says why.")
        return post_json(f"{info.address.removesuffix('/v1')}/invocations", request)

    def _inspect(self, name: str) -> InspectedContainer | None:
        argv = [self._options.program, "container", "inspect", container_name(name)]
        shown: list[InspectedContainer] = json.loads(command.ask(argv, allow="no such") or "[]")
        return shown[0] if shown and LABEL in shown[0]["Config"]["Labels"] else None

    def _command(self, spec: JobSpec, facts: Facts) -> list[str]:
        options = self._options
        image = options.image or default_tag("cuda" if facts.machine.accelerators else "cpu")
        context = requests.DockerContext(
            spec=spec, facts=facts, options=options, name=spec.name, digest="", folder="", image=image
        )
        return [
            *(options.program, "run", "--detach", "--pull", "never", "--name", container_name(spec.name)),
            *(
                "--label",
                f"{LABEL}={spec.name}",
                "--label",
                f"ftsdk.digest={deployment.deployment_digest(spec, facts)}",
            ),
            *("--restart", f"on-failure:{RESTARTS}", "--log-driver", "json-file"),
            *("--log-opt", f"max-size={requests.LOG_LIMIT}", "--shm-size", f"{options.shm_size_gb:g}g"),
            *("--publish", f"127.0.0.1:{options.port or ''}:{PORT}"),
            *(("--user", options.user) if options.user else ()),
            *requests.limits(context, 0),
            *(word for key, value in self._environment(context).items() for word in ("--env", f"{key}={value}")),
            *(word for mount in requests.input_mounts(context) for word in ("--mount", mount)),
            *("--entrypoint", "python", image, requests.RUNTIME, "serve"),
        ]

    def _environment(self, context: requests.DockerContext) -> dict[str, str]:
        layout = requests.layout(context.facts)
        return {
            contract.ENV_SERVE: deployment.server_environment(context.spec, context.facts.model, layout),
            **({"HOME": "/tmp", "USER": "ftsdk"} if self._options.user else {}),
            **requests.hub_environment(context),
        }


def container_name(name: str) -> str:
    """The container of a deployment."""
    return f"ftsdk-{name}"
