"""A model is more than its weights: an adapter's own tokenizer, chat template and processor go with it.

LLaMA-Factory loads them from the base model; tokens that an earlier training added would be lost, and with them the
rows of the embedding that it learned.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TOKENIZER_FILE = "tokenizer_config.json"
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
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


def has_embeddings(adapter: Path) -> bool:
    """Whether an adapter's folder holds whole embedding or output layers."""
    try:
        saved = json.loads((adapter / "adapter_config.json").read_text("utf-8")).get("modules_to_save") or ()
    except (OSError, ValueError):
        return False
    return any(mark in name for name in saved for mark in EMBEDDINGS)
