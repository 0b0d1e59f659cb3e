"""A machine is taken away in the middle of a training; whoever watches starts it again, and no step is lost.

python examples/survive_preemption.py --steps 60 --after 20
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path

from ftsdk import Estimator, Job, contract

DATA = Path(__file__).parent / "data"


def main() -> None:
    """Train, stop the supervisor as a platform does that takes a machine back, and watch what follows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen/Qwen2.5-0.5B-Instruct", help="a hub id or a folder")
    parser.add_argument("--train", type=Path, default=DATA / "train.jsonl", help="rows to learn from")
    parser.add_argument("--steps", type=int, default=60, help="optimizer steps in all")
    parser.add_argument("--after", type=int, default=20, help="take the machine away once this step is logged")
    parser.add_argument("--cutoff-len", type=int, default=512, help="tokens of a row")
    arguments = parser.parse_args()

    estimator = Estimator(
        name="preempted",
        model=arguments.model,
        dataset=str(arguments.train),
        hyperparameters={
            "max_steps": arguments.steps,
            "cutoff_len": arguments.cutoff_len,
            "gradient_accumulation_steps": 1,
            "logging_steps": 1,
        },
        retry={"retries": 3, "on": "infra"},
        budget={"max_hours": 2.0},
    )
    job = estimator.fit(wait=False)
    for event in job.events(follow=True):
        if event["event"] == contract.EVENT_METRICS and event["step"] >= arguments.after:
            take_the_machine_away(job)
            break

    # What `ftsdk watch`, `ftsdk wait` and `estimator.fit()` do: wait, and start again what the policy says.
    job.wait(on_decision=lambda decision, info: print(decision.why))

    look = job.status()
    for attempt in look.attempts:
        print(f"Attempt {attempt.number}: {attempt.state} {attempt.reason}, {attempt.seconds:.0f} s")
    steps = [record["step"] for record in job.metrics() if "loss" in record]
    missing = sorted(set(range(1, arguments.steps + 1)) - set(steps))
    print(f"Logged steps: {steps[0]} to {steps[-1]}, missing: {missing or 'none'}")
    print(f"Budget left: {look.budget_left()['hours']:.2f} h")
    print("Model:", job.model().uri)


def take_the_machine_away(job: Job) -> None:
    """SIGTERM to the local job's supervisor, without the note that a cancel leaves."""
    process = json.loads(job.store.read(contract.process_key(job.info().attempt)))
    os.kill(process["pid"], signal.SIGTERM)


if __name__ == "__main__":
    main()
