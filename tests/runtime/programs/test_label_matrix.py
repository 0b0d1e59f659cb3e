"""What a preview shows is what LLaMA-Factory alone would train: its demo data under thirty of its templates."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ftsdk.testing import tiny
from tests import llamafactory
from tests.runtime.programs import label_matrix

STAGES = {
    "identity": "sft", "alpaca_en_demo": "sft", "alpaca_zh_demo": "sft", "glaive_toolcall_en_demo": "sft",
    "glaive_toolcall_zh_demo": "sft", "dpo_en_demo": "rm", "dpo_zh_demo": "rm", "kto_en_demo": "kto",
    "wiki_demo": "pt", "c4_demo": "pt",
}  # fmt: skip
TEMPLATES = (
    "alpaca", "chatml", "qwen", "qwen3", "qwen3_nothink", "default", "vicuna", "llama2", "llama3", "mistral",
    "deepseek", "deepseek3", "deepseekr1", "yi", "gemma", "gemma2", "glm4", "phi4", "zephyr", "intern2", "cohere",
    "granite3", "hunyuan", "gpt_oss", "mimo", "seed_oss", "olmo", "smollm2", "falcon", "empty",
)  # fmt: skip


def labels(configs, *, alone):
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "DISABLE_VERSION_CHECK": "1"}
    environ["PYTHONPATH"] = str(Path(__file__).parents[3])
    request = json.dumps({"alone": alone, "configs": configs})
    argv = [tiny.TRAINER_PYTHON, label_matrix.__file__]
    done = subprocess.run(argv, input=request, capture_output=True, text=True, check=True, env=environ)
    return json.loads(done.stdout)


@pytest.mark.trainer
@pytest.mark.long
def test_labels_are_those_of_the_trainer_alone(tmp_path, tiny_folder, pytestconfig):
    folder = llamafactory.source(Path(pytestconfig.cache.mkdir("llamafactory"))) / "data"
    common = {"model_name_or_path": str(tiny_folder / "model"), "do_train": True, "finetuning_type": "lora",
              "dataset_dir": str(folder), "cutoff_len": 1024, "max_samples": 12, "report_to": "none",
              "overwrite_cache": True, "output_dir": str(tmp_path / "out")}  # fmt: skip
    configs = [
        {**common, "template": template, "dataset": name, "stage": stage}
        for template in TEMPLATES
        for name, stage in STAGES.items()
    ]
    expected, made = labels(configs, alone=True), labels(configs, alone=False)
    different = [name for name, rows in expected.items() if made[name] != rows]
    assert not different
    assert sum(isinstance(rows, list) and len(rows) > 0 for rows in expected.values()) == len(configs)
