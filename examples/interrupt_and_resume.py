"""Interrupt a training and go on: the second attempt starts where the first one stopped.

python examples/interrupt_and_resume.py --stop-after 20
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ftsdk import Estimator, Job

DATA = Path(__file__).parent / "data"


def main() -> None:
    """Train, cancel on the way, train to the end, and show that no step is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen/Qwen2.5-0.5B-Instruct", help="a hub id or a folder")
    parser.add_argument("--train", type=Path, default=DATA / "train.jsonl", help="rows to learn from")
    parser.add_argument("--steps", type=int, default=60, help="optimizer steps in all")
    parser.add_argument("--stop-after", type=int, default=20, help="cancel once this step is logged")
    parser.add_argument("--cutoff-len", type=int, default=512, help="tokens of a row")
    parser.add_argument("--backend", default="local", help="where to run; `ftsdk backends` shows all")
    arguments = parser.parse_args()

    estimator = Estimator(
        name="interrupted",
        model=arguments.model,
        dataset=str(arguments.train),
        hyperparameters={
            "max_steps": arguments.steps,
            "cutoff_len": arguments.cutoff_len,
            "gradient_accumulation_steps": 1,
            "logging_steps": 1,
        },
        backend=arguments.backend,
    )

    # Attempt 1: ask it to stop once it has come far enough. The state is saved at the step it stops at.
    job = estimator.fit(wait=False)
    wait_for_step(job, arguments.stop_after)
    job.cancel()
    ended = job.wait()
    print(f"Attempt {ended.attempt}: {ended.state}. {ended.message}")

    # Attempt 2: the same spec and data are the same job, so this goes on from there.
    job = estimator.fit()
    print(f"Attempt {job.info().attempt}: {job.state}.")

    steps = [record["step"] for record in job.metrics() if "loss" in record]
    missing = sorted(set(range(1, arguments.steps + 1)) - set(steps))
    print(f"Logged steps: {steps[0]} to {steps[-1]}, missing: {missing or 'none'}")
    print("Model:", job.model().uri)


def wait_for_step(job: Job, step: int) -> None:
    """Return once the job has logged this step, or has ended."""
    for event in job.events(follow=True):
        if event["event"] == "metrics" and event["step"] >= step:
            return


if __name__ == "__main__":
    main()
