"""One attempt on one node, from its inputs to its outcome record."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftsdk import contract
from ftsdk.contract.documents import Outcome
from ftsdk.runtime import worker_protocol
from ftsdk.runtime.checkpoints import resume
from ftsdk.runtime.checkpoints.checkpoints import Identity
from ftsdk.runtime.checkpoints.model import is_published, publish_model, published_files
from ftsdk.runtime.logs.lines import Log
from ftsdk.runtime.logs.log_position import Earlier, step_of
from ftsdk.runtime.logs.masking import Mask
from ftsdk.runtime.logs.reporters import Reports
from ftsdk.runtime.logs.sinks import Sink
from ftsdk.runtime.platforms import sagemaker
from ftsdk.runtime.storage.base import STORAGE_RETRY
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.folder import delete_tree
from ftsdk.runtime.supervisor import command, oom_kills
from ftsdk.runtime.supervisor.clock import RunningTime
from ftsdk.runtime.supervisor.exit_evidence import Ending, Facts, finished, unfinished
from ftsdk.runtime.supervisor.inputs import BadInputError, verify
from ftsdk.runtime.supervisor.nodes import Peers, Trouble
from ftsdk.runtime.supervisor.polling import Watch
from ftsdk.runtime.supervisor.process_tree import Family, Guard
from ftsdk.runtime.supervisor.restarts import Restarts
from ftsdk.runtime.supervisor.signals import Signals
from ftsdk.runtime.supervisor.start import Start
from ftsdk.runtime.supervisor.trainer_process import Trainer

if TYPE_CHECKING:
    from ftsdk.runtime.checkpoints.publisher import Publisher

TAIL_BYTES = 1 << 16
OTHERS_WITHIN_S, PUBLISHED_WITHIN_S = 30.0, 3600.0
"""After a training that was not stopped: how long other nodes' parts may take, and a publish in all."""
UNREACHABLE_S, ANSWERS_WITHIN_S = 600.0, 5.0
"""How long storage may be away when the model is published, and when it is asked for a note."""
ROUND_S = 0.05
PARKED_S = 600.0
"""Longer than any platform's grace; if none follows, the notice was a false alarm and starting again is right."""
CANCEL_POLL_S = 3.0


