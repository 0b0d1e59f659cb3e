"""boto3's transfer manager with its own settings. `boto3_staging.py stage FOLDER URL SOURCE`.

It does not look whether a file is there: the second time it sends all again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from stopwatch import answer, timed, use_bucket


def main(_verb: str, folder: str, url: str, source: str) -> None:
    """Upload the folder twice; a small file before it does the imports."""
    use_bucket(url)
    small = Path(folder) / "small"
    small.mkdir()
    (small / "config.json").write_text("{}", "utf-8")
    _upload(small)
    for note in ("first", "second"):
        answer([timed(lambda: _upload(Path(source)))], note)


def _upload(folder: Path) -> None:
    import boto3

    s3 = boto3.client("s3")
    for path in sorted(folder.iterdir()):
        s3.upload_file(str(path), "boto3", f"model/{path.name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
