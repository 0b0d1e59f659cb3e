"""Calls of a user, each wrong: type checkers report every line that says so, and no other. It is not run."""

from ftsdk import Estimator, Hyperparameters, Job, JobSpec, Lora, Method, Resources, Retry
from ftsdk.backends.docker import DockerOptions

Estimator(modle="Qwen/Qwen3-8B", dataset="train.jsonl")  # wrong
Estimator(model="a/b", datset="train.jsonl")  # wrong
Estimator(model="a/b", dataset=3)  # wrong
Estimator(model="a/b", dataset="x", method="dpoo")  # wrong
Estimator(model="a/b", dataset="x", tuning="loar")  # wrong
Estimator(model="a/b", dataset="x", retry="often")  # wrong
Estimator(model="a/b", dataset="x", secrets="HF_TOKEN")  # wrong
Estimator(model="a/b", dataset="x", learning_rate=1e-4)  # wrong
Estimator(model="a/b", dataset="x", options=["image=x"])  # wrong
Estimator(model="a/b", dataset="x", backend=3)  # wrong
JobSpec(model="a/b", dataset="x", tuninng="lora")  # wrong
JobSpec(model="a/b", dataset="x", timeout_hours="two")  # wrong
Lora(rnk=16)  # wrong
Lora(rank="sixteen")  # wrong
Method(stage="sfft")  # wrong
Resources(gpus=8)  # wrong
Retry(on="always")  # wrong
Hyperparameters(learning_rate="fast")  # wrong
DockerOptions(imagge="my/image:1")  # wrong

estimator = Estimator(model="a/b", dataset="x")
estimator.fit(wiat=False)  # wrong
job = Job.attach("local://x")
job.wait(timeout_s="60")  # wrong
job.waitt()  # wrong
job.metrics()[0]["lss"]  # wrong
next(job.events())["stpe"]  # wrong
print(job.info().reason.upper().foo)  # wrong
job.info().state = "RUNNING"  # wrong
