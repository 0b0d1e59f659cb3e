"""Job: the handle on a training, wherever it runs. A URI is all it needs, so any process can attach to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from ftsdk import contract
from ftsdk.backends.base import JobInfo, JobState, SupportsNativeHandle, SupportsTerminal
from ftsdk.errors import FtsdkError, UnsupportedError
from ftsdk.jobs import metrics, programs, resident, watching
from ftsdk.jobs.metrics import MetricRecords
from ftsdk.jobs.reference import JobReference
from ftsdk.jobs.status import Status
from ftsdk.models.model import Model
from ftsdk.storage import records
from ftsdk.terminal import notebook


class Job(JobReference):
    """A training. `job.wait()`, `job.logs(follow=True)`, `job.metrics()`, `job.cancel()`, `job.model()`."""

    # --- state ---------------------------------------------------------------------------------------------
    @property
    def state(self) -> JobState:
        """PENDING, RUNNING, SUCCEEDED, FAILED or CANCELLED, now."""
        return self.info().state

    def done(self) -> bool:
        """Whether the newest attempt has ended."""
        return self.state.terminal

    def status(self) -> Status:
        """Progress, time and cost to the end, attempts, what is left of the budget."""
        return Status.of(self)

    def wait(
        self, timeout_s: float | None = None, *, on_decision: watching.OnDecision = watching.ignore_decision
    ) -> JobInfo:
        """Wait until the job is over, starting again what its `retry` says, and return its last state.

        `on_decision` is called with what follows each attempt that has ended. Raises WaitTimeoutError after
        `timeout_s` seconds; the job goes on.
        """
        return watching.wait(self, timeout_s, on_decision=on_decision)

    def watch(self, *, every_s: float = resident.WATCH_EVERY_S) -> Iterator[resident.WatchEvent]:
        """Look at the job every `every_s` seconds until it is over, starting again what its `retry` says.

        Yields each new decision.
        """
        return resident.watch([self.uri], every_s=every_s)

    def result(self, timeout_s: float | None = None) -> Model:
        """Wait for the model. Raises JobFailedError if there will be none, WaitTimeoutError after `timeout_s`."""
        self.wait(timeout_s)
        return self.model()

    def cancel(self) -> None:
        """Ask the job to save its state and stop; returns at once. A failed job is not started again after this."""
        info = self.info()
        if info.state is JobState.FAILED:
            self.store.put_if_absent(contract.cancel_key(info.attempt), json.dumps({"time": time.time()}).encode())
        else:
            self.backend.cancel(self.name)

    def _repr_html_(self) -> str:
        """The job in a notebook: its state, its newest metrics and what it has cost."""
        try:
            status = self.status()
            rows = {**_state_rows(status.info), **_progress_rows(status)}
        except FtsdkError as problem:
            rows = {"problem": problem}
        return notebook.table(self.uri, rows)

    # --- output --------------------------------------------------------------------------------------------
    def events(self, *, follow: bool = False, after: str | None = None) -> Iterator[contract.Event]:
        """The structured events among the lines (see `ftsdk.contract`)."""
        for line in self.logs(follow=follow, after=after):
            if (event := contract.parse_event(line.text)) is not None:
                yield event

    def metrics(self) -> MetricRecords:
        """Metric records in the order of their steps, with `.to_pandas()`; a repeated step counts once, the last."""
        return metrics.from_reports(records.all_metrics(self.store))

    def model(self) -> Model:
        """The model that the job made. Raises JobFailedError if it has none (yet)."""
        return programs.model_of(self)

    # --- the platform --------------------------------------------------------------------------------------
    def terminal(self) -> str:
        """Address of a terminal in the job's container, for a WebSocket client; good for one use within seconds.

        Raises UnsupportedError where the platform has none, BackendError while no container runs.
        """
        if not isinstance(self.backend, SupportsTerminal):
            raise UnsupportedError(f"Job {self.uri}: the {self.backend.name} backend opens no terminals.")
        return self.backend.terminal(self.name)

    def native(self) -> object:
        """The vendor SDK's own object for the newest attempt, e.g. the SageMaker SDK's `TrainingJob`.

        Raises UnsupportedError for a backend whose vendor has no such object, NotInstalledError without its SDK.
        """
        if not isinstance(self.backend, SupportsNativeHandle):
            raise UnsupportedError(f"Job {self.uri}: the {self.backend.name} backend has no native job object.")
        return self.backend.native(self.name)


def _state_rows(info: JobInfo) -> dict[str, object]:
    return {
        "state": info.state,
        "reason": info.reason,
        "message": info.message,
        "attempt": info.attempt,
        "console": info.console_url,
    }


def _progress_rows(status: Status) -> dict[str, object]:
    latest, cost = status.latest, status.cost_usd
    return {
        "step": f"{latest['step']} of {latest['total_steps']}" if "total_steps" in latest else latest.get("step"),
        "loss": latest.get("loss"),
        "held-out loss": latest.get("eval_loss"),
        "hours": f"{status.hours:.2f}",
        "cost": None if cost is None else f"{cost:.2f} USD",
    }
