"""The parts of a plan that all backends share: names, digest, the job document. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from ftsdk import contract
from ftsdk.contract.documents import CheckpointPolicy, InputFile, JobDocument, Storage
from ftsdk.engines import advice, render
from ftsdk.engines.base import Layout, Rendered
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.facts import Facts, ModelFacts, platforms
from ftsdk.plan import Copy, Plan, Upload, budgets, hubs, start, tracking
from ftsdk.plan.origin import origin_of, placed
from ftsdk.sizing import Estimate, estimate_job, spot
from ftsdk.sizing.catalogue import card_named_by_driver
from ftsdk.sizing.forward import estimate_forward
from ftsdk.sizing.price.prices import known_prices
from ftsdk.spec import JobSpec
from ftsdk.spec.program import Evaluate, PythonFile, Train

OWN_MTBF_HOURS = 24.0
"""Assumed mean time between interruptions on capacity that is not spot: reboots, crashes, power failures."""
DIGEST_IN_NAME = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The parts of a plan that do not depend on the backend's request."""

    name: str
    digest: str
    rendered: Rendered
    document: JobDocument
    estimate: Estimate
    """Memory, time and price as far as they are known."""


NOT_IN_THE_MODEL: Any = {
    "timeout_hours": True,
    "hang_minutes": True,
    "checkpoint": True,
    "retry": True,
    "budget": True,
    "tracking": True,
    "verdict": True,
    "secrets": True,
    "resources": {"spot", "disk_gb", "memory_gb", "elastic"},
}
"""Fields that change how a job runs but not the model: with another time limit a job continues from its checkpoint."""


def digest_of(spec: JobSpec, facts: Facts) -> str:
    """SHA-256 over what the model depends on: the spec and the content of its local input files, not their paths."""
    originals = {source.file: source.original for source in (*facts.train, *facts.eval) if source.original}
    named = (originals.get(file) or file for file in facts.files)
    paths = {file.path: file.sha256 for file in named}
    relative = {path: PurePath(path).name for path in paths}
    written = json.dumps(spec.model_dump(mode="json", exclude=NOT_IN_THE_MODEL), sort_keys=True)
    contents = sorted((relative[path], digest) for path, digest in paths.items())
    return hashlib.sha256(json.dumps([written, contents, facts.nonce]).encode()).hexdigest()


def job_name(spec: JobSpec, digest: str) -> str:
    """`label-digest8`, at most 63 characters."""
    return f"{spec.name}-{digest[:DIGEST_IN_NAME]}"


def draft(
    spec: JobSpec,
    facts: Facts,
    *,
    digest: str,
    backend: str,
    layout: Layout,
    nproc_per_node: int,
    grace_s: float,
    restarts: bool = False,
    after_save: str = "exit",
    storage: Storage | None = None,
    scope: str = "",
    network_gb_s: float | None = None,
) -> Draft:
    """Render the trainer's configuration and the job document for a layout.

    `scope` is the part of the backend for which a probe may have measured something: a cluster; the storage's region
    if it is left out.
    With `restarts`, the supervisor restarts a crashed trainer itself; use it where the platform does not. `storage` is
    how the job reaches a durable address. `network_gb_s` is the traffic between nodes per accelerator, if known.
    """
    rendered = _rendered(spec, facts, layout)
    region = (storage or {}).get("region", "")
    probed = platforms.warnings(platforms.of(facts.platforms, backend, scope or region), grace_s=grace_s)
    hub_warnings = hubs.warnings(facts, region, spec.env)
    rendered = replace(rendered, warnings=(*rendered.warnings, *probed, *hub_warnings, *start.notes(facts)))
    name = job_name(spec, digest)
    document = JobDocument(
        contract=contract.VERSION,
        name=name,
        digest=digest,
        backend=backend,
        base_model=facts.model.base,
        trainer=rendered.trainer,
        config=rendered.config,
        dataset_info=rendered.dataset_info,
        inputs=[InputFile(path=layout.inside(file.path), bytes=file.bytes, sha256=file.sha256) for file in facts.files],
        durable=layout.durable,
        storage=storage or {},
        scratch=layout.scratch,
        nproc_per_node=nproc_per_node,
        num_nodes=spec.resources.num_nodes,
        checkpoint=_cadence(spec),
        wandb=tracking.wandb(spec, f"{name}-{backend}", rendered.config),
        cloudwatch=tracking.cloudwatch(spec.tracking, f"{name}-{backend}"),
        trackers=tracking.others(spec, f"{name}-{backend}", layout.durable),
        env=dict(spec.env),
        grace_s=grace_s,
        after_save=after_save,
        timeout_s=spec.timeout_hours * 3600 if spec.timeout_hours else None,
        budget_s=None,
        restarts=spec.retry.retries if restarts else 0,
        restart_on=sorted(contract.RETRIED[spec.retry.on] - contract.PREEMPTIONS) if restarts else [],
        start_from=start.start_of(spec, facts, layout),
        elastic=_elastic(spec, rendered),
        hang_s=spec.hang_minutes * 60 if spec.hang_minutes else None,
        contents=sorted({kind for source in facts.train for kind in source.contents}),
        notes=[],
        origin=origin_of(spec, facts),
    )
    if not spec.verdict:
        document["verdict"] = False
    estimate = estimate_of(spec, facts, network_gb_s)
    return Draft(name=name, digest=digest, rendered=rendered, document=document, estimate=estimate)


