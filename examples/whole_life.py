"""The life of a model after its training: evaluated against its base, merged, asked, published, deployed.

python examples/whole_life.py --deploy docker
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from ftsdk import Estimator, Lora

DATA = Path(__file__).parent / "data"


def main() -> None:
    """Train an adapter, then do with it what one does with a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen/Qwen2.5-0.5B-Instruct", help="a hub id or a folder")
    parser.add_argument("--train", type=Path, default=DATA / "train.jsonl", help="questions and answers")
    parser.add_argument("--steps", type=int, default=50, help="optimizer steps")
    parser.add_argument("--backend", default="local", help="where the jobs run; `ftsdk backends` shows all")
    parser.add_argument("--deploy", help="where the model is deployed: docker, sagemaker or pai; nowhere if left out")
    arguments = parser.parse_args()

    job = Estimator(
        name="whole-life",
        model=arguments.model,
        dataset={"train": str(arguments.train), "eval_rows": 4},
        tuning=Lora(rank=16),
        hyperparameters={"max_steps": arguments.steps, "cutoff_len": 256, "logging_steps": 5},
        backend=arguments.backend,
    ).fit()
    model = job.model()
    print("Trained:", job.uri)

    result = model.evaluate(arguments.train, against="base", backend=arguments.backend)
    loss = result.metrics["loss"]
    print(f"Loss {loss.value:.3f}, that of the base {loss.against:.3f}: {loss.verdict}")

    merged = model.merge(backend=arguments.backend)
    print("Merged:", merged.uri)

    with tempfile.TemporaryDirectory() as folder:
        print("Published:", merged.push(f"{folder}/published"))

    if arguments.deploy:
        deployment = merged.deploy(backend=arguments.deploy, name="whole-life")
        try:
            answer = deployment.ask({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8})
            print("Deployed:", deployment.uri, "answers", repr(answer["choices"][0]["message"]["content"]))
        finally:
            deployment.undeploy()


if __name__ == "__main__":
    main()
