"""One attempt on one node, from its inputs to its outcome record."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ftsdk import contract
from ftsdk.contract.documents import Outcome
from ftsdk.contract.lineage import LineageRecord
from ftsdk.runtime import worker_protocol
from ftsdk.runtime.checkpoints import resume
from ftsdk.runtime.checkpoints.checkpoints import Identity
from ftsdk.runtime.checkpoints.lineage import lineage
from ftsdk.runtime.checkpoints.model import is_published, publish_model, published_files
from ftsdk.runtime.logs.lines import Log
from ftsdk.runtime.logs.log_position import LogPosition
from ftsdk.runtime.logs.masking import Mask
from ftsdk.runtime.logs.reporters import ReportUploader
from ftsdk.runtime.logs.sinks import Sink
from ftsdk.runtime.platforms import sagemaker
from ftsdk.runtime.storage import modelscope
from ftsdk.runtime.storage.base import STORAGE_RETRY
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.folder import delete_tree
from ftsdk.runtime.storage.waiting import BackgroundCall, within
from ftsdk.runtime.supervisor import hub_addresses, machine_check
from ftsdk.runtime.supervisor.clock import AttemptClock
from ftsdk.runtime.supervisor.hangs.watch import Hang, HangWatch
from ftsdk.runtime.supervisor.inputs import BadInputError, verify
from ftsdk.runtime.supervisor.node_checks.checks import NodeChecks
from ftsdk.runtime.supervisor.outcome.exit_evidence import (
    AttemptOutcome,
    ExitEvidence,
    finished,
    survived,
    unfinished,
    unpublished,
)
from ftsdk.runtime.supervisor.outcome.nodes import NodeFailure, Nodes
from ftsdk.runtime.supervisor.outcome.restarts import Restarts
from ftsdk.runtime.supervisor.progress import Progress
from ftsdk.runtime.supervisor.scratch import Scratch
from ftsdk.runtime.supervisor.signals import Signals
from ftsdk.runtime.supervisor.start import StartConfiguration
from ftsdk.runtime.supervisor.stop_requests import StopRequests
from ftsdk.runtime.supervisor.storage_watch import StorageWatch
from ftsdk.runtime.supervisor.trainer import command, oom_kills
from ftsdk.runtime.supervisor.trainer.process import TrainerProcess
from ftsdk.runtime.supervisor.trainer.process_tree import ProcessTree, Watchdog

TAIL_BYTES = 1 << 16
OTHER_NODES_TIMEOUT_S, PUBLISH_TIMEOUT_S = 30.0, 3600.0
"""After a training that was not stopped: how long to wait for other nodes' parts, and for a publish in all."""
STORAGE_TIMEOUT_S = 600.0
"""How long storage may be unreachable after the training."""
LAST_WRITES_S = 5.0
"""How long the log and the outcome record may take in any case."""
PUBLISH_POLL_S = 0.05
PARKED_S = 600.0
"""Longer than any platform's grace; if no SIGKILL follows, the notice was a false alarm and a restart is right."""