def _elastic(spec: JobSpec, rendered: Rendered) -> bool:
    """Raises UnsupportedError where the number of processes cannot change."""
    fits = spec.sharding.type == "ddp" and spec.resources.num_nodes == 1 and rendered.trainer == "llamafactory"
    if spec.resources.elastic and not fits:
        raise UnsupportedError(
            "resources.elastic: only trainings of LLaMA-Factory on one node with `sharding: ddp` can go on with fewer "
            "accelerators; leave it out."
        )
    return spec.resources.elastic


def _rendered(spec: JobSpec, facts: Facts, layout: Layout) -> Rendered:
    if not isinstance(spec.program, Train):
        return render(spec, facts, layout)
    spec, epoch_warnings = advice.with_epochs(spec, facts)
    rendered = render(spec, facts, layout)
    return replace(rendered, warnings=(*rendered.warnings, *epoch_warnings, *advice.notes(spec, facts)))


@dataclass(frozen=True, slots=True)
class DataStatistics:
    """Statistics of the training data that an estimate needs; None is unknown."""

    rows: int | None
    mean_tokens: float | None
    max_tokens: int | None


def data_statistics(facts: Facts) -> DataStatistics:
    """Number of rows and token lengths over all training sources."""
    rows = [source.num_rows for source in facts.train]
    total = sum(count for count in rows if count) if None not in rows else None
    if facts.lengths is None:
        return DataStatistics(total, None, None)
    return DataStatistics(facts.lengths.num_rows, facts.lengths.mean_tokens, facts.lengths.max_tokens)


def rows_read(spec: JobSpec, facts: Facts) -> int | None:
    """Number of rows that an evaluation or a generation reads; None if unknown."""
    sources, dataset = facts.eval or facts.train, spec.dataset
    counts = [source.num_rows for source in sources]
    total = None if not counts or None in counts else sum(count for count in counts if count)
    if facts.eval or not isinstance(spec.program, Evaluate):
        return total
    if dataset.eval_rows:
        return dataset.eval_rows
    return round(total * dataset.eval_fraction) if total and dataset.eval_fraction else total


def estimate_of(spec: JobSpec, facts: Facts, network_gb_s: float | None = None) -> Estimate:
    """Estimate the job on the spec's accelerator, else on this machine's GPU."""
    data = data_statistics(facts)
    here = next(iter(facts.machine.accelerators), None)
    card = spec.resources.accelerator or (card_named_by_driver(here) if here else None)
    if isinstance(spec.program, PythonFile):
        return Estimate(card=card, unknown=("memory and time of a Python file",))
    try:
        if not isinstance(spec.program, Train):
            based = spec.model_copy(update={"model": facts.model.base})  # an adapter's address tells no size
            rows = rows_read(spec, facts)
            return estimate_forward(based, facts.model.config, card, num_rows=rows, mean_tokens=data.mean_tokens)
        return estimate_job(
            spec, config=facts.model.config, num_rows=data.rows, mean_tokens=data.mean_tokens,
            max_tokens=data.max_tokens, card=card, prices=known_prices(facts.prices),
            network_gb_s=network_gb_s,
        )  # fmt: skip
    except SpecError as problem:  # the backend may have an accelerator that the tables lack
        return Estimate(unknown=(str(problem),))


