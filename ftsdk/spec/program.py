"""Program: what a job does. Training is the default; the others work on a model that exists."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from ftsdk.spec.base import Part

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class Train(Part):
    """Train the model."""

    type: Literal["train"] = "train"


class Merge(Part):
    """Add an adapter's weights to those of its base model: the result is a whole model.

    With a `dataset`, its held-out rows are what is compared; without one, texts of ftsdk's own package.
    """

    type: Literal["merge"] = "merge"
    dtype: Dtype = "auto"
    """Number format of the merged weights; `auto` is the base model's own."""


ExportFormat = Literal["gguf", "awq", "gptq", "fp8", "mlx"]
QuantName = Literal[
    "f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q3_k_m", "q2_k",
]  # fmt: skip


class Export(Part):
    """Write the model, merged with its adapter, in the format of another program, and prove that it predicts the same.

    With a `dataset`, its held-out rows are what is compared; without one, texts of ftsdk's own package.
    """

    type: Literal["export"] = "export"
    format: ExportFormat = "gguf"
    """`gguf` (llama.cpp, Ollama, LM Studio); the others are refused with what to use instead."""
    quant: tuple[QuantName, ...] = Field(default=("f16",), strict=False)
    """Number formats by llama.cpp's names, one file each."""

    @field_validator("quant")
    @classmethod
    def _at_least_one(cls, quant: tuple[QuantName, ...]) -> tuple[QuantName, ...]:
        if not quant:
            raise ValueError("name at least one number format, such as f16")
        return quant


MetricName = Literal[
    "loss", "perplexity", "preference_accuracy", "margin", "exact_match", "accuracy", "precision", "recall", "f1",
    "bleu", "rouge1", "rouge2", "rougeL",
]  # fmt: skip
METRICS: tuple[str, ...] = get_args(MetricName)
ANSWER_METRICS = frozenset(METRICS) - {"loss", "perplexity", "preference_accuracy", "margin"}
"""Metrics for which the model has to answer the rows."""


class Judge(Part):
    """A model behind an OpenAI-compatible address that says which of two answers is better."""

    url: str = Field(pattern=r"^https?://[^@\s]+$")
    """Address as OpenAI's clients take it, e.g. `https://api.openai.com/v1`; the job asks it."""
    model: str = "model"
    """Name of the model in requests."""
    key: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the variable with the key, which has to be among `secrets`; none is sent if left out."""


class Evaluate(Part):
    """Measure the model on held-out rows: those of `dataset.eval`, else those held out of `dataset.train` by
    `eval_fraction` or `eval_rows`, else all of `dataset.train`."""

    type: Literal["evaluate"] = "evaluate"
    metrics: tuple[MetricName, ...] = Field(default=(), strict=False)
    """What is measured; left out: loss and perplexity, for pairs of answers also preference_accuracy and margin."""
    against: str | None = None
    """Another model on the same rows: `base` (the model under the adapter), a folder or an address."""
    judge: Judge | None = None
    """A model that compares the answers with those of `against`: each row in both orders, a tie where they differ."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Tokens of an answer at most, for metrics that compare answers."""


class Generate(Part):
    """Answer the prompts of `dataset`, one after the other; after an interruption it goes on where it was."""

    type: Literal["generate"] = "generate"
    max_new_tokens: int = Field(default=512, ge=1)
    """Tokens of an answer at most."""
    temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature; 0 takes the most probable tokens; the model's own default if left out."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Sample from the most likely tokens that make up this probability; the model's own default if left out."""


class Serve(Part):
    """Answer requests until it is taken down: what `ftsdk deploy` puts behind an address. It is no job."""

    type: Literal["serve"] = "serve"
    beside: str | None = None
    """A second model behind the same address, for an A/B test: a folder or an address."""
    beside_share: float = Field(default=0.5, gt=0, lt=1)
    """Share of the requests that the second model answers."""
    min_replicas: int = Field(default=1, ge=0)
    """Servers at least; 0 stops all of them while there are no requests, where the platform can."""
    max_replicas: int = Field(default=1, ge=1)
    """Servers at most; not fewer than `min_replicas`."""


class PythonFile(Part):
    """Run a Python file of yours where the trainer runs: with its packages, on its machine, supervised as a training.

    `FTSDK_TRAIN` names a JSON file: what is left in the folder `output` is the job's result, `document.config` holds
    `model`, `dataset` (files) and `arguments`. Numbers in `output/metrics.json` are its metrics.
    """

    type: Literal["python"] = "python"
    file: str = Field(min_length=1)
    """Path of the file, which travels with the job."""
    arguments: dict[str, object] = Field(default={})
    """Values for the file, as JSON."""


ProgramType = Literal["train", "merge", "export", "evaluate", "generate", "serve", "python"]
PROGRAMS: tuple[str, ...] = get_args(ProgramType)
Program = Annotated[Train | Merge | Export | Evaluate | Generate | Serve | PythonFile, Field(discriminator="type")]
BASE = "base"
"""Value of `against` for the model under the adapter."""
WITHOUT_ROWS = frozenset({"merge", "export", "serve", "python"})
"""Programs that need no `dataset`; where merges and exports have one, its held-out rows are what they compare."""


def needs_rows(program: object) -> bool:
    """Whether a job with this value of `program` reads a dataset."""
    kind = program.get("type") if isinstance(program, dict) else getattr(program, "type", program)
    return not (isinstance(kind, str) and kind in WITHOUT_ROWS)


def other_model(program: Program) -> str | None:
    """The address of a second model that the program reads; None without one."""
    if isinstance(program, Serve):
        return program.beside
    against = program.against if isinstance(program, Evaluate) else None
    return None if against == BASE else against