class AttemptRunner:
    """Runs one attempt of a job on this node and records its outcome."""

    def __init__(
        self,
        start: StartConfiguration,
        durable: Durable,
        signals: Signals,
        process_tree: ProcessTree,
        watchdog: Watchdog,
        sink: Sink,
    ) -> None:
        document, cluster = start.document, start.cluster
        self._start, self._durable, self._signals = start, durable, signals
        self._process_tree, self._watchdog, self._sink = process_tree, watchdog, sink
        self._storage_watch = StorageWatch(durable)
        self._node_checks = NodeChecks(document, durable, start.attempt, cluster.node_rank)
        self._clock = AttemptClock(durable, start.attempt, cluster.node_rank)
        self._mask = Mask(start.secrets.values())
        self._scratch = Scratch(document)
        self._trainer: TrainerProcess | None = None
        self._tail = b""
        self._node_failure: NodeFailure | None = None
        self._hang: Hang | None = None
        self._hang_watch: HangWatch | None = None
        self._nodes = Nodes(durable, start.attempt, cluster)
        self._stop_requests = StopRequests(durable, start.attempt)
        self._identity = _identity(start)
        position = LogPosition(durable, start.attempt, cluster.node_rank)
        keep = document["checkpoint"]["keep"]
        self._progress = Progress(durable, self._identity, self._scratch, position, keep=keep, wake=signals.wake)
        self._log = Log(
            durable,
            attempt=start.attempt,
            node=cluster.node_rank,
            sequence=max(position.sequence, (self._clock.starts - 1) * durable.lines_apart),
            segment=position.segment,
            mask=self._mask,
            on_event=self._on_event,
        )

    def run(self, environ: Mapping[str, str], restarts: Restarts) -> int | None:
        """Run the attempt and record its outcome; returns the exit code, or None if the attempt is to start again."""
        for warning in self._start.warnings:
            self._warn(warning)
        for note in self._start.document["notes"]:
            self._log.say(f"ftsdk: {note}")
        outcome = self._outcome(environ)
        if announcement := restarts.allow(outcome, starts=self._clock.starts, step=self._progress.step):
            self._warn(announcement)
            self._clock.tick(finally_=True)
            self._log.close()
            return None
        exit_code = self._record(outcome)
        if sagemaker.is_here(environ):
            self._notify_sagemaker(outcome, model=contract.ENV_MODEL_ARTIFACTS in environ)
        if outcome.state == "SUCCEEDED":
            self._scratch.clear()
        if outcome.state == "INTERRUPTED" and self._signals.stopped_at and self._start.document["after_save"] == "park":
            time.sleep(PARKED_S)  # ended by the platform's SIGKILL
        return exit_code

    def _outcome(self, environ: Mapping[str, str]) -> AttemptOutcome:
        failure = self._nodes.failure()
        if is_published(self._durable, self._identity.digest):
            return AttemptOutcome("SUCCEEDED", message="The model was already published.")
        return AttemptOutcome(*failure) if failure else self._prepare_and_train(environ)

    # --- before ---------------------------------------------------------------------------------------------
    def _prepare_and_train(self, environ: Mapping[str, str]) -> AttemptOutcome:
        self._log.event(contract.EVENT_PHASE, phase="preparing")
        document = self._start.document
        python_path = {**environ, **document["env"]}.get("PYTHONPATH", "")
        if problem := machine_check.machine_problem(document, python_path):
            return AttemptOutcome("FAILED", "bad_config", *problem)
        if bad_node := self._node_checks.start(environ):
            return bad_node
        try:
            verify(self._start.document["inputs"], lambda: self._signals.stopped_at is not None)
        except BadInputError as bad_input:
            hint = "Submit again: a new plan is made for the data as it is now."
            return AttemptOutcome("FAILED", "bad_data", str(bad_input), hint)
        if failure := self._fetch_from_hubs(environ):
            return failure
        survivors, left = self._process_tree.end_survivors(worker_protocol.ENV_TRAIN, str(self._scratch.train_file))
        if survivors:
            self._warn(f"{len(survivors)} processes of a previous attempt were still running and have been killed.")
        if left:
            return survived(left)
        self._scratch.create()
        try:
            checkpoint = self._restore_checkpoint()
        except resume.UnusableCheckpointError as unusable:
            hint = "Start it on the same number of processes again, or begin anew with --again."
            return AttemptOutcome("FAILED", "bad_config", str(unusable), hint)
        if self._signals.stopped_at is None and not self._stop_requests.is_cancelled():
            return self._train(environ, checkpoint)
        if (
            self._stop_requests.is_cancelled()
        ):  # also without a signal: PID 1 loses a SIGTERM that comes before our handler
            return AttemptOutcome("CANCELLED", "cancelled", "Cancelled before training began.")
        message = "Stopped from outside before training began."
        return AttemptOutcome("INTERRUPTED", "preempted", message, "Start it again.")

    def _fetch_from_hubs(self, environ: Mapping[str, str]) -> AttemptOutcome | None:
        """Download models and data from hubs that trainers do not support; returns an outcome if that fails."""
        document = self._start.document
        variables = {**environ, **document["env"], **self._start.secrets}
        try:
            hub_addresses.fetch(document, variables, lambda: self._signals.stopped_at is not None)
        except modelscope.DownloadStopped:
            return AttemptOutcome("INTERRUPTED", "preempted", "Stopped during a download.", "Start it again.")
        except OSError as problem:
            hint = "Check the name, the job's way to www.modelscope.cn, and MODELSCOPE_API_TOKEN in `secrets`."
            return AttemptOutcome("FAILED", "bad_config", f"A download from ModelScope failed: {problem}.", hint)
        return None

    def _restore_checkpoint(self) -> Path | None:
        """Restore the newest valid checkpoint to scratch; returns its folder, None if there is none."""
        config, output = self._start.document["config"], self._scratch.output
        commit = resume.restore_newest(self._durable, self._identity, output, config, self._warn)
        start = self._start.document.get("start_from")
        if commit is None and start:
            self._progress.step = start["step"]
            return resume.take_over(start, output)
        if commit is None:
            return None
        self._progress.saved_step = self._progress.step = commit.step
        return resume.local_folder(output, commit.step)

    # --- training -------------------------------------------------------------------------------------------
    def _train(self, environ: Mapping[str, str], checkpoint: Path | None) -> AttemptOutcome:
        document = self._start.document
        oom_kills_before = oom_kills.oom_kills()
        self._trainer = trainer = self._trainer_process()
        self._log.event(contract.EVENT_PHASE, phase="training", resume_step=self._progress.step)
        self._hang_watch = HangWatch(
            self._process_tree, self._scratch.run, document.get("hang_s"), num_nodes=document["num_nodes"]
        )
        uploader = ReportUploader(document, self._durable)
        train_file = self._scratch.write_job(self._start.attempt, checkpoint)
        status = trainer.run(
            command.argv(self._start),
            command.environment(self._start, environ, train_file),
            on_start=self._watchdog.set_leader,
            on_output=self._on_output,
            on_events=self._log.feed_events,
            on_round=self._on_round,
        )
        self._log.end_line()
        self._wait_for_publish(trainer)
        uploader.finish(self._time_left_s(time.monotonic(), STORAGE_TIMEOUT_S))
        evidence = ExitEvidence(
            status=status,
            records=worker_protocol.records(self._scratch.run),
            workers=trainer.workers,
            tail=self._mask(self._tail).decode("utf-8", "replace").splitlines(),
            oom_kills=oom_kills.oom_kills() - oom_kills_before,
            stopped=trainer.stopped,
            node_failure=self._node_failure,
            hang=self._hang.message if self._hang else "",
            cancelled=bool(trainer.stopped) and self._stop_requests.is_cancelled(),
            saved_step=self._progress.saved_step,
        )
        delete_tree(self._scratch.run)  # the workers' records are not masked
        return self._publish_model() if finished(evidence) else unfinished(evidence)

    def _trainer_process(self) -> TrainerProcess:
        document = self._start.document
        limits = {"timeout": document["timeout_s"], "budget": document["budget_s"]}
        return TrainerProcess(
            self._process_tree,
            self._signals,
            self._scratch.run,
            workers=0 if document["trainer"].endswith(".py") else document["nproc_per_node"],
            grace_s=document["grace_s"],
            limits_s={name: self._clock.left_s(limit) for name, limit in limits.items()},
        )

    def _on_output(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        self._log.feed(data)

    def _on_event(self, event: contract.Event) -> bool:
        if event["event"] != contract.EVENT_HEARTBEAT:
            return self._progress.on_event(event)
        if self._hang_watch:
            self._hang_watch.heartbeat(event)
        return False

    def _on_round(self) -> None:
        self._log.tick()
        self._clock.tick()
        for notice in (*self._sink.notices(), *self._storage_watch.notices()):
            self._warn(notice)
        if self._signals.stopped_at is None and self._stop_requests.poll():
            self._signals.request_stop()
        if self._trainer and not self._node_failure and (failure := self._nodes.failure()):
            self._warn(failure.message)
            self._node_failure = failure
            self._trainer.stop_for_node_failure()
        self._node_checks.log(self._log)
        self._end_if_hung()
        self._log_publishes()

    def _end_if_hung(self) -> None:
        if self._trainer is None or self._hang_watch is None or self._trainer.stopped or self._hang:
            return
        self._hang = self._hang_watch.check()
        if self._hang:
            self._trainer.kill_hung()
            self._log.end_line()
            self._warn(self._hang.message)
            self._log.feed(self._hang.stacks.encode("utf-8", "replace"))
            key = contract.stacks_key(self._start.attempt, self._identity.node, self._clock.starts)
            self._hang.store(self._durable, key, self._mask, self._start.document["grace_s"])

    def _log_publishes(self) -> None:
        for report in self._progress.published():
            if report.problem:
                self._warn(f"checkpoint {report.step} could not be published: {report.problem}.")
            else:
                seconds = round(report.seconds, 3)
                done = {"step": report.step, "seconds": seconds, "bytes": report.bytes, "time": time.time()}
                self._log.event(contract.EVENT_COMMIT, **done)

    # --- after ----------------------------------------------------------------------------------------------
    def _wait_for_publish(self, trainer: TrainerProcess) -> None:
        """Wait for a publish in progress, as far as time allows."""
        self._on_round()
        began = time.monotonic()
        while self._progress.is_publishing:
            waited, left = time.monotonic() - began, trainer.time_left_s()
            if waited > PUBLISH_TIMEOUT_S or (left is not None and left <= 0):
                break
            if not trainer.stopped and waited > OTHER_NODES_TIMEOUT_S:
                self._progress.give_up()
            time.sleep(PUBLISH_POLL_S)
        self._on_round()

    def _publish_model(self) -> AttemptOutcome:
        if self._identity.node:
            return AttemptOutcome("SUCCEEDED", message="Trained; the first node publishes the model.")
        self._log.event(contract.EVENT_PHASE, phase="publishing")
        output, step = self._scratch.output, self._progress.step
        publish = partial(publish_model, self._durable, self._identity, output, step, self._lineage)
        began = time.monotonic()
        background = BackgroundCall(
            lambda: STORAGE_RETRY.call(publish, time_left_s=lambda: self._time_left_s(began, PUBLISH_TIMEOUT_S))
        )
        while not background.wait(PUBLISH_POLL_S) and self._time_left_s(began, math.inf) > 0:
            pass
        try:
            size = background.result()
        except OSError as problem:
            return unpublished(problem)
        return AttemptOutcome("SUCCEEDED", message=f"The model is published ({size} bytes).")

    def _lineage(self) -> LineageRecord:
        self._clock.tick(finally_=True)  # the record counts the time until now
        progress = self._progress
        return lineage(
            self._start.document, self._identity, self._durable, step=progress.step, metrics=progress.metrics
        )

    def _time_left_s(self, since: float, timeout_s: float) -> float:
        """Seconds left for what follows the training: of the grace if it was stopped, else of a timeout."""
        left_s = self._trainer.time_left_s() if self._trainer else None
        return since + timeout_s - time.monotonic() if left_s is None else left_s

    def _notify_sagemaker(self, outcome: AttemptOutcome, *, model: bool) -> None:
        """Write the files that the platform reads. Our own record decides, so an error here is ignored.

        `model`: the platform shall upload the model, too.
        """
        if outcome.state == "FAILED":
            text = f"{outcome.reason}: {outcome.message} {outcome.hint}"
            sagemaker.write_failure(self._mask.text(text))
        elif model and outcome.state == "SUCCEEDED" and not self._identity.node:
            with contextlib.suppress(OSError):
                sagemaker.copy_model(published_files(self._scratch.output))

    def _record(self, outcome: AttemptOutcome) -> int:
        record = Outcome(
            state=outcome.state,
            reason=outcome.reason,
            message=self._mask.text(outcome.message),
            hint=outcome.hint,
            exit_code=outcome.exit_code,
            step=self._progress.step,
            started_at=self._clock.started_at,
            ended_at=time.time(),
        )
        self._clock.tick(finally_=True)
        self._log.event(contract.EVENT_OUTCOME, **record)
        left_s = max(self._time_left_s(time.monotonic(), STORAGE_TIMEOUT_S), LAST_WRITES_S)
        self._log.close(left_s)
        key = contract.outcome_key(self._start.attempt, self._identity.node)
        put = partial(self._durable.put, key, json.dumps(record).encode())
        try:
            within(left_s, put)
        except TimeoutError:
            raise
        except OSError:  # a full disk, most likely, and scratch may be on it
            delete_tree(self._scratch.output)
            within(left_s, put)
        return outcome.exit_code

    def _warn(self, text: str) -> None:
        self._log.say(f"ftsdk: warning: {text}")


def _identity(start: StartConfiguration) -> Identity:
    document, cluster = start.document, start.cluster
    world_size = cluster.num_nodes * document["nproc_per_node"]
    return Identity(
        digest=document["digest"],
        attempt=start.attempt,
        num_nodes=cluster.num_nodes,
        node=cluster.node_rank,
        world_size=world_size,
        global_batch=resume.global_batch(document, world_size),
        versions=resume.library_versions(),
    )
