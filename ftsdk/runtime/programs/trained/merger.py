"""Merges an adapter into its base model and measures how far the result's predictions are from the pair's."""

from __future__ import annotations

import gc
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ftsdk.runtime.programs.interruption import StopRequest
from ftsdk.runtime.programs.model.parts import keep_sentencepiece
from ftsdk.runtime.programs.session import session
from ftsdk.runtime.programs.trained import fidelity
from ftsdk.runtime.programs.trained.held_out import compared_rows
from ftsdk.runtime.programs.trained.loading import ModelError, load_model, load_tokenizer
from ftsdk.runtime.programs.trained.shards import cannot_merge_shards, merge_shards
from ftsdk.runtime.worker_protocol import TrainJob

MAX_KL = 1e-3
"""Nats per token; rounding 32-bit products to bfloat16 stays below it."""
REPORT = "fidelity.json"


def train(job: TrainJob, stop: StopRequest) -> None:
    """Merge as the job document says. Raises ModelError for a model that differs too much afterwards."""
    with session():
        offload = str(Path(job["run"], "offload"))
        merge(job["document"]["config"], Path(job["output"]), rows=compared_rows(job), offload=offload)


def merge(
    config: dict[str, Any], output: Path, *, rows: list[list[int]] | None = None, offload: str | None = None
) -> None:
    """Write the merged model, its tokenizer and the measured difference into a folder.

    `rows` are the token ids that are compared, texts of our own if left out. `offload` is a folder for weights that fit
    into no memory. Raises ModelError for a model that cannot be merged, or that differs too much afterwards.
    """
    base = folder_of(config["model_name_or_path"], config.get("model_revision"))
    if "adapter_name_or_path" not in config:
        raise ModelError(f"{base} is no adapter: there is nothing to merge.")
    _refuse_virtual_tokens(config["adapter_name_or_path"])
    config = {**config, "model_name_or_path": str(base), "dtype": dtype_of(base, config["dtype"])}
    tokenizer = load_tokenizer(config)
    rows = rows or fidelity.probes(tokenizer)
    before = predictions(config, tokenizer, rows, offload)
    write(config, tokenizer, output)
    merged = {"model_name_or_path": str(output), "dtype": config["dtype"]}
    after = predictions(merged, tokenizer, rows, offload)
    measured = fidelity.compare(before, after)
    say(f"Merged in {config['dtype']}: {measured.mean_kl:.2g} nats per token from adapter and base.")
    if measured.mean_kl > MAX_KL:
        raise ModelError(
            f"The merged model differs from adapter and base by {measured.mean_kl:.2g} nats per token, more than "
            f"{MAX_KL:g}: merge with another dtype, such as float32."
        )
    report = {**measured.to_json(), "limit": MAX_KL, "dtype": config["dtype"]}
    if bits := config.get("trained_bits"):
        report["quantized"] = _from_training(config, bits, tokenizer, rows, after)
    (output / REPORT).write_text(json.dumps(report, indent=1), "utf-8")


def _from_training(
    config: dict[str, Any], bits: int, tokenizer: Any, rows: list[list[int]], after: list[Any]
) -> dict[str, float] | None:
    """How far the merged model is from the adapter on the quantised weights that it was trained on; None if unknown."""
    if find_spec("bitsandbytes") is None:
        say(f"The adapter was trained on {bits}-bit weights; the difference is not measured without bitsandbytes.")
        return None
    settings = {"load_in_8bit": True} if bits == 8 else {
        "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
    }  # fmt: skip
    trained = predictions({**config, "quantization": settings}, tokenizer, rows, None)
    measured = fidelity.compare(trained, after)
    say(f"The adapter was trained on {bits}-bit weights: merged into those of {config['dtype']} it predicts "
        f"{measured.mean_kl:.2g} nats per token differently from then.")  # fmt: skip
    return {"bits": bits, **measured.to_json()}


def write(config: dict[str, Any], tokenizer: Any, output: Path) -> None:
    """Write the merged model and its tokenizer: file by file where the adapter allows it, else whole in memory."""
    base, adapter = Path(config["model_name_or_path"]), Path(config["adapter_name_or_path"])
    why_not = cannot_merge_shards(base, adapter)
    if why_not:
        say(f"The whole model is loaded to merge it ({why_not}).")
        load_model(config, tokenizer).merge_and_unload(safe_merge=True).save_pretrained(output)
    else:
        merge_shards(base, adapter, output, config["dtype"])
    tokenizer.save_pretrained(output)
    keep_sentencepiece(config, output)


def predictions(config: dict[str, Any], tokenizer: Any, rows: list[list[int]], offload: str | None) -> list[Any]:
    """What the model predicts on the rows; its memory is free again afterwards."""
    made = fidelity.log_probabilities(load_model(config, tokenizer, offload=offload), rows)
    gc.collect()
    return made


def folder_of(model: str, revision: str | None) -> Path:
    """The folder of a model; one on a hub is downloaded."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, revision=revision))


def dtype_of(base: Path, requested: str) -> str:
    """The number format of the merged weights: the base model's own for `auto`."""
    if requested != "auto":
        return requested
    config = json.loads((base / "config.json").read_bytes())
    named = config.get("dtype") or config.get("torch_dtype") or config.get("text_config", {}).get("dtype")
    return str(named or "float32")


def say(text: str) -> None:
    """Write a line to the job's log."""
    sys.stdout.write(f"{text}\n")


def _refuse_virtual_tokens(adapter: str) -> None:
    from peft import PeftConfig

    kind = PeftConfig.from_pretrained(adapter)
    if kind.is_prompt_learning:
        raise ModelError(
            f"{adapter} holds vectors in place of tokens ({kind.peft_type.value.lower()}), which no weight of the base "
            f"model can hold: use the adapter beside its base model."
        )
