"""Ask a model one question and print question and answer as JSON.

Run by the trainer's interpreter: `python -m ftsdk.demo.answer FOLDER QUESTION`. Imports nothing of ftsdk.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MAX_NEW_TOKENS = 96


def answer(folder: Path | str, question: str) -> str:
    """The model's most probable answer (greedy decoding).

    The folder holds a whole model, or an adapter whose configuration names the base model.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    made = load(folder).generate(**prompt, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
    return str(tokenizer.decode(made[0][prompt["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


def load(folder: Path | str) -> PreTrainedModel:
    """The model in the folder; an adapter is put on its base model."""
    from transformers import AutoModelForCausalLM

    adapter = Path(folder) / "adapter_config.json"
    if not adapter.exists():
        return AutoModelForCausalLM.from_pretrained(folder)
    from peft import PeftModel

    base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)


def main() -> None:
    """Command line of the trainer's interpreter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("question")
    arguments = parser.parse_args()
    result = {"question": arguments.question, "answer": answer(arguments.folder, arguments.question)}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
