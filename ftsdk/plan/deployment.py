"""The plan of a deployment: a model behind an address until it is taken down. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from ftsdk.contract.documents import Storage
from ftsdk.contract.json_data import from_data
from ftsdk.contract.spec_document import SpecDocument
from ftsdk.engines.base import Layout
from ftsdk.engines.programs.render import model_arguments
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.facts import Facts, ModelFacts
from ftsdk.plan import budgets
from ftsdk.plan.build import digest_of, estimate_of
from ftsdk.sizing.estimate import Estimate
from ftsdk.spec import JobSpec, Serve
from ftsdk.storage.transfers import Copy, Upload

PORT: Final = 8080
"""Port of the server in its container, as SageMaker asks for it."""
SERVED_AS: Final = "model"
"""The model's name in requests."""
FOLDER: Final = "deployments"
"""Part of a deployment's URI that distinguishes it from a job's."""
NOT_RUN: Final = "rendered, not run: no service of this kind has answered a request in the project's tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPlan:
    """Everything that `ftsdk deploy` does."""

    backend: str
    uri: str
    """`BACKEND://deployments/NAME`, with the backend's scope before it."""
    name: str
    """The platform's name of it, which exists once."""
    digest: str
    """SHA-256 over the spec and the content of its local input files."""
    request: Mapping[str, Any]
    """The platform's own requests, by their names."""
    spec: SpecDocument
    options: Mapping[str, object]
    uploads: tuple[Upload, ...] = ()
    copies: tuple[Copy, ...] = ()
    storage: Storage = field(default_factory=Storage)
    estimate: Estimate = field(default_factory=Estimate)
    """Memory of one server."""
    usd_per_hour: float | None = None
    """US dollars per hour for the least number of servers; None is unknown, 0 where nothing runs without requests."""
    warnings: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    """URIs of the jobs that made the models, as far as their records say."""

    def to_json(self) -> dict[str, object]:
        """JSON data; `from_json` is its inverse."""
        return {**asdict(self), "estimate": self.estimate.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> DeploymentPlan:
        """Read what `to_json` wrote."""
        return from_data(cls, data)


def serving(spec: JobSpec) -> Serve:
    """The program of a deployment's spec. Raises SpecError for another one, or if it has no sensible replicas."""
    program = spec.program
    if not isinstance(program, Serve):
        raise SpecError(f"program {program.type}: only `serve` is deployed; run the others with `ftsdk submit`.")
    if program.min_replicas > program.max_replicas:
        raise SpecError(
            f"program.min_replicas {program.min_replicas} is more than max_replicas {program.max_replicas}."
        )
    if spec.secrets:
        raise UnsupportedError("secrets: a server gets none; for a base model behind a login, deploy the merged model.")
    if spec.resources.num_nodes > 1:
        raise UnsupportedError("resources.num_nodes: a server runs on one machine; use replicas for more requests.")
    return program


def refuse(backend: str, spec: JobSpec, *, beside: str = "", zero: str = "", scaling: str = "") -> None:
    """Raise UnsupportedError for what a platform cannot do; each reason is empty where it can."""
    program = serving(spec)
    requested = {
        "a second model (--beside)": (program.beside is not None, beside),
        "servers that stop while nobody asks (min_replicas 0)": (program.min_replicas == 0, zero),
        "a changing number of servers": (program.min_replicas != program.max_replicas, scaling),
    }
    for what, (wanted, reason) in requested.items():
        if wanted and reason:
            raise UnsupportedError(f"The {backend} backend cannot do {what}: {reason}.")


def server_environment(spec: JobSpec, model: ModelFacts, layout: Layout) -> str:
    """The value of `contract.ENV_SERVE` in the server's container."""
    arguments = {key: value for key, value in model_arguments(spec, model, layout).items() if value is not None}
    return json.dumps({"model": arguments, "name": SERVED_AS, "host": "0.0.0.0", "port": PORT}, separators=(",", ":"))


def deployment_digest(spec: JobSpec, facts: Facts) -> str:
    """SHA-256 over what is deployed and on what, whatever folder the model's path was written from."""
    content = digest_of(spec.model_copy(update={"model": facts.model.address}), facts)
    return hashlib.sha256(f"{content} {spec.resources.model_dump_json()}".encode()).hexdigest()


def deployment(
    spec: JobSpec,
    facts: Facts,
    *,
    backend: str,
    scope: str,
    request: Mapping[str, object],
    options: Mapping[str, object],
    machine_usd_per_hour: float | None = None,
    uploads: tuple[Upload, ...] = (),
    copies: tuple[Copy, ...] = (),
    storage: Storage | None = None,
    warnings: tuple[str, ...] = (),
) -> DeploymentPlan:
    """Combine a spec and a platform's requests. `machine_usd_per_hour` is the price of one machine, if it is known."""
    program = serving(spec)
    servers = program.min_replicas * (2 if program.beside else 1)
    price = budgets.price_of_job(
        spec.budget, backend=backend, num_nodes=max(1, servers), options=options,
        known=machine_usd_per_hour,
    )  # fmt: skip
    return DeploymentPlan(
        backend=backend,
        uri=f"{backend}://{scope + '/' if scope else ''}{FOLDER}/{spec.name}",
        name=spec.name,
        digest=deployment_digest(spec, facts),
        request=request,
        spec=spec.to_json(),
        options=options,
        uploads=uploads,
        copies=copies,
        storage=storage or Storage(),
        estimate=estimate_of(spec, facts),
        usd_per_hour=0.0 if price is not None and not servers else price,
        warnings=warnings,
        jobs=tuple(str(model.lineage.get("job")) for model in facts.models.values() if model.lineage),
    )
