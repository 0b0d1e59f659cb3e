"""What a job said before ftsdk's supervisor could speak: the pods' own lines, where there are no segments.

GetPodLogs gives at most so many lines and has no cursor, so it is asked only once a job has ended without a word of the
supervisor's: a shell that finds no `python`, say. Everything else is read from the segments in OSS, which lose nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from ftsdk import contract
from ftsdk.backends.pai.jobs import Native
from ftsdk.backends.pai.service import SINCE, RefusedError, Services
from ftsdk.contract import Stamp
from ftsdk.records import LogLine

MOST_LINES: Final = 2000


def lines(services: Services, native: Native, seen: dict[int, Stamp]) -> Iterator[LogLine]:
    """Lines of every node behind the cursor."""
    for node, pod in enumerate(native.said.get("Pods") or ()):
        for number, text in enumerate(_texts(services, native.id, str(pod["PodId"]), str(pod.get("PodUid", "")))):
            stamp = Stamp(native.attempt, node, number)
            if node not in seen or stamp > seen[node]:
                seen[node] = stamp
                yield LogLine(text, ",".join(str(last) for last in (stamp, *_others(seen, node))))


def _others(seen: dict[int, Stamp], node: int) -> list[Stamp]:
    return [stamp for other, stamp in sorted(seen.items()) if other != node]


def _texts(services: Services, native_id: str, pod_id: str, pod_uid: str) -> list[str]:
    with contextlib.suppress(RefusedError):  # a pod that never was has no log
        said = services.call("get_pod_logs", native_id, pod_id, PodUid=pod_uid, MaxLines=MOST_LINES, StartTime=SINCE)
        return [contract.split_line(line)[1] for line in said.get("Logs") or ()]
    return []
