"""A tiny Llama, its tokenizer and a small instruction set, generated without any download.

Run as a program by the trainer's Python: `python tiny.py FOLDER` writes FOLDER/model and FOLDER/train.json. It imports
nothing of ftsdk, since that interpreter need not have it.
"""

from __future__ import annotations

import json
import os
import random
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

TRAINER_PYTHON = os.environ.get("FTSDK_TEST_TRAINER_PYTHON", sys.executable)
WORDS = "sun moon river stone bird fish apple bread one two three red green blue runs sings sleeps under over".split()  # noqa: SIM905
ROWS = 128
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOKENIZER_SCRIPT = Path(__file__).parents[1] / "demo" / "model.py"
"""Makes tokenizers of the kind that llama.cpp knows."""


def make(folder: Path) -> Path:
    """Generate model and data in a folder with the trainer's Python; returns the folder.

    The interpreter is FTSDK_TEST_TRAINER_PYTHON, or this one. Raises CalledProcessError if it lacks the trainer.
    """
    subprocess.run([TRAINER_PYTHON, "-P", __file__, str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder


def spec_fields(folder: Path) -> dict[str, object]:
    """Fields of a spec that trains a LoRA adapter on what `make` generated."""
    tuning = {"type": "lora", "rank": 4}
    return {"model": str(folder / "model"), "dataset": str(folder / "train.json"), "tuning": tuning}


def dataset_info(folder: Path, name: str = "train.json") -> dict[str, object]:
    """LLaMA-Factory's registration of the data."""
    return {"tiny": {"file_name": str(folder / name)}}


def config(folder: Path, **changed: object) -> dict[str, object]:
    """A LoRA training of 12 steps with dropout, that logs every step."""
    return {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": str(folder / "model"),
        "finetuning_type": "lora",
        "lora_rank": 4,
        "lora_target": "all",
        "lora_dropout": 0.1,
        "dataset": "tiny",
        "cutoff_len": 64,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "learning_rate": 1e-3,
        "max_steps": 12,
        "logging_steps": 1,
        "report_to": "none",
        "seed": 7,
        **changed,
    }


def _sentence(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words)) + "."


def _write_model(folder: Path, texts: list[str]) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    make_tokens = SimpleNamespace(**runpy.run_path(str(TOKENIZER_SCRIPT)))
    pieces = make_tokens.sentencepiece_model(iter(texts), 512)
    tokenizer = make_tokens.make_tokenizer(pieces, 256)
    tokenizer.chat_template = CHAT
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(pieces)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    rows = [{"instruction": _sentence(rng, 5), "input": "", "output": _sentence(rng, 7)} for _ in range(ROWS)]
    (folder / "train.json").write_text(json.dumps(rows), encoding="utf-8")
    _write_model(folder / "model", [text for row in rows for text in row.values() if text])


if __name__ == "__main__":
    main()
