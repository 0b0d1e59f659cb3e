"""LLaMA-Factory's files for other tasks than training -> the programs that do the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ftsdk.errors import SpecError, UnsupportedError, did_you_mean
from ftsdk.spec.job import NormalizedSpec

Task = Literal["train", "merge", "predict", "evaluate", "benchmark", "chat"]
MARKS_OF_TASKS: tuple[tuple[str, Task], ...] = (
    ("do_train", "train"), ("export_dir", "merge"), ("task", "benchmark"), ("predict_with_generate", "predict"),
    ("do_predict", "predict"), ("do_eval", "evaluate"), ("infer_backend", "chat"), ("dataset", "train"),
)  # fmt: skip
"""Argument -> what a file with it does; the first that is set decides."""
MODEL_KEYS = frozenset({
    "model_name_or_path", "adapter_name_or_path", "template", "finetuning_type", "trust_remote_code", "infer_dtype",
    "infer_backend", "export_dir", "export_size", "export_device", "export_quantization_bit", "export_hub_model_id",
    "export_quantization_dataset", "export_quantization_nsamples", "export_quantization_maxlen",
    "export_legacy_format",
})  # fmt: skip
"""Arguments of files that name a model and no rows."""
ANSWER_METRICS = ("bleu", "rouge1", "rouge2", "rougeL")
"""What LLaMA-Factory computes of predictions."""
LONGEST_ANSWER = 1024
"""LLaMA-Factory's default of `max_new_tokens`."""
DTYPES = frozenset({"auto", "float32", "bfloat16", "float16"})


def task_of(data: Mapping[str, object]) -> Task:
    """What a file of LLaMA-Factory does; one that names a model only is for a chat."""
    return next((task for mark, task in MARKS_OF_TASKS if data.get(mark)), "chat")


def merge_spec(data: Mapping[str, object]) -> tuple[NormalizedSpec, list[str]]:
    """The merge of a file with `export_dir`. Raises UnsupportedError for an export that merges nothing."""
    _refuse_unknown(data)
    if data.get("export_quantization_bit"):
        raise UnsupportedError(
            "export_quantization_bit: GPTQ's library does not run beside the trainer; merge the adapter, and quantise "
            "the result with GPTQModel or llm-compressor, or write GGUF files with `ftsdk export MODEL --quant q4_k_m`."
        )
    if not data.get("adapter_name_or_path"):
        raise UnsupportedError(
            "export_dir without adapter_name_or_path copies a model that is whole already: `ftsdk push` publishes it, "
            "and `ftsdk export` writes GGUF files."
        )
    dtype = data.get("infer_dtype", "auto")
    if dtype not in DTYPES:
        raise SpecError(f"infer_dtype: {dtype!r:.40} is none of {', '.join(sorted(DTYPES))}.")
    notes = [
        f"export_dir is left out: the merged model is the job's; `ftsdk model JOB --download {data['export_dir']}` "
        f"copies it.",
        f"model_name_or_path is left to the adapter {_adapter(data)}, which names its base model.",
    ]
    if data.get("export_size"):
        notes.append("export_size is left out: the files are as large as the base model's.")
    return NormalizedSpec({"model": _adapter(data), "program": {"type": "merge", "dtype": dtype}}), notes


def as_training(data: Mapping[str, object], task: Task) -> tuple[dict[str, object], dict[str, object]]:
    """(arguments of a training on the rows that a file evaluates or predicts, the program that does it)."""
    rows = {key: value for key, value in data.items() if key not in ("do_eval", "do_predict", "predict_with_generate")}
    longest = rows.pop("max_new_tokens", LONGEST_ANSWER)
    if not rows.get("dataset") and rows.get("eval_dataset"):
        rows["dataset"] = rows.pop("eval_dataset")
    answers = {"metrics": list(ANSWER_METRICS), "max_new_tokens": longest} if task == "predict" else {}
    return rows, {"type": "evaluate", **answers}


def model_to_talk_with(data: Mapping[str, object]) -> str:
    """The model of a file for `llamafactory-cli chat` or `api`: an adapter, which names its base, or a whole model."""
    _refuse_unknown(data)
    return _adapter(data) if data.get("adapter_name_or_path") else str(data["model_name_or_path"])


def _adapter(data: Mapping[str, object]) -> str:
    adapter = data["adapter_name_or_path"]
    if not isinstance(adapter, str) or "," in adapter:
        raise UnsupportedError("adapter_name_or_path names several adapters: merge them one after the other.")
    return adapter


def _refuse_unknown(data: Mapping[str, object]) -> None:
    for key in data:
        if key not in MODEL_KEYS:
            raise SpecError(f"unknown key '{key}' in a file without rows{did_you_mean(key, sorted(MODEL_KEYS))}.")
    if not isinstance(data.get("model_name_or_path"), str):
        raise SpecError("'model_name_or_path' is missing, or is no name.")
