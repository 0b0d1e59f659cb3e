"""Reading a job's outcome, log and metrics for what went wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final, cast

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.jobs.job import Job
from ftsdk.jobs.live import background
from ftsdk.jobs.status import Status
from ftsdk.reports.diagnosis.catalogue import Cause, Sureness, recognised
from ftsdk.spec import Hyperparameters
from ftsdk.storage.records import all_metrics
from ftsdk.terminal.figures import Concern, Figures, concerns

LAST_LINES: Final = 5000
"""Of the log; a failure stands at its end."""
EVIDENCE_CHARACTERS: Final = 300
ORDER: Final[tuple[Sureness, ...]] = ("sure", "likely", "possible")
ADVICE: Final[Mapping[str, tuple[str, Sureness, str]]] = {
    "not_finite": ("the training diverged", "sure", "lower learning_rate, raise warmup_steps, train in bf16"),
    "spike": ("the loss jumped", "possible", "look at the rows of that step; lower learning_rate or max_grad_norm"),
    "gradient": ("the gradients explode", "likely", "lower learning_rate, set max_grad_norm to 1"),
    "overfitting": ("the model overfits", "likely", "train fewer epochs, add rows, or take the best checkpoint"),
    "slow": (
        "it is slower than estimated",
        "possible",
        "look for a slow data loader, throttling, or missing FlashAttention",
    ),
    "memory": ("GPU memory is nearly full", "possible", "lower the batch before a longer row ends the job"),
    "stalled": ("there is no progress", "likely", "see the stacks in the log; docs/hangs.md explains them"),
    "budget": ("the budget will not suffice", "likely", "raise it, or lower the number of epochs"),
}
"""Kind of a concern -> what it means, how sure that is, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Something that explains how a job went."""

    code: str
    what: str
    evidence: str
    sure: Sureness
    do: str
    command: str = ""
    """What to run next; empty where a person has to change something first."""

    def to_json(self) -> dict[str, object]:
        """JSON data."""
        return asdict(self)


def diagnose(job: Job) -> list[Explanation]:
    """What the job's outcome, log and metrics show, the surest first; empty for a job that is fine."""
    status = Status.of(job)
    findings = [*_of_log(status), *_of_metrics(status)]
    if status.info.state is JobState.FAILED and not any(finding.sure == "sure" for finding in findings):
        findings.append(_of_outcome(status))
    return sorted(findings, key=lambda finding: ORDER.index(finding.sure))


def _of_log(status: Status) -> Iterator[Explanation]:
    """Causes in the last lines of a job that did not succeed, each with the first line that shows it."""
    if status.info.state is JobState.SUCCEEDED:
        return
    seen: set[str] = set()
    texts = (line.text for line in status.job.logs())
    for text in [*deque(texts, maxlen=LAST_LINES), status.info.message]:
        if contract.parse_event(text) is None:
            for cause in recognised(text):
                if cause.code not in seen:
                    seen.add(cause.code)
                    yield _finding(status, cause, text)


def _finding(status: Status, cause: Cause, line: str) -> Explanation:
    changes = _fitting(status) if cause.code == "gpu_memory" else cause.changes
    arguments = "".join(f" --set {change}" for change in changes)
    return Explanation(
        code=cause.code,
        what=cause.what,
        evidence=line.strip()[:EVIDENCE_CHARACTERS],
        sure=cause.sure,
        do=cause.do,
        command=f"ftsdk submit SPEC -b {status.job.backend.name}{arguments}" if arguments else "",
    )


def _fitting(status: Status) -> tuple[str, ...]:
    """The smallest change that fits by the estimate, else half the batch with twice the accumulation."""
    plan = status.job.plan
    if plan is None:
        return ()
    if plan.estimate.advice:
        return plan.estimate.advice.changes
    settings = Hyperparameters.model_validate(plan.spec["hyperparameters"])
    batch, accumulation = settings.per_device_train_batch_size, settings.gradient_accumulation_steps
    if batch > 1:
        half = batch // 2
        return f"per_device_train_batch_size={half}", f"gradient_accumulation_steps={accumulation * batch // half}"
    return (f"cutoff_len={settings.cutoff_len // 2}",)


def _of_metrics(status: Status) -> Iterator[Explanation]:
    figures = Figures(phase="training", state="" if not status.info.state.terminal else str(status.info.state))
    for report in all_metrics(status.job.store):
        figures.take(cast(contract.Event, {**report, "event": contract.EVENT_METRICS}), status.now)
    for concern in concerns(figures, background(status.job), status.now):
        yield _of_concern(concern)


def _of_concern(concern: Concern) -> Explanation:
    what, sure, do = ADVICE[concern.kind]
    return Explanation(code=concern.kind, what=what, evidence=concern.sentence, sure=sure, do=do)


def _of_outcome(status: Status) -> Explanation:
    """What the supervisor or the platform recorded, where nothing surer was found."""
    repeats = status.info.reason in contract.REPEATING_REASONS
    return Explanation(
        code=str(status.info.reason),
        what=f"the job ended with the reason {status.info.reason}",
        evidence=status.info.message,
        sure="likely",
        do="change what the message names" if repeats else "submit it again; read the end of the log if it repeats",
        command=f"ftsdk logs {status.job.uri}",
    )
