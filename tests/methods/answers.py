"""Loads finished models as their users would, with transformers and peft, and lets each answer or score.

A program for the trainer's Python: model folders as arguments, JSON on stdout: folder -> its answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def answer(folder: Path, base: str) -> str:
    """Twelve tokens after a prompt; raises for weights that are not numbers or do not fit the model."""
    adapter = (folder / "adapter_config.json").is_file()
    model = AutoModelForCausalLM.from_pretrained(base if adapter else folder)
    if adapter:
        model = PeftModel.from_pretrained(model, str(folder))
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": "one two three"}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    made = model.eval().generate(**prompt, max_new_tokens=12, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    return str(tokenizer.decode(made[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))


def main() -> None:
    base, *folders = sys.argv[1:]
    print(json.dumps({folder: answer(Path(folder), base) for folder in folders}))


if __name__ == "__main__":
    main()
