"""Dataset: what the model learns from."""

from __future__ import annotations

from typing import Literal, Protocol, get_args, runtime_checkable

from pydantic import Field, model_validator

from ftsdk.spec.base import Part

Format = Literal["alpaca", "sharegpt", "openai", "preference", "kto", "text", "prompts"]
FORMATS: tuple[str, ...] = get_args(Format)


@runtime_checkable
class Table(Protocol):
    """Rows in memory: a pandas DataFrame or a `datasets.Dataset`. `Estimator` takes them for files."""

    def to_json(self, path: str, /, *, orient: str, lines: bool, date_format: str) -> object:
        """Write the rows as JSON Lines."""


class Dataset(Part):
    """Training rows and, if wanted, held-out rows. In YAML a bare path is the same as `{train: path}`."""

    train: tuple[str, ...] = Field(min_length=1, strict=False)
    """Files (JSON, JSONL, CSV, Parquet, Arrow), `hf://ORG/NAME`, `ms://ORG/NAME`, `s3://…`, `oss://…`, or names
    registered in `directory`'s dataset_info.json."""
    eval: tuple[str, ...] = Field(default=(), strict=False)
    """Held-out rows, in the same forms as `train`."""
    eval_fraction: float | None = Field(default=None, gt=0, lt=1)
    """Share of `train` that is held out when `eval` is empty."""
    eval_rows: int | None = Field(default=None, ge=1)
    """Rows of `train` that are held out when `eval` is empty; give this or `eval_fraction`."""
    format: Format | None = None
    """Shape of a row; detected from the columns if left out."""
    columns: dict[str, str] = Field(default={})
    """Role of a column -> its name in the file, for files with other names (e.g. `{prompt: question}`)."""
    tags: dict[str, str] = Field(default={})
    """Names inside chat messages, as in LLaMA-Factory's dataset_info.json (`role_tag`, `user_tag`, …)."""
    directory: str | None = None
    """Folder with a LLaMA-Factory dataset_info.json, for registered names; `REMOTE:ORG/NAME` for one that lies in a
    data set on the hub."""
    max_samples: int | None = Field(default=None, ge=1)
    """Use at most this many rows of each file."""
    streaming: bool = False
    """Read while training instead of before it."""

    @property
    def on_hub(self) -> bool:
        """Whether dataset_info.json itself is on the hub, where the trainer reads it."""
        return (self.directory or "").startswith("REMOTE:")

    @model_validator(mode="after")
    def _one_size(self) -> Dataset:
        if self.eval_fraction is not None and self.eval_rows is not None:
            raise ValueError("give eval_fraction or eval_rows, not both")
        return self
