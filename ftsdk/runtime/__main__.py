"""`python runtime.pyz supervise` starts a job's supervisor; `… train` is one trainer process of it.

Outside of any job `python runtime.pyz serve` answers requests to a model, `… preview` shows what a training will learn.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Dispatch on the one argument; returns the exit code."""
    words = sys.argv[1:]
    if words == ["supervise", "serve"]:  # the image's entry point, started by SageMaker as an endpoint's container
        words = ["serve"]
    verb = words[0] if len(words) == 1 else ""
    if verb == "supervise":
        from ftsdk.runtime.supervisor.supervisor import supervise

        return supervise(os.environ)
    if verb == "train":
        from ftsdk.runtime.programs.worker import work

        return work(os.environ)
    if verb == "serve":
        from ftsdk.runtime.programs.trained.server import main as serve

        return serve(os.environ)
    if verb == "preview":
        from ftsdk.runtime.programs.preview.program import main as preview

        return preview()
    sys.stderr.write("usage: python runtime.pyz supervise | train | serve | preview\n")
    return 64


if __name__ == "__main__":
    raise SystemExit(main())
