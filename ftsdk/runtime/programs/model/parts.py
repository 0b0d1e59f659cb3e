"""A model is more than its weights: an adapter's own tokenizer, chat template and processor go with it.

LLaMA-Factory loads them from the base model; tokens that an earlier training added would be lost, and with them the
rows of the embedding that it learned.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

TOKENIZER_FILE = "tokenizer_config.json"
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
SENTENCEPIECE = "tokenizer.model"
EMBEDDINGS = ("embed", "wte", "lm_head", "output_layer")


def use_parts_of_adapter(config: dict[str, Any]) -> dict[str, Any]:
    """Load tokenizer and processor from the adapter that the training continues, if it has them.

    Call it before LLaMA-Factory's trainers are imported. Returns the configuration, with `resize_vocab` where the
    adapter holds embeddings of its own, whose vocabulary the base model must be brought to.
    """
    adapter = Path(str(config.get("adapter_name_or_path") or ""))
    if not config.get("adapter_name_or_path") or not (adapter / TOKENIZER_FILE).is_file():
        return config
    from llamafactory.model import loader

    loader.AutoTokenizer = FromAdapter(loader.AutoTokenizer, adapter)
    if any((adapter / name).is_file() for name in PROCESSOR_FILES):
        loader.AutoProcessor = FromAdapter(loader.AutoProcessor, adapter)
    grows = has_embeddings(adapter) and not config.get("quantization_bit")
    return {**config, "resize_vocab": True} if grows else config


class FromAdapter:
    """A transformers auto class that loads from the adapter's folder in place of the base model."""

    def __init__(self, auto: Any, folder: Path) -> None:
        self._auto, self._folder = auto, folder

    def from_pretrained(self, _base: str, **options: Any) -> Any:
        """As the auto class's; a revision is one of the base model's repository."""
        return self._auto.from_pretrained(str(self._folder), **{**options, "revision": None})


def keep_sentencepiece(config: dict[str, Any], folder: Path) -> None:
    """Put the base model's `tokenizer.model` beside a whole model's tokenizer, which transformers saves without it.

    llama.cpp needs it: `tokenizer.json` does not hold the scores of the pieces.
    """
    whole = (folder / "tokenizer.json").is_file() and not (folder / "adapter_config.json").is_file()
    if os.environ.get("RANK", "0") != "0" or not whole or (folder / SENTENCEPIECE).exists():
        return
    from huggingface_hub import try_to_load_from_cache

    base, revision = config["model_name_or_path"], config.get("model_revision")
    vocabulary = (
        Path(base) / SENTENCEPIECE
        if Path(base).is_dir()
        else try_to_load_from_cache(base, SENTENCEPIECE, revision=revision)
    )
    if isinstance(vocabulary, str | Path) and Path(vocabulary).is_file():
        shutil.copyfile(vocabulary, folder / SENTENCEPIECE)


def has_embeddings(adapter: Path) -> bool:
    """Whether an adapter's folder holds whole embedding or output layers."""
    try:
        saved = json.loads((adapter / "adapter_config.json").read_text("utf-8")).get("modules_to_save") or ()
    except (OSError, ValueError):
        return False
    return any(mark in name for name in saved for mark in EMBEDDINGS)
