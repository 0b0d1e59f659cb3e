"""The campaign's results as JSON for programs and as Markdown for people."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from bench.resume.campaign import Blow, Story


def write(stories: Sequence[Story], versions: Mapping[str, str], where: Mapping[str, Any], folder: Path) -> Path:
    """Write `chaos-DATE.json` and `.md` (which it returns); a second run of a day replaces the first."""
    folder.mkdir(parents=True, exist_ok=True)
    day = time.strftime("%Y-%m-%d")
    data = {
        "date": day,
        "machine": dict(where),
        "versions": dict(versions),
        "stories": [_as_data(story) for story in stories],
    }
    (folder / f"chaos-{day}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    page = folder / f"chaos-{day}.md"
    page.write_text("\n".join(markdown(stories, versions, where, day)) + "\n", "utf-8")
    return page


def markdown(
    stories: Sequence[Story], versions: Mapping[str, str], where: Mapping[str, Any], day: str
) -> Iterable[str]:
    """The whole report, line by line."""
    blows = [blow for story in stories for blow in story.blows]
    ended = sum(blow.has_ended_one for blow in blows)
    late, sat_out = sum(blow.came_too_late for blow in blows), sum(blow.was_sat_out for blow in blows)
    violations = [f"{story.setup.name}, seed {story.seed}: {said}" for story in stories for said in story.violations]
    yield from (
        f"# Interrupted trainings, {day}",
        "",
        f"{len(blows)} harms to {len(stories)} trainings, {len(violations)} violations: {ended} ended an attempt or a "
        f"start of one, {sat_out} were outages that the attempt sat out, {late} came when the training was done "
        f"already. {where['cores']} cores ({where['processor']}), {where['platform']}, Python "
        f"{where['python']}.",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        "Every training ended with the weights (SHA-256) and the logged values of the one that nobody harmed, unless "
        "it is named under Violations. Steps lost are those that had to be done again; they are counted where a start "
        "that had logged a step was ended. A SIGKILL may cost the cadence and what is "
        "trained while the next checkpoint is on its way to storage; a damaged checkpoint has no such limit.",
        "",
    )
    yield from _groups("setup", stories, lambda story, _: story.setup.name)
    yield from _groups("kind", stories, lambda _, blow: blow.strike.kind)
    yield from (
        "## Seeds",
        "",
        *(f"- {story.setup.name}: seed {story.seed}, {_counts(story)}" for story in stories),
        "",
    )
    yield from ("## Violations", "", *(f"- {said}" for said in violations or ["none"]))


def _groups(title: str, stories: Sequence[Story], key: Callable[[Story, Blow], str]) -> Iterable[str]:
    """One table: a row for each value of `key`."""
    groups: dict[str, list[Blow]] = defaultdict(list)
    for story in stories:
        for blow in story.blows:
            groups[key(story, blow)].append(blow)
    yield f"| {title} | harms | in the start | counted | lost steps: median | most | processes left | gone within s |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, blows in sorted(groups.items()):
        lost = [blow.lost_steps for blow in blows if blow.lost_steps is not None]
        loss = f"{len(lost)} | {median(lost):g} | {max(lost)}" if lost else "0 | – | –"
        starts = sum(blow.during == "start" for blow in blows)
        left, gone_s = sum(blow.orphans for blow in blows), max(blow.survivors_s for blow in blows)
        yield f"| {name} | {len(blows)} | {starts} | {loss} | {left} | {gone_s:.1f} |"
    yield ""


def _counts(story: Story) -> str:
    return f"{len(story.blows)} harms in {story.seconds:.0f} s"


def _as_data(story: Story) -> dict[str, Any]:
    blows = [{**asdict(blow)} for blow in story.blows]
    return {
        "setup": story.setup.name,
        "seed": story.seed,
        "seconds": round(story.seconds, 1),
        "violations": story.violations,
        "blows": blows,
    }
