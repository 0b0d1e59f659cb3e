"""The lineage of a model as a tree: what it was made from, and the jobs of this machine that used it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ftsdk.contract.lineage import LineageRecord, OriginFile
from ftsdk.contract.release import __version__
from ftsdk.jobs import journal
from ftsdk.models.deployment import recorded
from ftsdk.plan import Plan

OPENLINEAGE_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
MODEL_ROLES = ("model", "reward_model")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """A model, a base model, or data."""

    kind: str
    """`model`, `base model`, `train`, `eval`, `reward`, `attached`, `used by` or `deployed as`."""
    name: str
    detail: str = ""
    above: tuple[LineageNode, ...] = ()
    """What it was made from; for `used by`, the jobs that used that job's model in turn."""

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        above = [node.to_json() for node in self.above]
        return {"kind": self.kind, "name": self.name, "detail": self.detail, "above": above}

    def lines(self) -> Iterator[str]:
        """The tree as text."""
        yield " ".join(filter(None, (self.kind, self.name, f"({self.detail})" if self.detail else "")))
        for node in self.above:
            is_last = node is self.above[-1]
            first, *rest = node.lines()
            yield f"{'└─' if is_last else '├─'} {first}"
            yield from (f"{'  ' if is_last else '│ '} {line}" for line in rest)


def ancestry(record: LineageRecord) -> LineageNode:
    """What a model was made from: data, base model, and the models that ftsdk made before it."""
    parents = tuple(ancestry(parent) for parent in record.get("parents", []))
    data = (file for file in record.get("inputs", []) if file["role"] not in MODEL_ROLES)
    base = () if parents else (_base(record),)
    above = (*map(_data, data), *base, *parents)
    return LineageNode(kind="model", name=record.get("job") or record["name"], detail=_method(record), above=above)


def descendants(job: str, plans: dict[str, Plan] | None = None) -> tuple[LineageNode, ...]:
    """What this machine has made of a job's model: the jobs that read it, with theirs in turn, and deployments."""
    known = {plan.uri: plan for plan in journal.plans()} if plans is None else plans
    rest = {uri: plan for uri, plan in known.items() if uri != job}
    users = [plan for plan in rest.values() if job in _parents(plan)]
    jobs = (
        LineageNode(kind="used by", name=plan.uri, detail=_verb(plan), above=descendants(plan.uri, rest))
        for plan in users
    )
    deployed = (plan.uri for plan in recorded() if job in plan.jobs)
    return (*jobs, *(LineageNode(kind="deployed as", name=uri) for uri in deployed))


def openlineage_event(record: LineageRecord) -> dict[str, object]:
    """The job's COMPLETE event as OpenLineage's specification 2-0-2 defines it."""
    job = record.get("job") or record["name"]
    finished = datetime.fromtimestamp(record.get("finished_at", 0.0), UTC)
    inputs = [{"namespace": "file", "name": f"{file['name']}@sha256:{file['sha256']}"} for file in record["inputs"]]
    return {
        "eventType": "COMPLETE",
        "eventTime": finished.isoformat(),
        "producer": f"https://pypi.org/project/ftsdk/{__version__}",
        "schemaURL": OPENLINEAGE_SCHEMA,
        "run": {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{job}#{len(record.get('attempts', []))}"))},
        "job": {"namespace": f"ftsdk.{record['backend']}", "name": record["name"]},
        "inputs": [*inputs, {"namespace": "model", "name": record.get("base_model", "")}],
        "outputs": [{"namespace": f"ftsdk.{record['backend']}", "name": f"{job}/model"}],
    }


def _verb(plan: Plan) -> str:
    """What a job does: its method, or its program where it trains nothing."""
    program = plan.spec.get("program")
    return program["type"] if program else plan.spec["method"]["stage"]


def _parents(plan: Plan) -> set[str]:
    origin = plan.document.get("origin")
    return {str(parent.get("job")) for parent in origin["parents"]} if origin else set()


def _base(record: LineageRecord) -> LineageNode:
    files = [file for file in record.get("inputs", []) if file["role"] == "model"]
    revision = record.get("revision")
    described = f"{len(files)} files, {sum(file['bytes'] for file in files) / 1e6:.1f} MB" if files else ""
    detail = f"revision {revision}" if revision else described
    return LineageNode(kind="base model", name=record.get("base_model", "unknown"), detail=detail)


def _data(file: OriginFile) -> LineageNode:
    detail = f"{file['bytes']:,} bytes, sha256 {file['sha256'][:12]}"
    return LineageNode(kind=file["role"], name=file["name"], detail=detail)


def _method(record: LineageRecord) -> str:
    spec = record.get("spec")
    if not spec:
        return ""
    tuning = spec["tuning"]
    rank = f" rank {tuning['rank']}" if "rank" in tuning else ""
    return f"{spec['method']['stage']}, {tuning['type']}{rank}, step {record.get('step')}"
