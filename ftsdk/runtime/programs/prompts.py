"""Converts rows of the job's data for TRL: `prompt` (text or messages), `answer`, and all other columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.programs.rewards import ROW

if TYPE_CHECKING:
    from datasets import Dataset

KINDS = {"json": "json", "jsonl": "json", "parquet": "parquet", "arrow": "arrow", "txt": "text"}
"""File extension -> reader; any other extension is read as JSON."""
RESERVED = ("prompt", "answer", "completion", "completion_ids", "messages", ROW)
"""Column names with a meaning to TRL or ftsdk."""


def read(document: JobDocument, *, chat: bool) -> tuple[Dataset, Dataset | None]:
    """Training rows and held-out rows.

    Args:
        document: the job.
        chat: whether the model has a chat template, so that plain prompts become a user's turn.
    """
    config, info = document["config"], document["dataset_info"]
    most, eval_names = config.get("max_samples"), config["eval_dataset"]
    train = _joined(config["dataset"], info, most, chat)
    held_out = _joined(eval_names, info, most, chat) if eval_names else None
    if held_out is None and config.get("eval_fraction"):
        parts = train.train_test_split(test_size=config["eval_fraction"], seed=config["arguments"]["seed"])
        return parts["train"], parts["test"]
    return train, held_out


def _joined(names: list[str], info: Mapping[str, Any], most: int | None, chat: bool) -> Dataset:
    from datasets import concatenate_datasets

    return concatenate_datasets([_source(name, info[name], most, chat) for name in names])


def _source(name: str, entry: Mapping[str, Any], most: int | None, chat: bool) -> Dataset:
    from datasets import load_dataset

    if "hf_hub_url" in entry:
        rows = load_dataset(entry["hf_hub_url"], entry.get("subset"), split=entry.get("split") or "train")
    else:
        kind = KINDS.get(entry["file_name"].rpartition(".")[2].lower(), "json")
        rows = load_dataset(kind, data_files=[entry["file_name"]], split="train")
    rows = rows.select(range(min(most, len(rows)))) if most else rows
    columns, tags = entry.get("columns") or {}, entry.get("tags") or {}

    def converted(row: Mapping[str, Any], number: int) -> dict[str, Any]:
        turns = prompt_of(row, columns, tags)
        plain = len(turns) == 1 and turns[0]["role"] == "user" and not chat
        answer = row.get(columns.get("answer", ""))
        prompt = turns[0]["content"] if plain else turns
        made = {"prompt": prompt, ROW: f"row {number + 1} of {name}"}
        return made if answer is None and "answer" not in columns else {**made, "answer": answer}

    dropped = [column for column in rows.column_names if column in (*columns.values(), *RESERVED)]
    return rows.map(converted, with_indices=True, remove_columns=dropped, load_from_cache_file=False)


def prompt_of(row: Mapping[str, Any], columns: Mapping[str, str], tags: Mapping[str, str]) -> list[dict[str, str]]:
    """The messages that the model answers: everything before the last answer."""
    prompt = row[columns["messages"]] if "messages" in columns else row[columns["prompt"]]
    if isinstance(prompt, str):
        query = row.get(columns.get("query", "")) or ""
        turns = [{"role": "user", "content": f"{prompt}\n{query}" if query else prompt}]
    else:
        turns = [_turn(turn, tags) for turn in prompt]
        while turns and turns[-1]["role"] == "assistant":
            turns.pop()
    system = row.get(columns.get("system", ""))
    return [{"role": "system", "content": system}, *turns] if system else turns


def _turn(turn: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, str]:
    role = str(turn[tags.get("role_tag", "role")])
    names = {tags.get(f"{name}_tag"): name for name in ("user", "assistant", "system")}
    return {"role": names.get(role, role), "content": str(turn[tags.get("content_tag", "content")] or "")}
