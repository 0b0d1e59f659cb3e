"""What a step of a pipeline does once the steps that it needs have ended: its final plan, its push, its metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from ftsdk import backends, contract
from ftsdk.errors import FtsdkError, JobNotFoundError
from ftsdk.estimator import Estimator
from ftsdk.jobs.job import Job
from ftsdk.models.evaluation import FILE as EVALUATION
from ftsdk.plan import Plan
from ftsdk.spec.loading import parse
from ftsdk.storage.records import read_json
from ftsdk.studies.document import StepDocument, StudyRecord
from ftsdk.studies.jobs import job_of
from ftsdk.studies.pipelines.early import with_results
from ftsdk.studies.pipelines.readiness import Values, input_of
from ftsdk.studies.pipelines.step import SCHEME, name_of, references

METRICS = "metrics.json"
"""File of a Python step's with its metrics: name -> number."""


def late_plan(record: StudyRecord, step: StepDocument, values: Values) -> Plan:
    """The plan of a step whose inputs exist. Raises what a plan and the checks before a submit raise."""
    assert step["spec"] is not None  # a push is not planned
    addresses = {reference: _address(record, step, reference, values) for reference in references(step["spec"])}
    spec = with_results(parse(step["spec"], where=f"step {step['name']}"), addresses)
    estimator = Estimator(spec, backend=backends.get(step["backend"], step["options"]), folder=step["folder"])
    try:
        facts = estimator.inspect()
        plan = estimator.plan(facts)
        estimator.check(facts, plan, **step["checks"])
    except FtsdkError as problem:
        raise type(problem)(f"Step {step['name']}: {problem}") from None
    return plan


def push(record: StudyRecord, number: int, step: StepDocument, values: Values) -> str:
    """Publish what a step is to publish, record how that ended, and return the sentence to show."""
    publication = step["push"]
    assert publication is not None
    reference = publication["model"]
    is_step = reference.startswith(SCHEME)
    try:
        job = _job(record, input_of(step, name_of(reference), values)) if is_step else Job.attach(reference)
        model = job.model()
        uri = model.push(publication["to"], private=not publication["public"], overwrite=publication["overwrite"])
    except FtsdkError as problem:
        record.write_end(number, {"time": time.time(), "state": "FAILED", "result": str(problem)})
        return f"FAILED {problem}"
    record.write_end(number, {"time": time.time(), "state": "SUCCEEDED", "result": uri})
    return f"SUCCEEDED {uri}"


def metrics_of(record: StudyRecord, name: str) -> Mapping[str, float]:
    """Metrics of a step that has succeeded: of its evaluation, of its metrics.json, else the last of its trainer."""
    job = _job(record, name)
    if evaluation := read_json(job.store, f"{contract.MODEL_DIR}/{EVALUATION}"):
        return {metric: float(measured["value"]) for metric, measured in evaluation["metrics"].items()}
    own = read_json(job.store, f"{contract.MODEL_DIR}/{METRICS}")
    reports = [own] if isinstance(own, dict) else job.metrics()
    values = {metric: value for report in reports for metric, value in report.items()}
    return {
        metric: float(value)
        for metric, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _address(record: StudyRecord, step: StepDocument, reference: str, values: Values) -> str:
    """The job of a reference, which stands for its model, or the address of a file that it made."""
    job = _job(record, input_of(step, name_of(reference), values))
    _, mark, file = reference.removeprefix(SCHEME).partition("/")
    if not mark:
        return job.uri
    model = job.model()
    if file not in model.files:
        raise JobNotFoundError(f"{reference}: the job {job.uri} has made no such file, only {', '.join(model.files)}.")
    return f"{model.uri}/{file}" if model.path is None else str(model.path / file)


def _job(record: StudyRecord, name: str) -> Job:
    steps = ((planned["number"], planned.get("step")) for planned in record.document["trials"])
    return job_of(record, next(number for number, step in steps if step and step["name"] == name))
