"""The campaign's results as JSON and as Markdown."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from bench.resume.records import CampaignRun, MeasuredFault


def write(runs: Sequence[CampaignRun], versions: Mapping[str, str], where: Mapping[str, Any], folder: Path) -> Path:
    """Write `chaos-DATE.json` and `.md`, whose path is returned; a second campaign of a day replaces the first."""
    folder.mkdir(parents=True, exist_ok=True)
    day = time.strftime("%Y-%m-%d")
    data = {
        "date": day,
        "machine": dict(where),
        "versions": dict(versions),
        "runs": [_as_data(run) for run in runs],
    }
    (folder / f"chaos-{day}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    page = folder / f"chaos-{day}.md"
    page.write_text("\n".join(markdown(runs, versions, where, day)) + "\n", "utf-8")
    return page


def markdown(
    runs: Sequence[CampaignRun], versions: Mapping[str, str], where: Mapping[str, Any], day: str
) -> Iterable[str]:
    """The whole report, line by line."""
    faults = [fault for run in runs for fault in run.faults]
    ended = sum(fault.is_interruption for fault in faults)
    late, survived = sum(fault.came_too_late for fault in faults), sum(fault.was_survived for fault in faults)
    violations = [f"{run.setup.name}, seed {run.seed}: {text}" for run in runs for text in run.violations]
    yield from (
        f"# Interrupted trainings, {day}",
        "",
        f"{len(faults)} faults in {len(runs)} trainings, {len(violations)} violations: {ended} ended an attempt or a "
        f"start of one, {survived} were outages that the attempt survived, {late} came after the training had ended. "
        f"{where['cores']} cores ({where['processor']}), {where['platform']}, Python {where['python']}.",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        "Every training ended with the weights (SHA-256) and the logged values of the baseline, the same training "
        "without faults, unless it is listed under Violations. Lost steps are those that had to be repeated; they are "
        "counted where a start that had logged a step was ended. A SIGKILL may cost the cadence and the steps that are "
        "trained while the next checkpoint is being published; a damaged checkpoint has no such limit.",
        "",
    )
    yield from _groups("setup", runs, lambda run, _: run.setup.name)
    yield from _groups("kind", runs, lambda _, fault: fault.fault.kind)
    yield from (
        "## Seeds",
        "",
        *(f"- {run.setup.name}: seed {run.seed}, {len(run.faults)} faults in {run.seconds:.0f} s" for run in runs),
        "",
    )
    yield from ("## Violations", "", *(f"- {text}" for text in violations or ["none"]))


def _groups(title: str, runs: Sequence[CampaignRun], key: Callable[[CampaignRun, MeasuredFault], str]) -> Iterable[str]:
    """One table: a row for each value of `key`."""
    groups: dict[str, list[MeasuredFault]] = defaultdict(list)
    for run in runs:
        for fault in run.faults:
            groups[key(run, fault)].append(fault)
    yield f"| {title} | faults | at the start | counted | lost steps: median | max | processes left | gone within s |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, faults in sorted(groups.items()):
        lost = [fault.lost_steps for fault in faults if fault.lost_steps is not None]
        loss = f"{len(lost)} | {median(lost):g} | {max(lost)}" if lost else "0 | – | –"
        starts = sum(fault.during == "start" for fault in faults)
        left, gone_s = sum(fault.orphans for fault in faults), max(fault.survivors_s for fault in faults)
        yield f"| {name} | {len(faults)} | {starts} | {loss} | {left} | {gone_s:.1f} |"
    yield ""


def _as_data(run: CampaignRun) -> dict[str, Any]:
    return {
        "setup": run.setup.name,
        "seed": run.seed,
        "seconds": round(run.seconds, 1),
        "violations": run.violations,
        "faults": [asdict(fault) for fault in run.faults],
    }
