"""Results as JSON and as Markdown."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.launch.timing import Measure, Row

RESULTS = Path(__file__).parents[1] / "results"


def machine() -> dict[str, Any]:
    """What it was measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_at_start": os.getloadavg()[0],
    }


def write(
    measures: Iterable[Measure],
    versions: Mapping[str, str],
    where: Mapping[str, Any],
    folder: Path,
    *,
    name: str = "launch",
) -> Path:
    """Write `NAME-DATE.json` and `.md` (which it returns); a second run of a day replaces the first."""
    measures = list(measures)
    folder.mkdir(parents=True, exist_ok=True)
    day = time.strftime("%Y-%m-%d")
    data = {
        "date": day,
        "machine": dict(where),
        "versions": dict(versions),
        "measures": [_as_data(measure) for measure in measures],
    }
    (folder / f"{name}-{day}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    page = folder / f"{name}-{day}.md"
    page.write_text(markdown(measures, versions, where, f"{name}, {day}"), "utf-8")
    return page


def markdown(measures: Iterable[Measure], versions: Mapping[str, str], where: Mapping[str, Any], what: str) -> str:
    """The whole report."""
    head = [
        f"# Benchmarks: {what}",
        "",
        f"{where['cores']} cores ({where['processor']}), {where['platform']}, Python {where['python']}. "
        f"Load average at the start {where['load_at_start']:.1f}; at the end of each measurement it stands below it.",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        "Wall and CPU are medians, best is the quickest run's wall. On a busy machine the latter two are the steadier.",
    ]
    return "\n".join([*head, *(line for measure in measures for line in ("", *table(measure))), ""])


def table(measure: Measure) -> list[str]:
    """One measurement as lines of Markdown."""
    target = f" Target: {measure.target}." if measure.target else ""
    timed = measure.unit == "s"
    columns = (
        "| | wall s | best s | CPU s | runs | |\n|---|---|---|---|---|---|"
        if timed
        else f"| | {measure.unit} | |\n|---|---|---|"
    )
    return [
        f"## {measure.title}",
        "",
        f"{measure.about}{target} Load {measure.load:.1f}.",
        "",
        columns,
        *(_timed(row) if timed else f"| {row.who} | {row.value:.1f} | {row.note} |" for row in measure.rows),
    ]


def _timed(row: Row) -> str:
    times = " | ".join(seconds(value) for value in (row.wall_s, row.best_s, row.cpu_s))
    return f"| {row.who} | {times} | {len(row.runs)} | {row.note} |"


def seconds(value: float) -> str:
    """Milliseconds' digits, or microseconds' for what takes less than ten milliseconds."""
    return f"{value:.3f}" if value >= 0.01 else f"{value:.6f}"


def _as_data(measure: Measure) -> dict[str, Any]:
    rows = [
        {
            "who": row.who,
            "wall_s": row.wall_s if row.runs else None,
            "best_s": row.best_s if row.runs else None,
            "cpu_s": row.cpu_s if row.runs else None,
            "value": row.value,
            "runs": [[run.wall_s, run.cpu_s] for run in row.runs],
            "note": row.note,
        }
        for row in measure.rows
    ]
    return {
        "title": measure.title,
        "about": measure.about,
        "unit": measure.unit,
        "target": measure.target,
        "load": measure.load,
        "rows": rows,
    }
