"""PID 1 of the image: finds the runtime that came with the job, and becomes its supervisor."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

EXIT_CONTRACT: Final = 78
"""`ftsdk.contract.EXIT_CONTRACT`: image, job and runtime do not fit together."""


def runtime_problem(runtime: Path) -> str:
    """Why the runtime cannot be started, or an empty string."""
    if runtime.is_file():
        return ""
    return f"there is no runtime at {runtime}; ftsdk puts it there when it starts a job, or FTSDK_RUNTIME names it."


def main() -> None:
    """Replace this process by the supervisor, or say why that is not possible."""
    runtime = Path(os.environ.get("FTSDK_RUNTIME", "/ftsdk/runtime.pyz"))
    problem = runtime_problem(runtime)
    if problem:
        print(f"ftsdk: {problem}", file=sys.stderr)
        sys.exit(EXIT_CONTRACT)
    os.execv(sys.executable, [sys.executable, "-I", str(runtime), "supervise", *sys.argv[1:]])


if __name__ == "__main__":
    main()
