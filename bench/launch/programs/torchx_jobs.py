"""TorchX on this machine's processes or Docker. `torchx_jobs.py VERB FOLDER SCHEDULER RUNS [IMAGE] [WAIT_S]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from stopwatch import answer, count, timed
from torchx.runner import Runner, get_runner  # type: ignore[import-not-found]
from torchx.specs import AppDef, Role  # type: ignore[import-not-found]

HERE = Path(__file__).parent


def main(verb: str, folder: str, scheduler: str, runs: str, wait_s: str = "", image: str = "") -> None:
    """Do what the verb says and tell the benchmark."""
    interval = {"wait_interval": float(wait_s)} if wait_s else {}
    with get_runner() as runner:
        if verb == "nothing":
            role = _role("nothing.py", image or folder, "python3" if image else sys.executable)
            answer([timed(lambda: runner.wait(_started(runner, role, scheduler, folder), **interval)) for _ in range(int(runs))])
        else:
            _print(runner, folder, scheduler)


def _print(runner: Runner, folder: str, scheduler: str) -> None:
    """The job that prints, its lines read after its end, and a second job followed while it prints."""
    role = _role("print_file.py", folder, sys.executable)
    started: list[str] = []

    def finished() -> None:
        started.append(_started(runner, role, scheduler, folder))
        runner.wait(started[0], wait_interval=0.02)

    def lines(app: str) -> Iterable[str]:
        return runner.log_lines(app, "job", should_tail=True)  # type: ignore[no-any-return]

    answer([timed(finished)])
    notes: list[str] = []
    answer([timed(lambda: notes.append(count(lines(started[0]), newline=0)))], notes[0])
    answer([timed(lambda: notes.append(count(lines(_started(runner, role, scheduler, folder)), newline=0)))], notes[0])


def _role(program: str, image: str, python: str) -> Role:
    inside = image if "/" not in image[:1] else ""
    arguments = ["-c", "pass"] if inside else [str(HERE / program)]
    return Role(name="job", image=image, entrypoint=python, args=arguments, env={"BENCH_PRINT": os.environ.get("BENCH_PRINT", "")})


def _started(runner: Runner, role: Role, scheduler: str, folder: str) -> str:
    config = {"log_dir": f"{folder}/torchx"} if scheduler == "local_cwd" else {}
    return runner.run(AppDef(name="bench", roles=[role]), scheduler, config)  # type: ignore[no-any-return]


if __name__ == "__main__":
    main(*sys.argv[1:])
