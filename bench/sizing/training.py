"""One training of `bench.gpu`: a model of real shape with random weights, some steps, and the clock."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.architecture.shapes import ModelShape
from ftsdk.sizing.tables import config_of_row, rows

WARM_STEPS: Final = 3
MIN_STEPS: Final = 5
MEASURE_S: Final = 12.0
TOY: Final = {
    "model_type": "qwen3",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 128,
    "vocab_size": 512,
    "tie_word_embeddings": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way of training one shape."""

    trainer: str = "plain"
    """plain: a loop of our own; llamafactory: LLaMA-Factory with its defaults."""
    model: str = "qwen3-8b"
    tuning: str = "lora"
    seq_len: int = 4096
    micro_batch: int = 1
    checkpointing: bool = True
    liger: bool = False
    packing: bool = True
    """False: rows of different lengths, padded; speed then counts real tokens only."""


class Timing(NamedTuple):
    """Seconds a step, real tokens a step, and all tokens a step."""

    step_s: float
    real: float
    every: float


def shape_and_config(case: Case) -> tuple[ModelShape, dict[str, Any]]:
    """Shape and config.json of a case's model."""
    if case.model == "toy":
        return shape_of_config(TOY), dict(TOY)
    row = next(row for row in rows("models.csv") if case.model in row["name"].split())
    config = config_of_row(row)
    return shape_of_config(config), config


def train(case: Case, device: str) -> Timing:
    """Run the case. Raises ImportError for a package that is not there, and torch's own error out of memory."""
    return _llamafactory(case, device) if case.trainer == "llamafactory" else _plain(case, device)


def _plain(case: Case, device: str) -> Timing:
    """A loop that does what LLaMA-Factory's trainer does."""
    import torch

    model = _model(case, device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=device == "cuda")
    autocast = torch.autocast(device, torch.bfloat16) if case.tuning != "full" else nullcontext()
    batches = _batches(case, shape_and_config(case)[0].vocab_size, device)

    def step() -> int:
        batch = next(batches)
        with autocast:
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return int((batch["labels"] >= 0).sum())

    return _timed(step, case, device)


def _timed(step: Callable[[], int], case: Case, device: str) -> Timing:
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(WARM_STEPS if device == "cuda" else 1):
        step()
    wait()
    begun, real, steps = time.perf_counter(), 0, 0
    while steps < MIN_STEPS or (device == "cuda" and time.perf_counter() - begun < MEASURE_S):
        real += step()
        steps += 1
        wait()
    return Timing((time.perf_counter() - begun) / steps, real / steps, float(case.micro_batch * case.seq_len))


def _model(case: Case, device: str) -> Any:
    """Random weights of the case's shape, tuned as LLaMA-Factory would: fp32 adapters on a bf16 (or 4-bit) base."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = dict(shape_and_config(case)[1])
    config = AutoConfig.for_model(settings.pop("model_type"), **settings, max_position_embeddings=case.seq_len)
    config._attn_implementation = "sdpa"
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.config.use_cache = False
    if case.liger:
        import_module("liger_kernel.transformers")._apply_liger_kernel_to_instance(model=model)
    if case.tuning == "qlora":
        _quantise(model)
    if case.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
    if case.tuning != "full":
        model = _adapted(model)
    return model.train()


def _quantise(model: Any) -> None:
    """Every linear layer but the output layer in nf4, double quantised; one at a time, so that memory stays low."""
    import torch

    bnb = import_module("bitsandbytes")
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear) and name != "lm_head":
                place = child.weight.device
                four = bnb.nn.Linear4bit(
                    child.in_features,
                    child.out_features,
                    bias=child.bias is not None,
                    compute_dtype=torch.bfloat16,
                    compress_statistics=True,
                    quant_type="nf4",
                )
                weight = bnb.nn.Params4bit(child.weight.data.cpu(), requires_grad=False, quant_type="nf4")
                four.weight, four.bias = weight, child.bias
                setattr(module, name, four.to(place))


def _adapted(model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    adapted.enable_input_require_grads()
    return adapted


def _batches(case: Case, vocab_size: int, device: str) -> Iterator[dict[str, Any]]:
    """Synthetic tokens: full rows, or rows of an eighth to the whole of the length, padded."""
    import torch

    chance = random.Random(0)
    while True:
        ids = torch.randint(0, vocab_size, (case.micro_batch, case.seq_len), device=device)
        if case.packing:
            yield {"input_ids": ids, "labels": ids.clone()}
            continue
        lengths = [chance.randint(case.seq_len // 8, case.seq_len) for _ in range(case.micro_batch)]
        mask = torch.arange(case.seq_len, device=device)[None] < torch.tensor(lengths, device=device)[:, None]
        longest = max(lengths)
        labels = ids.masked_fill(~mask, -100)
        batch = {"input_ids": ids, "attention_mask": mask.long(), "labels": labels}
        yield {name: tensor[:, :longest] for name, tensor in batch.items()}


def _llamafactory(case: Case, device: str) -> Timing:
    """The same work through LLaMA-Factory with nothing set that does not have to be."""
    from llamafactory.train.tuner import run_exp
    from transformers import TrainerCallback

    ends: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    steps = WARM_STEPS + MIN_STEPS
    with tempfile.TemporaryDirectory() as folder:
        _write_model_and_data(case, Path(folder), steps)
        run_exp(_llamafactory_config(case, Path(folder), steps, device), callbacks=[Clock()])
    measured = ends[WARM_STEPS - 1 :]
    tokens = float(case.micro_batch * case.seq_len)
    return Timing((measured[-1] - measured[0]) / (len(measured) - 1), tokens, tokens)


def _llamafactory_config(case: Case, folder: Path, steps: int, device: str) -> dict[str, Any]:
    config = {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": str(folder / "model"),
        "train_from_scratch": True,
        "finetuning_type": "full" if case.tuning == "full" else "lora",
        "lora_rank": 16,
        "dataset": "words",
        "dataset_dir": str(folder),
        "template": "empty",
        "cutoff_len": case.seq_len,
        "per_device_train_batch_size": case.micro_batch,
        "gradient_accumulation_steps": 1,
        "max_steps": steps,
        "bf16": device == "cuda",
        "output_dir": str(folder / "out"),
        "save_strategy": "no",
        "report_to": "none",
    }
    return {**config, "quantization_bit": 4} if case.tuning == "qlora" else config


def _write_model_and_data(case: Case, folder: Path, steps: int) -> None:
    """config.json, a tokenizer of whole words, and rows that are longer than the cutoff."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [f"w{number}" for number in range(min(500, shape_and_config(case)[0].vocab_size - 2))]
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<end>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>")
    fast.save_pretrained(folder / "model")
    (folder / "model" / "config.json").write_text(json.dumps(shape_and_config(case)[1]), encoding="utf-8")
    chance = random.Random(0)
    rows_ = [
        {"instruction": "w1", "input": "", "output": " ".join(chance.choices(words, k=case.seq_len + 8))}
        for _ in range(steps * case.micro_batch)
    ]
    (folder / "words.json").write_text(json.dumps(rows_), encoding="utf-8")
    (folder / "dataset_info.json").write_text(json.dumps({"words": {"file_name": "words.json"}}), encoding="utf-8")
