"""Loads the model and tokenizer that a program's configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TOKENIZER_FILES = ("tokenizer*", "vocab*", "*.tiktoken")
"""transformers makes an empty tokenizer for a folder without any."""


class ModelError(Exception):
    """The model cannot be used for this program; the message is a sentence for the user."""


def load_tokenizer(config: dict[str, Any]) -> Any:
    """The adapter's tokenizer, which training may have extended, else the base model's. Raises ModelError."""
    from transformers import AutoTokenizer

    adapter = config.get("adapter_name_or_path")
    base = config["model_name_or_path"]
    source = adapter if adapter and Path(adapter, "tokenizer_config.json").is_file() else base
    if Path(source).is_dir() and not any(path for name in TOKENIZER_FILES for path in Path(source).glob(name)):
        raise ModelError(f"The model {source} has no tokenizer: put its tokenizer files into the folder.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=config.get("model_revision"), padding_side="left")
    except (OSError, ValueError, TypeError) as problem:
        raise ModelError(f"The model {source} has a tokenizer that cannot be loaded ({first_line(problem)}).") from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(config: dict[str, Any], tokenizer: Any, *, offload: str | None = None) -> Any:
    """The model for inference, with its adapter put on it if it has one.

    `offload` is a folder for weights that fit into no memory.
    """
    base = load_base(config, tokenizer, offload=offload)
    adapter = config.get("adapter_name_or_path")
    if adapter is None:
        return base
    from peft import PeftModel

    return PeftModel.from_pretrained(base, adapter).eval()


def load_base(config: dict[str, Any], tokenizer: Any, *, offload: str | None = None) -> Any:
    """The base model, its embedding as large as the tokenizer of an adapter that was trained with new tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    place = {"device_map": "auto", "offload_folder": offload} if offload or torch.cuda.is_available() else {}
    if settings := config.get("quantization"):
        from transformers import BitsAndBytesConfig

        place = {"quantization_config": BitsAndBytesConfig(**settings)}
    model = AutoModelForCausalLM.from_pretrained(
        config["model_name_or_path"],
        dtype=config.get("dtype", "auto"),
        revision=config.get("model_revision"),
        **place,
    )
    if config.get("adapter_name_or_path") and len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return model.eval()


def first_line(problem: Exception) -> str:
    return str(problem).strip().partition("\n")[0]