class Attempt:
    """What the supervisor does once it knows its job."""

    def __init__(
        self, start: Start, durable: Durable, signals: Signals, family: Family, guard: Guard, sink: Sink
    ) -> None:
        document, cluster = start.document, start.cluster
        self._start, self._durable, self._signals = start, durable, signals
        self._family, self._guard, self._sink = family, guard, sink
        self._clock = RunningTime(durable, start.attempt, cluster.node_rank)
        self._mask = Mask(start.secrets.values())
        self._earlier = Earlier(durable, start.attempt, cluster.node_rank)
        self._scratch = Path(document["scratch"])
        self._output, self._run_folder = self._scratch / "output", self._scratch / "run"
        self._step: int | None = None
        self._saved_step: int | None = None
        self._publisher: Publisher | None = None
        self._trainer: Trainer | None = None
        self._tail = b""
        self._trouble: Trouble | None = None
        self._peers = Peers(durable, start.attempt, cluster)
        world_size = cluster.num_nodes * document["nproc_per_node"]
        self._cancel_note = Watch(self._is_cancelled, CANCEL_POLL_S)
        self._identity = Identity(
            digest=document["digest"],
            attempt=start.attempt,
            num_nodes=cluster.num_nodes,
            node=cluster.node_rank,
            world_size=world_size,
            global_batch=resume.global_batch(document, world_size),
            versions=resume.library_versions(),
        )
        self._log = Log(
            durable,
            attempt=start.attempt,
            node=cluster.node_rank,
            sequence=max(self._earlier.sequence, (self._clock.starts - 1) * durable.lines_apart),
            segment=self._earlier.segment,
            mask=self._mask,
            on_event=self._keep,
        )

    def run(self, environ: Mapping[str, str], restarts: Restarts) -> int | None:
        """Go through the attempt and record how it ended; returns the exit code, or None if it is to start again."""
        for warning in self._start.warnings:
            self._warn(warning)
        for note in self._start.document["notes"]:
            self._log.say(f"ftsdk: {note}")
        trouble = self._peers.trouble()
        if is_published(self._durable, self._identity.digest):
            ending = Ending("SUCCEEDED", message="The model was already published.")
        elif trouble:
            ending = Ending(*trouble)
        else:
            ending = self._prepare_and_train(environ)
        if said := restarts.allow(ending, starts=self._clock.starts, step=self._step):
            self._warn(said)
            self._clock.tick(finally_=True)
            self._log.close()
            return None
        exit_code = self._record(ending)
        if sagemaker.is_here(environ):
            self._tell_sagemaker(ending)
        if ending.state == "SUCCEEDED":
            self._clear_scratch()
        if ending.state == "INTERRUPTED" and self._signals.stopped_at and self._start.document["after_save"] == "park":
            time.sleep(PARKED_S)  # the platform's SIGKILL ends this
        return exit_code

    def _prepare_and_train(self, environ: Mapping[str, str]) -> Ending:
        self._log.event(contract.EVENT_PHASE, phase="preparing")
        try:
            verify(self._start.document["inputs"], lambda: self._signals.stopped_at is not None)
        except BadInputError as problem:
            hint = "Submit again: a new plan is made for the data as it is now."
            return Ending("FAILED", "bad_data", str(problem), hint)
        try:
            folder = self._make_scratch()
        except resume.UnfitError as problem:
            hint = "Start it on the same number of processes again, or begin anew with --again."
            return Ending("FAILED", "bad_config", str(problem), hint)
        if self._signals.stopped_at is not None or self._is_cancelled():  # PID 1 loses a SIGTERM before our handler
            return self._stopped_early()
        return self._train(environ, folder)

    # --- before ---------------------------------------------------------------------------------------------
    def _make_scratch(self) -> Path | None:
        """A clean scratch folder with the newest valid checkpoint in it; returns where that lies, if there is one."""
        self._clear_scratch()
        data = self._scratch / "data"
        for folder in (self._output, self._run_folder, data):
            folder.mkdir(parents=True)
        info = json.dumps(self._start.document["dataset_info"])
        (data / "dataset_info.json").write_text(info, encoding="utf-8")
        os.chdir(self._scratch)  # what a trainer writes to its working folder belongs here
        commit = resume.take_up(self._durable, self._identity, self._output, self._start.document["config"], self._warn)
        if commit is None:
            return None
        self._saved_step = self._step = commit.step
        return resume.local_folder(self._output, commit.step)

    def _clear_scratch(self) -> None:
        """Only what is ours: the folder itself may be anybody's."""
        for name in ("output", "run", "data", "datasets"):
            with contextlib.suppress(OSError):
                delete_tree(self._scratch / name)

    def _stopped_early(self) -> Ending:
        if self._is_cancelled():
            return Ending("CANCELLED", "cancelled", "Cancelled before training began.")
        return Ending("INTERRUPTED", "preempted", "Stopped from outside before training began.", "Start it again.")

    # --- training -------------------------------------------------------------------------------------------
    def _train(self, environ: Mapping[str, str], folder: Path | None) -> Ending:
        document = self._start.document
        oom_kills_before = oom_kills.oom_kills()
        limits = {"timeout": document["timeout_s"], "budget": document["budget_s"]}
        own_file = document["trainer"].endswith(".py")
        workers = 0 if own_file else document["nproc_per_node"]
        self._trainer = trainer = Trainer(
            self._family,
            self._signals,
            self._run_folder,
            workers=workers,
            grace_s=document["grace_s"],
            limits_s={name: self._clock.left_s(limit) for name, limit in limits.items()},
        )
        self._log.event(contract.EVENT_PHASE, phase="training", resume_step=self._saved_step)
        reports = Reports(document, self._durable)
        status = trainer.run(
            command.argv(self._start),
            command.environment(self._start, environ, self._write_job(folder)),
            on_start=self._guard.tell,
            on_output=self._take,
            on_round=self._round,
        )
        self._log.end_line()
        self._settle(trainer)
        reports.finish(self._time_left_s())
        facts = Facts(
            status=status,
            records=worker_protocol.records(self._run_folder),
            workers=workers,
            tail=self._mask(self._tail).decode("utf-8", "replace").splitlines(),
            oom_kills=oom_kills.oom_kills() - oom_kills_before,
            stopped=trainer.stopped,
            trouble=self._trouble,
            cancelled=bool(trainer.stopped) and self._is_cancelled(),
            saved_step=self._saved_step,
        )
        delete_tree(self._run_folder)  # what workers say about their end is not masked
        return self._publish_model() if finished(facts) else unfinished(facts)

    def _write_job(self, folder: Path | None) -> Path:
        job = worker_protocol.TrainJob(
            document=self._start.document,
            attempt=self._start.attempt,
            output=str(self._output),
            data=str(self._scratch / "data"),
            run=str(self._run_folder),
            resume=str(folder) if folder else None,
        )
        path = self._run_folder / worker_protocol.TRAIN_FILE
        path.write_text(json.dumps(job), encoding="utf-8")
        return path

    def _take(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        self._log.feed(data)

    def _keep(self, event: dict[str, Any]) -> bool:
        """Act on an event in the output; False for metrics that the log already has from before a restart."""
        step = step_of(event)
        if event["event"] == contract.EVENT_METRICS:
            self._step = max(self._step or 0, step)
            return not self._earlier.is_replay(event)
        if event["event"] == contract.EVENT_CHECKPOINT:
            self._step = max(self._step or 0, step)
            folder = self._output / f"checkpoint-{step}"  # never a path that the output itself names
            if step and folder.is_dir():
                self._offer(step, folder, str(event.get("best", "")))
        return True

    def _offer(self, step: int, folder: Path, best: str) -> None:
        from ftsdk.runtime.checkpoints.publisher import Checkpoint, Publisher

        if self._publisher is None:
            keep = self._start.document["checkpoint"]["keep"]
            self._publisher = Publisher(self._durable, self._identity, keep, self._signals.wake)
        self._publisher.offer(Checkpoint(step, folder, best))

    def _round(self) -> None:
        self._log.tick()
        self._clock.tick()
        for notice in self._sink.notices():
            self._warn(notice)
        if self._signals.stopped_at is None and self._cancel_note():
            self._signals.ask_to_stop()
        if self._trainer and not self._trouble and (trouble := self._peers.trouble()):
            self._warn(trouble.message)
            self._trouble = trouble
            self._trainer.give_up()
        for report in self._publisher.reports() if self._publisher else ():
            if report.problem:
                self._warn(f"checkpoint {report.step} could not be published: {report.problem}.")
            else:
                self._saved_step = report.step
                with contextlib.suppress(OSError):  # scratch may be full
                    worker_protocol.tell_published_within_s(self._run_folder, report.seconds)
                seconds = round(report.seconds, 3)
                self._log.event(contract.EVENT_COMMIT, step=report.step, seconds=seconds, bytes=report.bytes)

    # --- after ----------------------------------------------------------------------------------------------
    def _settle(self, trainer: Trainer) -> None:
        """Let a publish under way come to its end, as far as time allows."""
        self._round()
        began = time.monotonic()
        while self._publisher and not self._publisher.idle:
            waited, left = time.monotonic() - began, trainer.time_left_s()
            if waited > PUBLISHED_WITHIN_S or (left is not None and left <= 0):
                break
            if not trainer.stopped and waited > OTHERS_WITHIN_S:
                self._publisher.give_up()
            time.sleep(ROUND_S)
        self._round()

    def _publish_model(self) -> Ending:
        if self._identity.node:
            return Ending("SUCCEEDED", message="Trained; the first node publishes the model.")
        self._log.event(contract.EVENT_PHASE, phase="publishing")
        try:
            size = STORAGE_RETRY.call(
                lambda: publish_model(self._durable, self._identity, self._output, self._step),
                time_left_s=self._time_left_s,
            )
        except OSError as problem:
            return _storage_failure(problem)
        return Ending("SUCCEEDED", message=f"The model is published ({size} bytes).")

    def _time_left_s(self) -> float:
        """For what comes after the training."""
        left_s = self._trainer.time_left_s() if self._trainer else None
        return UNREACHABLE_S if left_s is None else left_s

    def _tell_sagemaker(self, ending: Ending) -> None:
        """What the platform reads; our own records count, so nothing here can fail the attempt."""
        if ending.state == "FAILED":
            sagemaker.leave_failure(self._mask.text(f"{ending.reason}: {ending.message} {ending.hint}"))
        elif ending.state == "SUCCEEDED" and not self._identity.node:
            with contextlib.suppress(OSError):
                sagemaker.leave_model(published_files(self._output))

    def _is_cancelled(self) -> bool:
        key = contract.cancel_key(self._start.attempt)
        try:
            replace(STORAGE_RETRY, deadline_s=ANSWERS_WITHIN_S).call(lambda: self._durable.read(key))
        except OSError:
            return False
        return True

    def _record(self, ending: Ending) -> int:
        outcome = Outcome(
            state=ending.state,
            reason=ending.reason,
            message=self._mask.text(ending.message),
            hint=ending.hint,
            exit_code=ending.exit_code,
            step=self._step,
            started_at=self._clock.started_at,
            ended_at=time.time(),
        )
        self._clock.tick(finally_=True)
        self._log.event(contract.EVENT_OUTCOME, **outcome)
        self._log.close()
        key = contract.outcome_key(self._start.attempt, self._identity.node)
        try:
            self._durable.put(key, json.dumps(outcome).encode())
        except OSError:  # a full disk, most likely, and scratch may lie on it
            delete_tree(self._output)
            self._durable.put(key, json.dumps(outcome).encode())
        return ending.exit_code

    def _warn(self, text: str) -> None:
        self._log.say(f"ftsdk: warning: {text}")


def _storage_failure(problem: OSError) -> Ending:
    from ftsdk.runtime.supervisor.failure import Evidence, classify

    verdict = classify(Evidence(causes=[f"{type(problem).__name__}: {problem}"]))
    return Ending("FAILED", verdict.reason, f"The model is trained but not published. {verdict.message}", verdict.hint)
