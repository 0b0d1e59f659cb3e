"""Converts rows of the job's data for TRL: `prompt` (text or messages), the row's origin, and all other columns.

The other columns, the answer among them, are one JSON text, which `rewards` reads: in a table of Arrow's types the
answer "2020-01-01" would become a date and an object would have the keys of all others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict, cast

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.programs.data import rows as data_rows
from ftsdk.runtime.programs.rewards import COLUMNS, ROW

if TYPE_CHECKING:
    from datasets import Dataset

    from ftsdk.contract.documents import DatasetEntry
    from ftsdk.contract.foreign import JsonObject
    from ftsdk.contract.programs import ChatMessage, PromptSettings

RESERVED = ("prompt", "answer", "completion", "completion_ids", "messages", ROW)
"""Column names with a meaning to TRL or ftsdk."""


class PromptRow(TypedDict):
    """A row as TRL takes it."""

    prompt: str | list[ChatMessage]
    ftsdk_row: str
    """ROW: where it is from, such as `row 3 of train`."""
    ftsdk_columns: str
    """COLUMNS: the answer and all other columns, as a JSON text."""


def read(document: JobDocument, *, chat: bool) -> tuple[Dataset, Dataset | None]:
    """Training rows and held-out rows.

    Args:
        document: the job.
        chat: whether the model has a chat template, so that plain prompts become a user's turn.
    """
    config, info = cast("PromptSettings", document["config"]), document["dataset_info"]
    most, eval_names = config.get("max_samples"), config["eval_dataset"]
    train = joined(config["dataset"], info, most, chat)
    held_out = joined(eval_names, info, most, chat) if eval_names else None
    if held_out is None and config.get("eval_fraction"):
        parts = train.train_test_split(test_size=config["eval_fraction"], seed=config["arguments"]["seed"])
        return parts["train"], parts["test"]
    return train, held_out


def joined(names: list[str], info: Mapping[str, DatasetEntry], most: int | None, chat: bool) -> Dataset:
    """The rows of data sets by name, at most `most` of each; `info` is their dataset_info.json."""
    from datasets import concatenate_datasets

    return concatenate_datasets([_source(name, info[name], most, chat) for name in names])


def _source(name: str, entry: DatasetEntry, most: int | None, chat: bool) -> Dataset:
    from datasets import Features, Value, load_dataset

    if hub := entry.get("hf_hub_url") or entry.get("script_url"):  # a name on the hub, or a folder from another one
        rows = load_dataset(hub, entry.get("subset"), split=entry.get("split") or "train")
    else:
        rows = data_rows.table([entry["file_name"]])
    rows = rows.select(range(min(most, len(rows)))) if most else rows
    columns, tags = entry.get("columns") or {}, entry.get("tags") or {}

    def converted(given: JsonObject, number: int) -> PromptRow:
        row = json.loads(given[data_rows.TEXT]) if data_rows.TEXT in given else dict(given)
        where = f"row {number + 1} of {name}"
        turns = prompt_of(row, columns, tags)
        if not chat and (len(turns) != 1 or turns[0]["role"] != "user"):
            raise ValueError(f"{where} is a chat and the model has no chat template; use a model that has one.")
        others = {key: value for key, value in row.items() if key not in (*columns.values(), *RESERVED)}
        if "answer" in columns:
            others["answer"] = row.get(columns["answer"])
        values = json.dumps(others, ensure_ascii=False, default=str)
        return {"prompt": turns if chat else turns[0]["content"], "ftsdk_row": where, "ftsdk_columns": values}

    message = {"role": Value("string"), "content": Value("string")}
    features = Features({
        "prompt": [message] if chat else Value("string"), ROW: Value("string"), COLUMNS: Value("string"),
    })  # fmt: skip
    return rows.map(
        converted, with_indices=True, remove_columns=rows.column_names, features=features, load_from_cache_file=False
    )


def prompt_of(row: JsonObject, columns: Mapping[str, str], tags: Mapping[str, str]) -> list[ChatMessage]:
    """The messages that the model answers: everything before the last answer."""
    prompt = row[columns["messages"]] if "messages" in columns else row[columns["prompt"]]
    if isinstance(prompt, str):
        query = row.get(columns.get("query", "")) or ""
        turns: list[ChatMessage] = [{"role": "user", "content": f"{prompt}\n{query}" if query else prompt}]
    else:
        turns = [_turn(turn, tags) for turn in prompt]
        while turns and turns[-1]["role"] == "assistant":
            turns.pop()
    system = row.get(columns.get("system", ""))
    return [{"role": "system", "content": system}, *turns] if system else turns


def _turn(turn: JsonObject, tags: Mapping[str, str]) -> ChatMessage:
    role = str(turn[tags.get("role_tag", "role")])
    names = {tags.get(f"{name}_tag"): name for name in ("user", "assistant", "system")}
    return {"role": names.get(role, role), "content": str(turn[tags.get("content_tag", "content")] or "")}
