"""Whether a model's folder on this machine has all that a training loads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from ftsdk.errors import SpecError
from ftsdk.facts.facts import ModelFacts

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")
TOKENIZERS = frozenset(
    {"tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model"}
)


def refuse_incomplete(model: ModelFacts) -> None:
    """Raise SpecError for a folder without weights or without a tokenizer; models elsewhere cannot be looked at."""
    own = [PurePath(file.path) for file in model.files]
    for folder in dict.fromkeys((model.address, model.base)):
        names = [path.name for path in own if path.is_relative_to(folder)]
        if model.kind == "path" and names:
            _refuse(folder, names, is_adapter=folder != model.base)


def _refuse(folder: str, names: Iterable[str], *, is_adapter: bool) -> None:
    if not any(name.endswith(WEIGHTS) for name in names):
        raise SpecError(
            f"model {folder}: the folder has no weights (*.safetensors or *.bin); download the model again, or give "
            f"its hub id."
        )
    if not is_adapter and TOKENIZERS.isdisjoint(names):
        raise SpecError(
            f"model {folder}: the folder has no tokenizer (tokenizer.json or tokenizer.model); copy it from the "
            f"model's repository, or give its hub id."
        )
