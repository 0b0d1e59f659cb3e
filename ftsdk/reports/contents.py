"""What a report shows: read from a job's folder, so the same on every machine that can read it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from ftsdk import contract
from ftsdk.backends.base import JobInfo
from ftsdk.contract.lineage import LineageRecord
from ftsdk.data.cache import check_summary
from ftsdk.errors import FtsdkError
from ftsdk.facts.sources import hashed_files
from ftsdk.jobs import history
from ftsdk.jobs.history import AttemptRecord
from ftsdk.jobs.job import Job
from ftsdk.jobs.metrics import MetricRecords
from ftsdk.models import lineage
from ftsdk.reports.reproducing import estimator_of

LAST_LINES = 60
MOST_LINE_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContents:
    """One job, as far as it has come."""

    uri: str
    info: JobInfo
    record: LineageRecord
    metrics: MetricRecords
    attempts: tuple[AttemptRecord, ...]
    last_lines: tuple[str, ...]
    """The end of the log, without events."""

    @property
    def name(self) -> str:
        """The job's name without its backend."""
        return self.uri.rpartition("/")[2]

    def figures(self) -> dict[str, object]:
        """The few figures at the top of the page, those that are known."""
        last = {name: value for row in self.metrics for name, value in row.items()}
        cost = history.cost_usd(self.attempts)
        shown = {
            "state": f"{self.info.state}{f' ({self.info.reason})' if self.info.reason else ''}",
            "base model": self.record.get("base_model"),
            "step": last.get("step"),
            "loss": _number(last.get("loss")),
            "held-out loss": _number(last.get("eval_loss")),
            "reward": _number(last.get("reward")),
            "hours": f"{history.hours(self.attempts):.3g}",
            "cost": None if cost is None else f"{cost:.2f} USD",
        }
        return {name: value for name, value in shown.items() if value is not None}


def gathered(job: str) -> ReportContents:
    """Everything about a job, by its URI or name. Raises JobNotFoundError for an unknown one."""
    attached = Job.attach(job)
    info = attached.info()
    return ReportContents(
        uri=attached.uri,
        info=info,
        record=lineage.read(attached.store, attached.document, attached.uri),
        metrics=attached.metrics(),
        attempts=history.history(attached.store, info, num_nodes=attached.document["num_nodes"], now=time.time()),
        last_lines=tuple(text[:MOST_LINE_CHARACTERS] for text in last_lines(attached, LAST_LINES)),
    )


def last_lines(job: Job, most: int) -> list[str]:
    """The end of a job's log, without events."""
    texts = (line.text for line in job.logs() if contract.parse_event(line.text) is None)
    return list(deque(texts, maxlen=most))


def data_findings(record: LineageRecord) -> list[str]:
    """What `ftsdk data check` says of the training data, if the same files are on this machine; a sentence each."""
    hashes = {file["sha256"] for file in record.get("inputs", []) if file["role"] == "train"}
    if not hashes or "spec" not in record:
        return []
    try:
        facts = estimator_of(record).inspect()
        train, held_out = hashed_files(facts.train), hashed_files(facts.eval)
        if {source.file.sha256 for source in facts.train if source.file} != hashes:
            return ["The files have changed since the training, so they are not checked again."]
        summary = check_summary(train, held_out, method=record["spec"]["method"]["stage"])
    except FtsdkError as problem:
        return [f"The data is not checked again: {problem}"]
    counts = ", ".join(f"{code} {count}" for code, count in summary.counts.items())
    return [f"Data check: {summary.verdict}{f' ({counts})' if counts else ''}.", *summary.first]


def _number(value: object) -> str | None:
    return f"{value:.4g}" if isinstance(value, int | float) else None
