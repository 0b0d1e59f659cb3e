"""Creates adapters as the program does, saves them, and loads them with plain peft.

A program for the trainer's Python: `adapter_kinds.py MODEL SETTINGS.json FOLDER`; JSON on stdout, by name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, PeftModel
from transformers import AutoModelForCausalLM

from ftsdk.runtime.programs.model.adapters import _train_biases_only, adapted
from ftsdk.runtime.programs.trained import merger
from ftsdk.runtime.programs.trained.loading import ModelError

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TOKENS = torch.arange(5, 25).unsqueeze(0)


def predicted(model):
    with torch.no_grad():
        return model.eval()(input_ids=TOKENS).logits[0, -20:]


def tried(base: str, settings, folder: Path):
    """Numbers of trained parameters, and differences of predictions: after a change, and after loading it anew."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base)
    before = predicted(model)
    if settings["kind"] == "bitfit":
        _train_biases_only(lambda model: None, model)
    else:
        targets = settings.pop("targets", None) or LINEARS
        model = adapted(settings, model, LoraConfig(target_modules=targets))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(torch.randn_like(parameter) * 0.05)
    after = predicted(model)
    model.save_pretrained(folder)
    whole = settings["kind"] == "bitfit"
    fresh = AutoModelForCausalLM.from_pretrained(folder if whole else base)
    loaded = predicted(fresh if whole else PeftModel.from_pretrained(fresh, folder))
    return {
        "unmerged": "" if whole else unmerged(base, folder),
        "trained": sum(parameter.numel() for parameter in trained),
        "moved": float((after - before).abs().max()),
        "differs": float((loaded - after).abs().max()),
    }


def unmerged(base: str, folder: Path) -> str:
    """Why an adapter of vectors in place of tokens is not merged; empty for others."""
    if not PeftConfig.from_pretrained(folder).is_prompt_learning:
        return ""
    try:
        merger.merge({"model_name_or_path": base, "adapter_name_or_path": str(folder), "dtype": "auto"}, folder / "m")
    except ModelError as problem:
        return str(problem)
    return "merged"


def main() -> None:
    base, settings, folder = sys.argv[1:]
    kinds = json.loads(Path(settings).read_text()).items()
    print(json.dumps({name: tried(base, given, Path(folder, name)) for name, given in kinds}))


if __name__ == "__main__":
    main()
