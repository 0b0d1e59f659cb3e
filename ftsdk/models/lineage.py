"""The lineage of a model as a reader sees it: its record, what was measured since, and records of older releases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import cast

from ftsdk import contract
from ftsdk.contract.documents import JobDocument
from ftsdk.contract.lineage import VERDICT_FILE, EvaluationRecord, LineageRecord, MeasuredMetric, ModelFile
from ftsdk.runtime.storage.base import Store
from ftsdk.storage import records

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")


def read(store: Store, document: JobDocument, job_uri: str) -> LineageRecord:
    """The record of the model in a job's folder, with its evaluations.

    A model of an earlier release has no record; what its job document and its manifest say stands for one.
    """
    record = records.read_json(store, f"{contract.MODEL_DIR}/{contract.LINEAGE_FILE}") or _from_document(document)
    files = record.get("files") or manifest(store)
    return cast(LineageRecord, {**record, "job": job_uri, "files": files, "evaluations": evaluations(store)})


def read_folder(folder: Path) -> LineageRecord | None:
    """The record in a folder with a model; None if it has none."""
    try:
        data = json.loads((folder / contract.LINEAGE_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return cast(LineageRecord, data) if isinstance(data, dict) else None


def manifest(store: Store) -> dict[str, ModelFile]:
    """Size and SHA-256 of every file of the model in a job's folder; empty if the job stored no manifest."""
    listed = records.read_json(store, f"{contract.MODEL_DIR}/{contract.manifest_key(0)}") or {}
    return {name: ModelFile(bytes=size, sha256=digest) for name, (size, digest) in listed.get("files", {}).items()}


def evaluations(store: Store) -> list[EvaluationRecord]:
    """The training's verdict, then the model's evaluations in the order of their names, each with its `name`."""
    keys = [item.key for item in store.list(f"{contract.EVALUATIONS_DIR}/") if item.key.endswith(".json")]
    verdict = ("verdict", records.read_json(store, f"{contract.MODEL_DIR}/{VERDICT_FILE}"))
    rows = (verdict, *((PurePosixPath(key).stem, records.read_json(store, key)) for key in keys))
    return [cast(EvaluationRecord, {"name": name, **record}) for name, record in rows if isinstance(record, dict)]


def measured(evaluation: EvaluationRecord) -> dict[str, MeasuredMetric]:
    """Metric -> its `value`, and what it is compared with, of one evaluation's record."""
    metrics = evaluation.get("metrics", {})
    return {name: value if isinstance(value, dict) else {"value": value} for name, value in metrics.items()}


def weights(record: LineageRecord) -> dict[str, str]:
    """File name -> SHA-256 of the files that hold weights."""
    return {name: file["sha256"] for name, file in record.get("files", {}).items() if name.endswith(WEIGHTS)}


def ancestors(record: LineageRecord) -> Iterator[LineageRecord]:
    """The records of the models that this one was trained from, the nearest first."""
    for parent in record.get("parents", []):
        yield parent
        yield from ancestors(parent)


def _from_document(document: JobDocument) -> LineageRecord:
    known = LineageRecord(
        name=document["name"],
        digest=document["digest"],
        backend=document["backend"],
        base_model=document["base_model"],
        num_nodes=document["num_nodes"],
        processes_per_node=document["nproc_per_node"],
    )
    return cast(LineageRecord, {**document.get("origin", {}), **known})
