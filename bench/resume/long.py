"""The campaign: one setup after the other with faults, until enough interruptions have been survived."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import chain, count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.launch import report
from bench.resume import disks, table
from bench.resume.campaign import run_baseline, run_with_faults, run_without_store
from bench.resume.records import Baseline, CampaignRun
from bench.resume.setups import BY_NAME, SETUPS, Setup

AWAY_S = 120.0
WITH_STORE_AWAY = ("local, LoRA with dropout", "docker, LoRA with dropout")


def run(*, interruptions: int, seed: int, results: Path, setups: Iterable[Setup] = SETUPS) -> None:
    """Interrupt trainings of all setups in turn, `interruptions` times in all; print and write the results."""
    done: list[CampaignRun] = []
    with TemporaryDirectory(prefix="ftsdk-chaos-") as folder:
        os.environ["FTSDK_HOME"] = f"{folder}/home"
        from ftsdk.testing import tiny

        model = tiny.make(Path(folder, "tiny"))
        interrupted = runs(model, interruptions=interruptions, seed=seed, setups=setups)
        for one in chain(outages(model), interrupted):
            done.append(one)
            print(_line(one), flush=True)
            page = table.write(done, versions(), report.machine(), results)
    print(f"Written to {page} and {page.with_suffix('.json').name}.")


def outages(tiny: Path, seconds: float = AWAY_S) -> Iterator[CampaignRun]:
    """Runs during which the durable store is unreachable for `seconds`, one for each backend."""
    for name in WITH_STORE_AWAY if disks.can_be_made() else ():
        setup = BY_NAME[name]
        baseline = run_baseline(setup, tiny, f"baseline-{setup.backend}")
        yield run_without_store(setup, tiny, f"away-{setup.backend}", baseline, seconds=seconds)


def runs(tiny: Path, *, interruptions: int, seed: int, setups: Iterable[Setup]) -> Iterator[CampaignRun]:
    """Runs with faults, one setup after the other, until there were `interruptions` interruptions."""
    baselines: dict[str, Baseline] = {}
    done = 0
    possible = [setup for setup in setups if disks.can_be_made() or not setup.own_disk]
    for number, setup in zip(count(), cycle(possible), strict=False):
        if done >= interruptions:
            return
        if setup.name not in baselines:
            baselines[setup.name] = run_baseline(setup, tiny, f"baseline-{number}")
        limit = min(setup.max_faults, interruptions - done)
        one = run_with_faults(
            setup, tiny, f"faults-{number}", baselines[setup.name], seed=seed + number, max_faults=limit
        )
        done += sum(fault.is_interruption for fault in one.faults)
        yield one


def versions() -> dict[str, str]:
    """Versions of the tested packages."""
    from importlib.metadata import version

    return {name: version(name) for name in ("ftsdk", "llamafactory", "transformers", "torch", "peft", "accelerate")}


def _line(one: CampaignRun) -> str:
    violations = f"VIOLATIONS: {'; '.join(one.violations)}" if one.violations else "no violation"
    clock = time.strftime("%H:%M:%S")
    return f"{clock} {one.setup.name}, seed {one.seed}: {len(one.faults)} in {one.seconds:.0f} s, {violations}"
