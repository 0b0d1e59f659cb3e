"""Two trainings in a row: supervised fine-tuning, then preference optimisation of its result.

python examples/chain_sft_dpo.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ftsdk import Estimator, Lora, Method

DATA = Path(__file__).parent / "data"


def main() -> None:
    """Train with sft, give the job's URI to a second job as its model, and train that with dpo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen/Qwen2.5-0.5B-Instruct", help="a hub id or a folder")
    parser.add_argument("--train", type=Path, default=DATA / "train.jsonl", help="questions and answers")
    parser.add_argument("--preferences", type=Path, default=DATA / "preferences.jsonl", help="prompt, chosen, rejected")
    parser.add_argument("--steps", type=int, default=50, help="optimizer steps of each training")
    parser.add_argument("--cutoff-len", type=int, default=512, help="tokens of a row")
    parser.add_argument("--backend", default="local", help="where to run; `ftsdk backends` shows all")
    arguments = parser.parse_args()
    hyperparameters = {"max_steps": arguments.steps, "cutoff_len": arguments.cutoff_len, "logging_steps": 5}

    # All weights, so that the result is a whole model: the second training then holds its adapter against it. (With an
    # adapter as its start, LLaMA-Factory's DPO would hold it against the base model below both.)
    sft = Estimator(
        name="chain-sft",
        model=arguments.model,
        dataset=str(arguments.train),
        method="sft",
        tuning="full",
        hyperparameters=hyperparameters,
        backend=arguments.backend,
    ).fit()
    print("SFT:", sft.uri)

    dpo = Estimator(
        name="chain-dpo",
        model=sft.uri,  # a finished job stands for the model that it made
        dataset=str(arguments.preferences),
        method=Method(stage="dpo", beta=0.1),
        tuning=Lora(rank=16),
        hyperparameters={**hyperparameters, "learning_rate": 5e-6},
        backend=arguments.backend,
    ).fit()
    model = dpo.model()
    print("DPO:", dpo.uri)
    print(f"Model: {model.uri}, an adapter on {model.base_model}")


if __name__ == "__main__":
    main()
