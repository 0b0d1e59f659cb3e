"""Trains many tiny models, interrupted at exact moments: `TRAINER_PYTHON forks.py CASES.json FOLDER`.

The trainer is imported once; every training is a fork of that, and otherwise what a worker process is: `work` with a
job on disk, real SIGTERMs, events on its standard output. A case is trained in one go and in several attempts:

    {"name": "dpo", "config": {…}, "ranks": 1, "checkpoint": {…}, "notices": [["on_step_begin", 5], …]}

`changes` holds, for each attempt, other `ranks` and trainer arguments. A notice [hook, count, signal = "TERM",
rank = 0] is raised in the count-th call of a Trainer hook of that attempt. Attempt k starts from the checkpoint that
was announced last, as the supervisor would bring it. Each attempt leaves `FOLDER/NAME/a0` (the one in one go), `a1`,
… with `log-R`, `output/` and `run/worker-R.json`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path

from ftsdk import contract

AT_ONCE = 2


def main() -> int:
    cases, root = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    import llamafactory.train.tuner  # noqa: F401 - the long part

    running: list[int] = []
    for case in cases:
        if len(running) == AT_ONCE:
            running.remove(os.wait()[0])
        running.append(fork(lambda case=case: train_case(case, root / case["name"])))
    for pid in running:
        os.waitpid(pid, 0)
    return 0


def fork(do) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        do()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def train_case(case, folder) -> None:
    notices = [*case["notices"], None]
    changes = case.get("changes", [{}] * len(notices))
    saved = None
    train(changed(case, changes[-1]), folder / "a0", None, None)
    for attempt, (notice, change) in enumerate(zip(notices, changes, strict=True), start=1):
        train(changed(case, change), folder / f"a{attempt}", saved, notice)
        saved = newest(folder / f"a{attempt}") or saved


def changed(case, change):
    """The case with other ranks or trainer arguments."""
    arguments = {key: value for key, value in change.items() if key != "ranks"}
    return {**case, "ranks": change.get("ranks", case.get("ranks", 1)), "config": {**case["config"], **arguments}}


def events_of(folder):
    """The lines that rank 0 sent to a supervisor."""
    path = folder / "events-0"
    return path.read_text().splitlines() if path.exists() else []


def newest(folder):
    """(folder of attempt, event) of the checkpoint that was announced last."""
    events = [contract.parse_event_json(line) for line in events_of(folder)]
    announced = [event for event in events if event and event["event"] == contract.EVENT_CHECKPOINT]
    return (folder, announced[-1]) if announced else None


def train(case, folder, saved, notice) -> None:
    output, run = folder / "output", folder / "run"
    output.mkdir(parents=True)
    run.mkdir()
    resume = None
    if saved:
        came_from, event = saved
        resume = output / f"checkpoint-{event['step']}"
        for name in {resume.name, event["best"]} - {""}:
            shutil.copytree(came_from / "output" / name, output / name)
    (folder / "dataset_info.json").write_text(json.dumps(case["dataset_info"]))
    document = {"trainer": "llamafactory", "config": case["config"], "checkpoint": case["checkpoint"], "wandb": None}
    job = {"document": document, "output": str(output), "data": str(folder), "run": str(run)}
    job |= {"attempt": 1, "resume": resume and str(resume), "lease": ""}
    (run / "train.json").write_text(json.dumps(job))
    ranks, port = case["ranks"], free_port()
    pids = [fork(lambda rank=rank: worker(folder, rank, ranks, port, notice)) for rank in range(ranks)]
    for pid in pids:
        os.waitpid(pid, 0)


def worker(folder, rank, ranks, port, notice) -> None:
    log = os.open(folder / f"log-{rank}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(folder)
    os.environ["FTSDK_TRAIN"] = str(folder / "run" / "train.json")
    os.environ["FTSDK_EVENTS"] = str(folder / f"events-{rank}")
    if ranks > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": str(ranks)}
    if notice and rank == (notice[3] if len(notice) > 3 else 0):
        raise_in_a_hook(*notice[:3])
    from ftsdk.runtime.programs.worker import work

    os._exit(work(os.environ))


def raise_in_a_hook(hook, count, name="TERM") -> None:
    """A callback behind ours that signals its own process in a certain call."""
    from transformers import TrainerCallback

    from ftsdk.runtime.programs import callbacks

    class Notice(TrainerCallback):
        calls = 0

    def called(self, *_, **__) -> None:
        self.calls += 1
        if self.calls == count:
            os.kill(os.getpid(), getattr(signal, f"SIG{name}"))

    setattr(Notice, hook, called)
    build = callbacks.build_callbacks
    callbacks.build_callbacks = lambda job, stop: (*build(job, stop), Notice())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    raise SystemExit(main())
