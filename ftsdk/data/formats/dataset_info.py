"""Entries of LLaMA-Factory's dataset_info.json: written for a file, read as the shape of a file, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ftsdk.contract.documents import DatasetEntry
from ftsdk.data.formats.catalog import OPENAI_TAGS, PAIR_METHODS, SHAREGPT_TAGS, USUAL_COLUMNS
from ftsdk.data.formats.files import DataFile
from ftsdk.errors import DataError, SpecError, UnsupportedError, did_you_mean

_DEFAULT_COLUMNS = {"prompt": "instruction", "query": "input", "response": "output", "messages": "conversations"}


def dataset_info_entry(
    format: str, columns: Mapping[str, str], tags: Mapping[str, str], file_name: str
) -> DatasetEntry:
    """The entry of LLaMA-Factory's dataset_info.json for one file or folder.

    Chat in OpenAI's form is loaded through the `sharegpt` converter with other tags, because 0.9.5's own `openai`
    converter adds "detailed thinking off" to the system prompt of every row without tools (`data/converter.py`).
    A file with `Detected.convert_first` set must be converted before this entry fits it. Without columns (a data set on
    a hub, which cannot be inspected) those that the format usually has are named.
    """
    sampled = format == "prompts"  # TRL's methods read these, LLaMA-Factory's none
    named = (columns or USUAL_COLUMNS[format]).items()
    known = {role: name for role, name in named if sampled or role != "answer"}
    entry: DatasetEntry = {"file_name": file_name}
    if "messages" in known or (sampled and tags):
        entry["formatting"] = "sharegpt"
        entry["tags"] = {**(OPENAI_TAGS if format == "openai" else SHAREGPT_TAGS), **tags}
    if format == "preference":
        entry["ranking"] = True
    entry["columns"] = known
    return entry


def without_empty_names(entry: Mapping[str, object]) -> dict[str, object]:
    """An entry without names that are empty or null: they mean unset, as in the trainer."""
    kept = {key: value for key, value in entry.items() if value is not None}
    if isinstance(columns := kept.get("columns"), dict):
        kept["columns"] = {role: name for role, name in columns.items() if name}
    return kept


def from_entry(entry: DatasetEntry, path: str | Path) -> DataFile:
    """The shape that an entry of dataset_info.json (LLaMA-Factory 0.9.5, `data/parser.py`) gives to a file.

    Roles whose column the trainer would look for by default are only named if the entry has no `columns` at all.
    """
    formatting = str(entry.get("formatting", "alpaca"))
    chat = formatting != "alpaca"
    roles = ("messages",) if chat else ("prompt", "query", "response")
    columns = dict(entry["columns"]) if "columns" in entry else {role: _DEFAULT_COLUMNS[role] for role in roles}
    tags = {**(OPENAI_TAGS if formatting == "openai" else SHAREGPT_TAGS), **entry.get("tags", {})} if chat else {}
    return DataFile(path=path, format=_format(entry, formatting, columns), columns=columns, tags=tags)


def _format(entry: DatasetEntry, formatting: str, columns: Mapping[str, str]) -> str:
    if entry.get("ranking"):
        return "preference"
    if "kto_tag" in columns:
        return "kto"
    if formatting == "alpaca":
        return "alpaca" if "response" in columns else "text"
    return formatting


_ENTRY_KEYS = ("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name", "formatting",
               "ranking", "subset", "split", "folder", "num_samples", "columns", "tags")  # fmt: skip
_COLUMN_KEYS = ("prompt", "query", "response", "history", "messages", "system", "tools", "images", "videos", "audios",
                "chosen", "rejected", "kto_tag")  # fmt: skip
_EXTENSIONS = {"arrow": "arrow", "csv": "csv", "json": "json", "jsonl": "json", "parquet": "parquet", "txt": "text"}
"""What the trainer's loader reads (`extras/constants.py`)."""


def origin(entry: DatasetEntry) -> str:
    """Where an entry's rows come from: hub, script, cloud or file; a hub's name wins over a file, as in the trainer."""
    if any(key in entry for key in ("hf_hub_url", "ms_hub_url", "om_hub_url")):
        return "hub"
    if "script_url" in entry:
        return "script"
    return "cloud" if "cloud_file_name" in entry else "file"


def check_entry(name: str, entry: DatasetEntry, stage: str) -> None:
    """Refuse an entry that the trainer would misread without a message, or fail on. Raises SpecError and DataError."""
    for given, known in (
        (entry, _ENTRY_KEYS),
        (entry.get("columns", {}), _COLUMN_KEYS),
        (entry.get("tags", {}), OPENAI_TAGS),
    ):
        for key in given:
            if key not in known and (close := did_you_mean(key, known)):
                raise SpecError(f"dataset_info.json, '{name}': the trainer would ignore the key '{key}'{close}.")
    if entry.get("formatting", "alpaca") not in ("alpaca", "sharegpt", "openai"):
        raise SpecError(
            f"dataset_info.json, '{name}': formatting {entry['formatting']!r} is not known; "
            f"write alpaca, sharegpt or openai."
        )
    if bool(entry.get("ranking")) != (stage in PAIR_METHODS):
        should = "needs" if stage in PAIR_METHODS else "cannot train on"
        raise DataError(f"dataset '{name}': method {stage} {should} preference pairs (`ranking: true`).")
    if stage == "kto" and "kto_tag" not in entry.get("columns", {}):
        raise DataError(f"dataset '{name}': method kto needs a column for kto_tag in its dataset_info.json entry.")


def files_of(name: str, path: Path) -> list[Path]:
    """The file of an entry, or the files of its folder, all of one kind. Raises SpecError."""
    if not path.exists():
        raise SpecError(f"dataset '{name}': dataset_info.json names {path}, which is not there.")
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    kinds = {file: _EXTENSIONS.get(file.suffix.removeprefix(".")) for file in files}
    odd = next((file for file in files if not file.is_file() or kinds[file] is None), None)
    if odd is not None or not files:
        what = f"the trainer cannot load {odd}" if odd else f"{path} is empty"
        raise SpecError(f"dataset '{name}': {what}; it loads {', '.join(_EXTENSIONS)} files.")
    if len(set(kinds.values())) > 1:
        raise SpecError(f"dataset '{name}': the files in {path} are of several kinds; keep one kind in a folder.")
    return files


def script_folder(name: str, path: Path) -> Path:
    """The data folder of a `script_url`. Raises SpecError if it is not there and UnsupportedError for a script."""
    if not path.is_dir() and not path.is_file():
        raise SpecError(f"dataset '{name}': dataset_info.json names {path}, which is not there.")
    if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py"))):
        raise UnsupportedError(
            f"dataset '{name}': the trainer's `datasets` 4 runs no loading scripts ({path}); "
            f"save the rows as a JSON or Parquet file and register that."
        )
    return path
