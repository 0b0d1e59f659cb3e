"""Submits to SageMaker, emulated on loopback: ftsdk beside the vendor's own SDK."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from bench.launch.environments import Environment
from bench.launch.programs import rows, warm
from bench.launch.timing import Measure, load
from tests.emulators.sagemaker import KEYS, SageMakerCloud

SUBMITS = (("ftsdk", "ftsdk_sagemaker.py"), ("sagemaker", "sagemaker_train.py"))


def submits(environments: dict[str, Environment], folder: Path, runs: int) -> Measure:
    """From the call to the service's answer. The machines are sold out, so that nothing runs beside it."""
    cloud = SageMakerCloud()
    cloud.make_account()
    cloud.sold_out = {"ml.m5.xlarge"}
    os.environ |= KEYS
    try:
        found = [
            replace(warm(row), note=f"{warm(row).note}, {row.note}")
            for who, program in SUBMITS
            if who in environments
            for row in rows(who, environments[who], program, "submit", cloud.url, str(runs + 1), folder=folder)
        ]
    finally:
        cloud.close()
    return Measure(
        title="A submit to SageMaker",
        about="In one process: from the description of a training to the service's answer, with two small inputs. The "
        "service is an emulator on loopback. ftsdk reads the inputs, plans, stages, writes its journal and looks "
        "whether the job is there already; ModelTrainer uploads its inputs anew for every job.",
        rows=tuple(found),
        load=load(),
    )
