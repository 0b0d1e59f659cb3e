"""Model: the result of a job, its address and its origin."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ftsdk import backends, contract
from ftsdk.contract.documents import JobDocument
from ftsdk.contract.lineage import LineageRecord
from ftsdk.errors import DataError, JobFailedError, UnsupportedError
from ftsdk.models import evaluation, lineage, pushing
from ftsdk.models.deployment import Deployment, deploy, plan_deployment
from ftsdk.models.downloading import download_model
from ftsdk.models.evaluation import Evaluation
from ftsdk.runtime.storage.base import OnBytes, Store, ignore_bytes
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.runtime.storage.names import UnsafeNameError, relative_parts
from ftsdk.spec import Evaluate, Export, JobSpec, Merge, Serve, Stage
from ftsdk.spec.job import NO_ROWS
from ftsdk.spec.parts import Resources
from ftsdk.spec.program import Dtype, ExportFormat, Judge, MetricName, QuantName
from ftsdk.storage import records
from ftsdk.terminal import notebook
from ftsdk.terminal.progress import byte_bar

RunProgram = Callable[[JobSpec, str], "Model"]
"""Runs a spec on the backend of this name."""


def no_launcher(spec: JobSpec, backend: str) -> Model:
    """Stands in for the launcher of a model that was opened without a job. Raises UnsupportedError."""
    raise UnsupportedError(f"{spec.model} was opened without its job: use `Job.attach(…).model()`.")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A handle on a finished job's model. Holds no weights; `download` copies them."""

    uri: str
    """Address of the model's folder; another job takes it as its `model`."""
    job_uri: str
    base_model: str
    """The model before the training; needed to load an adapter."""
    adapter: bool
    """True if the folder holds an adapter and not a whole model."""
    digest: str
    """Digest of the spec and the data of its job."""
    files: dict[str, int]
    """File name -> bytes."""
    store: Store = field(repr=False)
    document: JobDocument = field(repr=False)
    """The job document of its job."""
    run: RunProgram = field(repr=False, default=no_launcher)
    """Runs a job on the model and returns what it made; set by the job that the model comes from."""

    def _repr_html_(self) -> str:
        """The model in a notebook."""
        return notebook.table(
            self.uri,
            {
                "job": self.job_uri,
                "base model": self.base_model,
                "kind": "adapter" if self.adapter else "whole model",
                "files": len(self.files),
                "size": f"{self.bytes / 1e6:.1f} MB",
            },
        )

    @property
    def path(self) -> Path | None:
        """The folder, if it lies on this machine."""
        return self.store.path(contract.MODEL_DIR) if isinstance(self.store, FolderStore) else None

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(self.files.values())

    @cached_property
    def lineage(self) -> LineageRecord:
        """What the model was made from, with and where: the record of `ftsdk.json` and the model's evaluations."""
        return lineage.read(self.store, self.document, self.job_uri)

    def resources_on(self, backend: str) -> Resources:
        """The resources of a job on the model: the accelerator of its own job, if that ran on this backend."""
        origin = self.document.get("origin")
        if origin is None or self.document["backend"] != backend or "resources" not in origin["spec"]:
            return Resources()
        return Resources(accelerator=origin["spec"]["resources"].get("accelerator"))

    def merge(self, *, dtype: Dtype = "auto", backend: str = "local") -> Model:
        """Merge this adapter into its base model and return the whole model; waits for the job.

        Args:
            dtype: number format of the merged weights; `auto` is the base model's own.
            backend: registry name of the place where the job runs.

        Raises SpecError if this is no adapter, and JobFailedError if the merged model's predictions differ from those
        of base and adapter by more than 0.001 nats per token.
        """
        resources = self.resources_on(backend)
        return self.run(JobSpec(model=self.uri, program=Merge(dtype=dtype), resources=resources), backend)

    def export(
        self,
        format: ExportFormat = "gguf",
        *,
        quant: Sequence[QuantName] = ("f16",),
        dataset: str | Path | None = None,
        backend: str = "local",
    ) -> Model:
        """Write this model, merged with its adapter, for another program and return what was made; waits for the job.

        Args:
            format: `gguf`, for llama.cpp, Ollama and LM Studio.
            quant: number formats by llama.cpp's names, one file each.
            dataset: rows on which the files are compared with this model; texts of our own if left out.
            backend: registry name of the place where the job runs.

        Raises UnsupportedError for a format or an architecture that is not exported, and JobFailedError if a file would
        predict, render or stop otherwise than this model (docs/after-training.md has the limits).
        """
        program = Export(format=format, quant=tuple(quant))
        rows = NO_ROWS if dataset is None else str(dataset)
        resources = self.resources_on(backend)
        return self.run(JobSpec(model=self.uri, program=program, dataset=rows, resources=resources), backend)

    def evaluate(
        self,
        dataset: str | Path,
        *,
        metrics: Sequence[MetricName] = (),
        against: str | None = None,
        judge: Judge | None = None,
        method: Stage = "sft",
        backend: str = "local",
    ) -> Evaluation:
        """Measure this model on the rows of a file; waits for the job. The result is kept beside the model, too.

        Args:
            dataset: held-out rows, in any form that trains.
            metrics: what is measured; by default loss and perplexity, for dpo also preference_accuracy and margin.
            against: `base`, or another model's folder or address, measured on the same rows.
            judge: a model behind an OpenAI-compatible address that compares the answers with those of `against`.
            method: what the rows are for: `sft`, `pt` or `dpo`.
            backend: registry name of the place where the job runs.
        """
        program = Evaluate(metrics=tuple(metrics), against=against, judge=judge)
        secrets = (judge.key,) if judge and judge.key else ()
        resources = self.resources_on(backend)
        spec = JobSpec(
            model=self.uri, dataset=str(dataset), method=method, program=program, secrets=secrets, resources=resources
        )
        return self.keep_evaluation(self.run(spec, backend))

    def keep_evaluation(self, made: Model) -> Evaluation:
        """Read the evaluation that a job made, and keep it beside this model."""
        written = made.store.read(f"{contract.MODEL_DIR}/{evaluation.FILE}")
        self.store.put(f"{evaluation.FOLDER}/{made.job_uri.rpartition('/')[2]}.json", written)
        return Evaluation.from_json(made.job_uri, json.loads(written))

    def deploy(self, *, backend: str, name: str = "", options: Mapping[str, object] | None = None) -> Deployment:
        """Put this model behind an address and return the deployment once it has answered a request.

        Args:
            backend: `docker`, `sagemaker`, `pai` or `skypilot`.
            name: the deployment's name; made from the model if left out.
            options: the backend's options.

        Raises SpecError if the name is taken by another deployment, BackendError if it does not come up.
        """
        place = backends.get(backend, options)
        spec = JobSpec(model=self.uri, name=name, program=Serve(), resources=self.resources_on(backend))
        return deploy(plan_deployment(spec, place), place, bar=byte_bar)

    def download(self, folder: Path | str, *, overwrite: bool = False, on_bytes: OnBytes = ignore_bytes) -> Path:
        """Copy the model's files into a folder and return it; all of them come, or none.

        Args:
            folder: a new or an empty folder.
            overwrite: take a folder that has files, too: files of the same names and an earlier model's are replaced.
            on_bytes: called with the number of bytes just copied.

        Raises FtsdkError for a folder that is not empty, and for a file whose SHA-256 is not the recorded one.
        """
        return download_model(self.store, self.files, Path(folder), overwrite=overwrite, on_bytes=on_bytes)

    def push(self, to: str, *, private: bool = True, overwrite: bool = False, on_bytes: OnBytes = ignore_bytes) -> str:
        """Publish the model with a card and the public part of its lineage, and return its address.

        Args:
            to: `hf:ORG/NAME`, an address such as `s3://bucket/folder`, or a folder.
            private: create the hub's repository as a private one; one that exists stays what it is.
            overwrite: replace files of the same names in a place that holds something else.
            on_bytes: called with the number of bytes just copied from the job's bucket.

        A push that was interrupted goes on when it is repeated. Raises FtsdkError for a place that is not empty and for
        a file that holds a secret, AuthError for missing rights.
        """
        pushing.check_target(to)
        with self._local_files(on_bytes) as files:
            model = pushing.Publication(self.lineage, files, self.adapter, self.base_model)
            return pushing.push(model, to, private=private, overwrite=overwrite)

    @contextmanager
    def _local_files(self, on_bytes: OnBytes) -> Iterator[dict[str, Path]]:
        """The files on this machine, downloaded for as long as they are needed if they are elsewhere."""
        if self.path is not None:
            yield {name: self.path / name for name in self.files}
            return
        with tempfile.TemporaryDirectory(prefix="ftsdk-push-") as folder:
            copied = self.download(Path(folder) / "model", on_bytes=on_bytes)
            yield {name: copied / name for name in self.files}


