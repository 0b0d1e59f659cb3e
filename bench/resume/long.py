"""The campaign: setup after setup under harm, until enough interruptions have been survived."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import chain, count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.launch import report
from bench.resume import disks, table
from bench.resume.campaign import Reference, Story, reference, store_away, story
from bench.resume.setups import BY_NAME, SETUPS, Setup

AWAY_S = 120.0
WITH_STORE_AWAY = ("local, LoRA with dropout", "docker, LoRA with dropout")


def run(*, interruptions: int, seed: int, results: Path, setups: Iterable[Setup] = SETUPS) -> None:
    """Interrupt trainings of all setups in turn so many times, print what happened and keep it."""
    told: list[Story] = []
    with TemporaryDirectory(prefix="ftsdk-chaos-") as folder:
        os.environ["FTSDK_HOME"] = f"{folder}/home"
        from ftsdk.testing import tiny

        made = tiny.make(Path(folder, "tiny"))
        interrupted = stories(made, interruptions=interruptions, seed=seed, setups=setups)
        for one in chain(outages(made), interrupted):
            told.append(one)
            print(_line(one), flush=True)
            page = table.write(told, versions(), report.machine(), results)
    print(f"Written to {page} and {page.with_suffix('.json').name}.")


def outages(tiny: Path, seconds: float = AWAY_S) -> Iterator[Story]:
    """The durable store is unreachable for a while, once for each place where a training runs."""
    for name in WITH_STORE_AWAY if disks.can_be_made() else ():
        setup = BY_NAME[name]
        peace = reference(setup, tiny, f"peace-{setup.backend}")
        yield store_away(setup, tiny, f"away-{setup.backend}", peace, seconds=seconds)


def stories(tiny: Path, *, interruptions: int, seed: int, setups: Iterable[Setup]) -> Iterator[Story]:
    """Trainings under harm, one setup after the other, until there were so many interruptions."""
    peace: dict[str, Reference] = {}
    done = 0
    possible = [setup for setup in setups if disks.can_be_made() or not setup.own_disk]
    for number, setup in zip(count(), cycle(possible), strict=False):
        if done >= interruptions:
            return
        if setup.name not in peace:
            peace[setup.name] = reference(setup, tiny, f"peace-{number}")
        most = min(setup.most, interruptions - done)
        one = story(setup, tiny, f"harm-{number}", peace[setup.name], seed=seed + number, most=most)
        done += sum(blow.has_ended_one for blow in one.blows)
        yield one


def versions() -> dict[str, str]:
    """What was tested, with what."""
    from importlib.metadata import version

    return {name: version(name) for name in ("ftsdk", "llamafactory", "transformers", "torch", "peft", "accelerate")}


def _line(one: Story) -> str:
    violations = f"VIOLATIONS: {'; '.join(one.violations)}" if one.violations else "no violation"
    clock = time.strftime("%H:%M:%S")
    return f"{clock} {one.setup.name}, seed {one.seed}: {len(one.blows)} in {one.seconds:.0f} s, {violations}"
