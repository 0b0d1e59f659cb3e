"""A program of a user, right in every call. `test_consumer.py` checks its types; it is not run."""

from pathlib import Path
from typing import assert_type

from ftsdk import (
    AuthError,
    Backend,
    Dataset,
    Estimate,
    Estimator,
    FtsdkError,
    Hyperparameters,
    Job,
    JobInfo,
    JobSpec,
    JobState,
    Lora,
    Method,
    MetricRecord,
    Model,
    Plan,
    QLora,
    Reason,
    Resources,
    Retry,
    Status,
    WaitTimeoutError,
    list_jobs,
)
from ftsdk.backends.docker import Docker, DockerOptions
from ftsdk.backends.local import Local
from ftsdk.backends.pai import Pai
from ftsdk.backends.sagemaker import SageMaker
from ftsdk.backends.skypilot import SkyPilot

# --- the short forms, and the parts ---
short = Estimator(model="Qwen/Qwen3-8B", dataset="train.jsonl", method="dpo", tuning="qlora", retry=3)
paths = Estimator(model="a/b", dataset=[Path("a.jsonl"), Path("b.jsonl")], checkpoint="auto", sharding="zero3")
mapping = Estimator(model="a/b", dataset={"train": "x.jsonl"}, tuning={"rank": 16}, hyperparameters={"max_steps": 3})
parts = Estimator(
    model="a/b",
    dataset=Dataset(train=("x.jsonl",)),
    method=Method(stage="dpo", beta=0.1),
    tuning=QLora(rank=16, bits=4),
    hyperparameters=Hyperparameters(learning_rate=1e-4),
    resources=Resources(accelerator="H100", accelerators_per_node=8),
    retry=Retry(retries=3, on="infra"),
    secrets=["HF_TOKEN"],
    backend=Docker(DockerOptions(image="my/image:1")),
    folder=Path(),
)
spec = JobSpec(model="a/b", dataset="x", tuning="lora")
over = Estimator(spec, tuning=Lora(rank=32), backend="docker", options={"image": "my/image:1"})

everywhere: list[Backend] = [Docker(), Local(), Pai(), SageMaker(), SkyPilot()]

# --- what the verbs return ---
assert_type(over.spec, JobSpec)
assert_type(over.backend, Backend)
assert_type(over.plan(), Plan)
assert_type(over.plan().estimate, Estimate)
job = over.fit(wait=False, again=True)
assert_type(job, Job)
assert_type(job.wait(60), JobInfo)
assert_type(job.status(), Status)
assert_type(job.model(), Model)
assert_type(next(job.events()).get("step"), int | None)
assert_type(job.state, JobState)
assert_type(job.info().reason, Reason)
assert_type(job.info().console_url, str | None)
assert_type(job.metrics()[0], MetricRecord)
assert_type(job.metrics()[0]["step"], int)
losses: list[float] = [record["loss"] for record in job.metrics() if "loss" in record]
frame = job.metrics().to_pandas()
uris: list[str] = [entry.uri for entry in list_jobs("docker")]
first = next(job.watch(every_s=1.0))
assert_type(first.uri, str)

try:
    job.wait(timeout_s=1)
except WaitTimeoutError as late:
    print(late.exit_code)
except (AuthError, FtsdkError):
    raise
if job.info().reason is Reason.OOM:
    print(Job.attach(job.uri))
