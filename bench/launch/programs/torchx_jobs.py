"""TorchX, as processes of this machine or in Docker.

`torchx_jobs.py nothing FOLDER RUNS WAIT_S|default [IMAGE]`, `torchx_jobs.py print FOLDER LINES`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from stopwatch import answer, counted, timed
from torchx.runner import Runner, get_runner  # type: ignore[import-not-found]
from torchx.specs import AppDef, AppState, Role  # type: ignore[import-not-found]

HERE = Path(__file__).parent


def main(verb: str, folder: str, *arguments: str) -> None:
    """Do what the verb says and report to the benchmark."""
    with get_runner() as runner:
        if verb == "nothing":
            _nothing(runner, folder, *arguments)
        else:
            _print(runner, folder, *arguments)


def _nothing(runner: Runner, folder: str, runs: str, wait_s: str, image: str = "") -> None:
    wait = {} if wait_s == "default" else {"wait_interval": float(wait_s)}

    def start() -> str:
        return _container(runner, image) if image else _process(runner, folder, "nothing.py")

    def finished() -> None:
        status = runner.wait(start(), **wait)
        if status is None or status.state is not AppState.SUCCEEDED:
            raise SystemExit(f"The job ended as {status}")

    answer([timed(finished) for _ in range(int(runs))])


def _print(runner: Runner, folder: str, lines: str) -> None:
    """A job that prints; its lines, read after its end; and the lines of a second one, followed while it prints."""
    apps: list[str] = []

    def finished() -> None:
        apps.append(_process(runner, folder, "print_lines.py", lines))
        runner.wait(apps[0], wait_interval=0.02)

    def texts(app: str) -> Iterable[str]:
        return runner.log_lines(app, "job", should_tail=True)  # type: ignore[no-any-return]

    answer([timed(finished)])
    answer(*counted(lambda: texts(apps[0])))
    answer(*counted(lambda: texts(_process(runner, folder, "print_lines.py", lines))))


def _process(runner: Runner, folder: str, program: str, lines: str = "0") -> str:
    environment = {"BENCH_LINES": lines}
    role = Role(name="job", image=folder, entrypoint=sys.executable, args=[str(HERE / program)], env=environment)
    app = AppDef(name="bench", roles=[role])
    return runner.run(app, "local_cwd", {"log_dir": f"{folder}/torchx"})  # type: ignore[no-any-return]


def _container(runner: Runner, image: str) -> str:
    role = Role(name="job", image=image, entrypoint="python", args=["-c", "pass"])
    return runner.run(AppDef(name="bench", roles=[role]), "local_docker")  # type: ignore[no-any-return]


if __name__ == "__main__":
    main(*sys.argv[1:])
