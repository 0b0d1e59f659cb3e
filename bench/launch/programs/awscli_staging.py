"""`aws s3 sync` with its own settings. `awscli_staging.py stage FOLDER URL SOURCE`.

It compares sizes and times: the second time it sends nothing. Half a second of it is the start of the program.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stopwatch import answer, timed, use_bucket


def main(_verb: str, _folder: str, url: str, source: str) -> None:
    """Sync the folder twice."""
    use_bucket(url)
    sync = [Path(sys.executable).with_name("aws"), "s3", "sync", "--only-show-errors", source, "s3://awscli/model"]
    for note in ("first", "second"):
        answer([timed(lambda: subprocess.run(sync, check=True))], note)


if __name__ == "__main__":
    main(*sys.argv[1:])
