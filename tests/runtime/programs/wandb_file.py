"""Reads a `.wandb` file: LevelDB's log format (blocks of 32 KiB, records in fragments) of wandb's own protobuf records.

Run as a program by the Python that has wandb: prints the run and its history as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

BLOCK, HEAD, FILE_HEAD = 32768, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(data: bytes) -> Iterator[bytes]:
    """Whole records, put together from their fragments."""
    at, parts = FILE_HEAD, b""
    while at + HEAD <= len(data):
        if BLOCK - at % BLOCK < HEAD:
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        at += HEAD
        parts = (parts if kind in (MIDDLE, LAST) else b"") + data[at : at + length]
        at += length
        if kind in (FULL, LAST):
            yield parts


def main() -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    found = {"run": {}, "config": {}, "history": [], "exit_code": None, "preempting": False}
    for raw in records(Path(sys.argv[1]).read_bytes()):
        record = Record()
        record.ParseFromString(raw)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found["run"] = {"id": run.run_id, "project": run.project, "started": run.start_time.ToJsonString()}
            updates = run.config.update
        else:
            updates = record.config.update if kind == "config" else ()
        for item in updates:
            found["config"][item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        if kind == "history":
            items = record.history.item
            found["history"].append({i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items})
        if kind == "exit":
            found["exit_code"] = record.exit.exit_code
        found["preempting"] = found["preempting"] or kind == "preempting"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
