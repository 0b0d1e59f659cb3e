"""What of a model may leave its owner's machines: no private path, no secret."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast

from ftsdk.contract.lineage import VERDICT_FILE, LineageRecord
from ftsdk.errors import FtsdkError

WITH_PATHS = ("adapter_config.json", "config.json", "generation_config.json", "tokenizer_config.json",
              "trainer_state.json")  # fmt: skip
"""Files of a model in which trainers write paths of the machine that trained. The others hold only what is public."""
PRIVATE_FIELDS = ("folder", "options", "job")
"""Fields of a lineage record that say where its owner works."""
PRIVATE_IN_SPEC = ("env", "secrets", "output", "tracking")
ABSOLUTE = re.compile(r"(?:file://)?/[^\s/]+(?:/[^\s/]+)+/?|[A-Za-z]:[\\/]\S+|~[\\/]\S+")
TEXT = (".json", ".jsonl", ".md", ".txt", ".yaml", ".yml", ".jinja", ".py", ".log")
SECRET_SHAPES = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{32,}|AKIA[0-9A-Z]{16}|LTAI[0-9A-Za-z]{16,}|gh[pousr]_[A-Za-z0-9]{36,})\b"
)
"""Access tokens of Hugging Face, OpenAI, AWS, Alibaba Cloud and GitHub by their documented forms."""
SECRET_NAMES = re.compile(r"(TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY)")
MIN_SECRET_CHARACTERS = 8


def public_record(record: LineageRecord) -> LineageRecord:
    """A lineage record without folders, options, environment, addresses and rows of its owner; its parents' too."""
    kept = {name: value for name, value in record.items() if name not in PRIVATE_FIELDS}
    if isinstance(spec := kept.get("spec"), dict):
        kept["spec"] = {name: value for name, value in spec.items() if name not in PRIVATE_IN_SPEC}
    if evaluations := record.get("evaluations"):  # their samples are rows of the owner's data
        kept["evaluations"] = [{name: part for name, part in one.items() if name != "samples"} for one in evaluations]
    kept["parents"] = [public_record(parent) for parent in record.get("parents", [])]
    return cast(LineageRecord, without_paths(kept))


def public_name(address: str) -> str:
    """A hub id or a name as it is; the last part of a path or of a bucket's address."""
    is_address = "://" in address or ABSOLUTE.fullmatch(address) or address.startswith((".", "~"))
    parts = [part for part in re.split(r"[\\/]+", address) if part]
    return parts[-1] if is_address and parts else address


def without_paths(value: object) -> object:
    """JSON data in which every text that is an absolute path or an address is its last part only."""
    if isinstance(value, Mapping):
        return {key: without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inner) for inner in value]
    if isinstance(value, str) and (ABSOLUTE.fullmatch(value) or re.fullmatch(r"[a-z0-9+]+://\S+", value)):
        return public_name(value)
    return value


def public_files(files: Mapping[str, Path], base_model: str) -> dict[str, Path | bytes]:
    """The model's files as they may be published: where trainers wrote paths, the file's content without them.

    A verdict is left out: it shows held-out rows.
    """
    return {
        name: _cleaned(path, base_model) if PurePosixPath(name).name in WITH_PATHS else path
        for name, path in files.items()
        if name != VERDICT_FILE
    }


def refuse_secrets(contents: Mapping[str, Path | bytes], names: Iterable[str]) -> None:
    """Raise FtsdkError if a text file holds an access token, or the value of a secret of this environment.

    `names` are the secrets that the job was given.
    """
    values = {value for name, value in os.environ.items() if name in names or SECRET_NAMES.search(name.upper())}
    known = [value for value in values if len(value) >= MIN_SECRET_CHARACTERS]
    for name, content in contents.items():
        if not name.endswith(TEXT):
            continue
        text = (
            content.decode("utf-8", "replace") if isinstance(content, bytes) else content.read_text("utf-8", "replace")
        )
        if SECRET_SHAPES.search(text) or any(value in text for value in known):
            raise FtsdkError(
                f"{name} of the model holds a secret or an access token: nothing was pushed; remove it there."
            )


def _cleaned(path: Path, base_model: str) -> bytes:
    try:
        data = json.loads(path.read_bytes())
    except ValueError:
        return path.read_bytes()
    if isinstance(data, dict) and "base_model_name_or_path" in data:
        data["base_model_name_or_path"] = public_name(base_model)
    return json.dumps(without_paths(data), indent=2, ensure_ascii=False).encode()


def is_path(address: str) -> bool:
    """Whether an address names a file or folder and not a model of a hub."""
    return bool(ABSOLUTE.fullmatch(address)) or PureWindowsPath(address).is_absolute() or "://" in address
