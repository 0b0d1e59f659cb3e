"""An emulator that behaves as a probe has measured: what `ftsdk doctor --probe --save FILE` wrote on a real account.

FTSDK_PROBE_SAGEMAKER and FTSDK_PROBE_PAI name such files for a whole run of the tests.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.emulators.roles import RoleAddress

if TYPE_CHECKING:
    from tests.emulators.dlc import DlcCloud
    from tests.emulators.sagemaker import SageMakerCloud


def measured(variable: str) -> dict[str, Any]:
    """The answers in the file that a variable of the environment names; none without it."""
    path = os.environ.get(variable)
    return json.loads(Path(path).read_text("utf-8")) if path else {}


def like_sagemaker(cloud: SageMakerCloud, answers: dict[str, Any]) -> None:
    """Seconds until SIGKILL, the log's delay and how often the address of the role's keys answers, as measured."""
    stop = answers.get("stop", {})
    if "alive_s" in stop and not stop.get("survived"):
        cloud.grace_s = round(stop["alive_s"])
    cloud.logs.delay_s = max(0.0, answers.get("log", {}).get("delay_s", 0.0))
    keys = answers.get("credentials", {})
    if keys.get("calls"):
        cloud.role = RoleAddress()
        cloud.role.trouble = 1 - keys["answers"] / keys["calls"]


def like_pai(cloud: DlcCloud, answers: dict[str, Any]) -> None:
    """Seconds until SIGKILL, and whether the bucket keeps what exists, as measured."""
    stop = answers.get("stop", {})
    if "alive_s" in stop and not stop.get("survived"):
        cloud.max_grace_s = round(stop["alive_s"])
    if answers.get("storage", {}).get("put_if_absent") == [True, True]:
        cloud.oss.versioned = {cloud.default_bucket}
