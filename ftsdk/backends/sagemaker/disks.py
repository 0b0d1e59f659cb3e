"""Which training types have a disk of their own. Pure; the sizes are `data/local_disks.csv`."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

LOCAL_DISK_FAMILIES: Final = re.compile(r"g[5-9]e?|p[5-9].*|p4de?|p3dn|g4dn|[a-z]+\d+[a-z]*d[a-z]*")
"""Families with NVMe storage of their own: a `d` behind the generation says so, the newer GPU families all have it."""


def has_local_disk(instance_type: str) -> bool:
    """Whether the disk is NVMe storage of the machine: its size is fixed, and the service takes no KMS key for it."""
    return bool(LOCAL_DISK_FAMILIES.fullmatch(instance_type.split(".")[1]))


@cache
def local_disks_gb() -> Mapping[str, int]:
    """Training type -> gigabytes of its own NVMe storage, where that is published."""
    text = files("ftsdk.backends.sagemaker").joinpath("data", "local_disks.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {row["instance"]: int(row["gb"]) for row in csv.DictReader(lines)}