def staged(facts: Facts, root: str) -> dict[str, str]:
    """Path of each local input -> its path below `root` in the job, where this machine's paths do not exist."""
    inputs: dict[str, str] = {}
    for role, model in facts.models.items():
        prefix = "" if role == "model" else f"{role}-"
        if model.kind == "path" and model.address not in inputs:
            inputs[model.address] = f"{root}/{prefix}model"
        if model.base not in (model.address, *inputs) and base_is_here(model):
            inputs[model.base] = f"{root}/{prefix}base"
    data = [source.file for source in (*facts.train, *facts.eval) if source.file]
    inputs |= {file.path: f"{root}/data/{number}/{_file_name(file.path)}" for number, file in enumerate(data)}
    inputs |= _staged_rewards(facts, f"{root}/rewards")
    attached = {
        item.path: f"{root}/beside/{number}/{_file_name(item.path)}" for number, item in enumerate(facts.attached)
    }
    return inputs | {path: target for path, target in attached.items() if path not in inputs}


def _staged_rewards(facts: Facts, root: str) -> dict[str, str]:
    """Files of one folder stay in one folder, and what they import keeps its place below it: Python looks there."""
    paths = [file.path for file in facts.reward_files.values()]
    folders = list(dict.fromkeys(_folder(path) for path in paths))
    staged = {path: f"{root}/{folders.index(_folder(path))}/{_file_name(path)}" for path in paths}
    for path, imports in facts.reward_imports.items():
        beside = _folder(staged[path])
        staged |= {file.path: f"{beside}/{name}" for name, file in imports.items() if file.path not in staged}
    return staged


def _folder(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[0]


def base_is_here(model: ModelFacts) -> bool:
    """Whether the base model is a folder on this machine; the base of an adapter may be a hub's."""
    return any(file.path.startswith((f"{model.base}/", f"{model.base}\\")) for file in model.files)


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def plan_from(
    draft: Draft,
    spec: JobSpec,
    *,
    backend: str,
    scope: str = "",
    request: Mapping[str, object],
    options: Mapping[str, object],
    uploads: tuple[Upload, ...] = (),
    copies: tuple[Copy, ...] = (),
    storage: Storage | None = None,
    warnings: tuple[str, ...] = (),
    machine_usd_per_hour: float | None = None,
    image: str | None = None,
) -> Plan:
    """Combine a draft and a backend's request.

    `storage` is how this machine reaches the targets of `uploads` and `copies` and the job's durable address.
    `warnings` are the backend's own. `machine_usd_per_hour` is the price of one machine by the backend's tables, for
    the capacity (spot or on demand) that the request names; the option `price_usd_per_hour` takes precedence.
    `image` is the container image that the job runs in. Raises SpecError for a limit in US dollars without a price.
    """
    usd_per_hour = budgets.price_of_job(
        spec.budget,
        backend=backend,
        num_nodes=spec.resources.num_nodes,
        options=options,
        known=machine_usd_per_hour,
    )
    uri = f"{backend}://{scope + '/' if scope else ''}{draft.name}"
    document = placed(draft.document, uri, options, image)
    return Plan(
        backend=backend,
        uri=uri,
        name=draft.name,
        digest=draft.digest,
        request=request,
        document={**document, "budget_s": budgets.left_s(spec.budget, usd_per_hour)},
        trainer_config=draft.rendered.config,
        spec=spec.to_json(),
        options=options,
        secrets=spec.secrets,
        uploads=uploads,
        storage=storage or Storage(),
        copies=copies,
        estimate=draft.estimate,
        warnings=(*draft.rendered.warnings, *budgets.warnings(spec.budget, draft.estimate, usd_per_hour), *warnings),
        usd_per_hour=usd_per_hour,
        checked=draft.rendered.checked,
    )


def _cadence(spec: JobSpec) -> CheckpointPolicy:
    """`auto` unless the spec gives minutes or steps; `save_steps` is LLaMA-Factory's name for the latter."""
    requested = spec.checkpoint
    steps = requested.every_steps or spec.hyperparameters.save_steps
    fixed = steps is not None or requested.every_minutes is not None
    mtbf_hours = spot.MTBF_HOURS if spec.resources.spot else OWN_MTBF_HOURS
    return CheckpointPolicy(
        every_minutes=requested.every_minutes,
        every_steps=steps,
        mtbf_hours=None if fixed else mtbf_hours,
        keep=requested.keep,
    )
