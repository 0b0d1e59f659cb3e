"""Deployment: a model behind an address, until it is taken down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Self

from ftsdk import backends
from ftsdk.backends.base import (
    Backend,
    DeploymentInfo,
    Deployments,
    DeploymentState,
    SupportsDeployments,
    bucket_access,
)
from ftsdk.contract.programs import Completion
from ftsdk.errors import BackendError, JobNotFoundError, SpecError, UnsupportedError, WaitTimeoutError
from ftsdk.facts import inspect
from ftsdk.facts.model import refuse_incomplete
from ftsdk.home import home_dir
from ftsdk.plan.deployment import FOLDER, DeploymentPlan
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.spec import JobSpec
from ftsdk.storage import copying
from ftsdk.storage.staging import Bar, stage

POLL_S: Final = 1.0
TIMEOUT_S: Final = 3600.0
SMOKE: Final[Mapping[str, object]] = {"prompt": "Hello", "max_tokens": 4, "temperature": 0}
"""The request that a new deployment has to answer."""


class Deployment:
    """A handle on a deployment; made by `deploy`, or by `attach` from any process.

    deployment = model.deploy(backend="docker")
    print(deployment.info().address)
    deployment.undeploy()
    """

    def __init__(self, uri: str, backend: Backend) -> None:
        self.uri = uri
        self.name = uri.rpartition("/")[2]
        self._service = deployments_of(backend)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    @classmethod
    def attach(cls, deployment: str) -> Self:
        """The deployment with this URI, or of this name among those that this machine made.

        Raises JobNotFoundError if there is none.
        """
        known = [plan.uri for plan in recorded() if deployment in (plan.uri, plan.name)]
        uri = known[0] if len(known) == 1 else deployment
        head, mark, name = uri.rpartition(f"{FOLDER}/")
        if not mark or not name or "://" not in head:
            raise JobNotFoundError(f"There is no deployment {deployment!r}: `ftsdk deployments` lists the URIs.")
        plan = next((plan for plan in recorded() if plan.uri == uri), None)
        return cls(uri, backends.at(f"{head}{name}", plan.options if plan else None))

    @property
    def plan(self) -> DeploymentPlan | None:
        """The plan that it was made with; None if another machine made it."""
        return next((plan for plan in recorded() if plan.uri == self.uri), None)

    def info(self) -> DeploymentInfo:
        """Its state now. Raises JobNotFoundError if the platform has none of this name."""
        observed = self._service.describe(self.name)
        if observed is None:
            raise JobNotFoundError(f"There is no deployment {self.uri} any more; `ftsdk undeploy` forgets it.")
        return observed

    def logs(self) -> Iterator[str]:
        """Lines of its servers so far."""
        return self._service.logs(self.name)

    def ask(self, request: Mapping[str, object]) -> Completion:
        """The answer to a request as OpenAI writes it, with `messages` or a `prompt`."""
        return self._service.ask(self.name, request)

    def wait(self, timeout_s: float = TIMEOUT_S) -> DeploymentInfo:
        """Wait until it answers. Raises BackendError if it fails, WaitTimeoutError if it takes longer."""
        deadline = time.monotonic() + timeout_s
        while (info := self.info()).state is not DeploymentState.READY:
            if info.state is DeploymentState.FAILED:
                raise BackendError(f"The deployment {self.uri} did not come up: {info.message}{self._last_line()}")
            if time.monotonic() > deadline:
                raise WaitTimeoutError(f"The deployment {self.uri} is still {info.state} after {timeout_s:g} s.")
            time.sleep(POLL_S)
        return info

    def undeploy(self) -> None:
        """Take it down: nothing of it is left on the platform, and nothing is billed any more."""
        self._service.delete(self.name)
        _record(self.uri).unlink(missing_ok=True)

    def _last_line(self) -> str:
        lines = [line for line in self.logs() if line.strip()]
        return f" Its last line: {lines[-1].strip()[:300]}" if lines else ""


def deployments_of(backend: Backend) -> Deployments:
    """The deployments of a backend. Raises UnsupportedError if it has none."""
    if not isinstance(backend, SupportsDeployments):
        raise UnsupportedError(
            f"The {backend.name} backend deploys nothing: choose docker, sagemaker, pai or skypilot, or `ftsdk serve`."
        )
    return backend.deployments()


def plan_deployment(spec: JobSpec, backend: Backend, *, folder: Path | str = ".") -> DeploymentPlan:
    """What `deploy` would do. Creates nothing. Raises SpecError for a model without weights or tokenizer."""
    facts = inspect(spec, folder=folder, access=bucket_access(backend))
    for model in facts.models.values():
        refuse_incomplete(model)
    plan = deployments_of(backend).plan(spec, facts)
    if plan.estimate.fits == "no" and plan.estimate.memory:
        basis = f" (the model is {plan.estimate.guess})" if plan.estimate.guess else ""
        raise UnsupportedError(
            f"It cannot fit{basis}: a server needs about {plan.estimate.memory.total_gib:.1f} GiB, and "
            f"{plan.estimate.card} has {plan.estimate.usable_gib:.1f}; "
            f"name a larger accelerator (--set resources.accelerator=…)."
        )
    return plan


def deploy(
    plan: DeploymentPlan,
    backend: Backend,
    *,
    bar: Bar,
    copy: bool = False,
    wait: bool = True,
    on_created: Callable[[Deployment], None] = lambda deployment: None,
) -> Deployment:
    """Carry out a plan: upload, create, wait until it answers, and send it one request.

    The same plan again attaches to the deployment that exists. One that does not come up is removed.
    `on_created` is called once the platform has taken it. Raises SpecError if the name is taken by another deployment.
    """
    if not copy:
        copying.refuse(plan.copies)
    made = Deployment(plan.uri, backend)
    existing = made._service.describe(plan.name)
    if existing is not None and existing.digest != plan.digest:
        raise SpecError(
            f"The name {plan.name} is taken by another deployment on {plan.backend}: give --name, or take that one "
            f"down (`ftsdk undeploy {plan.uri}`)."
        )
    if existing is None:
        _make_ready(plan, bar)
        made._service.create(plan)
    path = _record(plan.uri)
    FolderStore(path.parent).put(path.name, json.dumps(plan.to_json()).encode())
    on_created(made)
    if wait:
        _check(made, is_new=existing is None)
    return made


def recorded() -> list[DeploymentPlan]:
    """Plans of the deployments that this machine has made and not taken down, by their URIs."""
    paths = sorted((home_dir() / FOLDER).glob("*.json"))
    return [DeploymentPlan.from_json(json.loads(path.read_bytes())) for path in paths]


def _make_ready(plan: DeploymentPlan, bar: Bar) -> None:
    for copied in plan.copies:
        with bar(f"Copying {copied.source}", copied.bytes or 0) as on_bytes:
            copying.make_copy(copied, plan.storage, on_bytes)
    if plan.uploads:
        stage(plan.uploads, plan.storage, bar)


def _check(made: Deployment, *, is_new: bool) -> None:
    try:
        made.wait()
        answer = made.ask(SMOKE)
        if not answer.get("choices"):
            raise BackendError(f"The deployment {made.uri} answered without a choice: {json.dumps(answer)[:200]}")
    except BackendError as problem:
        if is_new and type(problem) is BackendError:  # the others say that the platform does not answer us
            made.undeploy()
        raise


def _record(uri: str) -> Path:
    return home_dir() / FOLDER / f"{uri.replace('://', '-').replace('/', '-')}.json"