def open_model(store: Store, job_uri: str, document: JobDocument, *, run: RunProgram = no_launcher) -> Model:
    """The model in a job's durable folder. Raises JobFailedError if none was published."""
    prefix = f"{contract.MODEL_DIR}/"
    committed = records.read_json(store, prefix + contract.COMMIT_FILE)
    if committed is None:
        raise JobFailedError(f"Job {job_uri} has published no model; `ftsdk status {job_uri}` says why.")
    ours = {contract.COMMIT_FILE, contract.manifest_key(0)}
    files = {_checked(item.key.removeprefix(prefix), store): item.bytes for item in store.list(prefix)}
    return Model(
        uri=f"{store.uri.rstrip('/')}/{contract.MODEL_DIR}",
        job_uri=job_uri,
        base_model=document["base_model"],
        adapter="adapter_config.json" in files,
        digest=document["digest"],
        files={name: size for name, size in files.items() if name not in ours},
        store=store,
        document=document,
        run=run,
    )


def _checked(name: str, store: Store) -> str:
    """A file's name, which becomes a path of this machine. Raises DataError for one that leads out of the folder."""
    try:
        return "/".join(relative_parts(name))
    except UnsafeNameError as problem:
        raise DataError(f"{store.uri} holds a file that no training wrote ({problem}): look at it there.") from None
