"""The demo's model and the script that asks it, in the trainer's interpreter."""

import json
import subprocess
from pathlib import Path

import pytest

import ftsdk.demo
from ftsdk.testing import tiny

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import answer, model
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer

rows, folder = sys.argv[2:]
parameters = model.make_model(folder, rows)
tokenizer = AutoTokenizer.from_pretrained(folder)
pieces = model.Path(folder, "tokenizer.model").read_bytes()
adapter = get_peft_model(answer.load(folder), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
adapter.save_pretrained(folder + "-adapter")
tokenizer.save_pretrained(folder + "-adapter")
question = [{"role": "user", "content": "Hi"}]
print(json.dumps({
    "parameters": parameters,
    "same_tokenizer": model.make_tokenizer(pieces, 512).get_vocab() == tokenizer.get_vocab(),
    "chat": tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False),
    "round_trip": tokenizer.decode(tokenizer("Größe ≥ 日本\\n\\tx").input_ids),
    "answers": [answer.answer(at, "What is an apple?") for at in (folder, folder + "-adapter")],
    "adapter": type(answer.load(folder + "-adapter")).__name__,
}))
"""


@pytest.mark.trainer
def test_the_model_is_saved_loaded_and_generates_with_and_without_an_adapter(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"instruction": f"What is {i}?", "output": f"It is {i}."}) + "\n" for i in range(9))
    )
    argv = [tiny.TRAINER_PYTHON, "-c", PROGRAM, Path(ftsdk.demo.__file__).parent, rows, tmp_path / "model"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    assert 2e6 < said["parameters"] < 5e6
    assert said["same_tokenizer"]
    assert said["chat"] == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert said["round_trip"] == "Größe ≥ 日本\n\tx"
    assert said["adapter"].startswith("Peft")
    assert said["answers"][0] == said["answers"][1]  # a new adapter changes nothing
    assert json.loads((tmp_path / "model" / "config.json").read_text())["model_type"] == "llama"
