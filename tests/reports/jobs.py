"""Finished jobs for the tests of lineage, comparison, report and push: real ones, whose trainer is a few lines."""

from dataclasses import replace

from ftsdk import Estimator, backends
from ftsdk.jobs.job import Job
from ftsdk.jobs.submit import submit
from tests.python_jobs import PREAMBLE

TRAINS = """
for step in range(1, 11):
    metrics(step, loss=START / step, learning_rate=1e-4, tokens_per_s=100.0, grad_norm=1.0)
    if step % 5 == 0:
        metrics(step, eval_loss=START / step + (0.5 if step == 10 else 0.1))
(output / "config.json").write_text('{"model_type": "qwen2"}')
(output / "model.safetensors").write_bytes(bytes([int(START)]) * 1000)
(output / "README.md").write_text("made by the trainer")
log = [{"step": s, "loss": START / s} for s in range(1, 11)] + [{"step": 10, "eval_loss": START / 10 + 0.5}]
(output / "trainer_state.json").write_text(json.dumps({"log_history": log, "best_global_step": 5}))
"""


def finished(folder, *, start=2.0, model="./model", source=TRAINS, options=None, **fields) -> Job:
    """A job that has succeeded."""
    given = {"price_usd_per_hour": 3.6, **(options or {})}
    estimator = Estimator(model=model, dataset="train.jsonl", folder=folder, options=given, **fields)
    plan = estimator.plan()
    trainer = folder / f"trainer-{plan.name}.py"
    trainer.write_text(PREAMBLE + source.replace("START", str(start)), encoding="utf-8")
    plan = replace(plan, document={**plan.document, "trainer": str(trainer)})
    job = submit(plan, backends.get("local", given), secrets={}, on_attach=lambda info: None)
    job.result(60)
    return job
