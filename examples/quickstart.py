"""Fine-tune a model with a few lines of Python and watch it learn.

python examples/quickstart.py
python examples/quickstart.py --model ./my-model --train my-rows.jsonl --backend docker
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ftsdk import Estimator, Lora

DATA = Path(__file__).parent / "data"


def main() -> None:
    """Train, show the loss while it runs, and say where the model is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen/Qwen2.5-0.5B-Instruct", help="a hub id or a folder")
    parser.add_argument("--train", type=Path, default=DATA / "train.jsonl", help="rows to learn from")
    parser.add_argument("--steps", type=int, default=50, help="optimizer steps")
    parser.add_argument("--cutoff-len", type=int, default=512, help="tokens of a row")
    parser.add_argument("--backend", default="local", help="where to run; `ftsdk backends` shows all")
    arguments = parser.parse_args()

    # What to train. Nothing happens yet.
    estimator = Estimator(
        name="quickstart",
        model=arguments.model,
        dataset=str(arguments.train),
        method="sft",
        tuning=Lora(rank=16),
        hyperparameters={
            "learning_rate": 2e-4,
            "max_steps": arguments.steps,
            "cutoff_len": arguments.cutoff_len,
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "logging_steps": 1,
        },
        backend=arguments.backend,
    )
    print("This will run as", estimator.plan().uri)

    # Start it. The job lives on its own: this program may end, and another one may attach to it.
    job = estimator.fit(wait=False)
    for event in job.events(follow=True):
        if event["event"] == "metrics" and "loss" in event:
            print(f"step {event['step']}/{event['total_steps']}: loss {event['loss']:.3f}")

    # Raises JobFailedError with the reason if there is no model.
    model = job.result()
    print("Job:", job.uri)
    print("Model:", model.uri)


if __name__ == "__main__":
    main()
