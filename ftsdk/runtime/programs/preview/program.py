"""`python runtime.pyz preview`: a request on standard input, rows with tokens and labels on standard output (JSON)."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.worker_protocol import TrainJob

if TYPE_CHECKING:
    from ftsdk.contract.previews import PreviewAnswer, PreviewedRow, PreviewRequest, Segment, Side
    from ftsdk.contract.programs import ReinforcementConfig

NOT_HERE = ("bf16", "fp16", "deepspeed", "fsdp", "fsdp_config", "streaming", "tokenized_path", "quantization_bit")
"""Arguments that need the job's machine and change no token."""


def main() -> int:
    """Answer one request."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the trainer's own lines
    request: PreviewRequest = json.load(sys.stdin)
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    document = request["document"]
    made = _of_prompts(document, request) if document["trainer"] in ("trl", "ppo") else _of_rows(document, request)
    with answer:
        json.dump(made, answer, ensure_ascii=False)
    return 0


def _of_rows(document: JobDocument, request: PreviewRequest) -> PreviewAnswer:
    from ftsdk.runtime.programs.llamafactory import prepared
    from ftsdk.runtime.programs.preview.findings import findings
    from ftsdk.runtime.programs.preview.rows import Rows

    folder = Path(request["folder"])
    (folder / "dataset_info.json").write_text(json.dumps(document["dataset_info"]), "utf-8")
    job = TrainJob(
        document=document,
        attempt=1,
        output=str(folder / "out"),
        data=str(folder),
        run=str(folder),
        lease="",
        resume=None,
    )
    config = {name: value for name, value in prepared(job).items() if name not in NOT_HERE}
    rows = Rows({**config, "report_to": "none"})
    began = time.monotonic()
    items = list(rows.read(request["first"], request["only"]))
    seconds = time.monotonic() - began
    tokenizer = rows.tokenizer
    ends = {*tokenizer.all_special_ids, *rows.processor.template.get_stop_token_ids(tokenizer)}
    return {
        "template": config.get("template"),
        "num_rows": rows.total,
        "rows": items,
        "findings": findings(items, tokenizer.bos_token_id, ends) if rows.stage != "pt" else [],
        "special": sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}),
        "seconds": seconds,
    }


def _of_prompts(document: JobDocument, request: PreviewRequest) -> PreviewAnswer:
    """The prompts of a training by reinforcement: nothing of them is learned, the model writes the answers."""
    from ftsdk.runtime.programs import trl
    from ftsdk.runtime.programs.data import prompts

    began = time.monotonic()
    tokenizer = trl.tokenizer_of(cast("ReinforcementConfig", document["config"]))
    dataset, _ = prompts.read(document, chat=tokenizer.chat_template is not None)
    numbers = range(len(dataset)) if request["only"] is None else [request["only"] - 1]
    items: list[PreviewedRow] = []
    for number in [number for number in numbers if number < len(dataset)][: request["first"]]:
        prompt = dataset[number]["prompt"]
        text = prompt
        if not isinstance(prompt, str):
            text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=isinstance(prompt, str))["input_ids"]
        segment: Segment = {"kind": "prompt", "learned": False, "weight": 0.0, "row": number + 1, "ids": ids,
                   "labels": [-100] * len(ids), "tokens": [tokenizer.decode([token]) for token in ids]}  # fmt: skip
        side: Side = {"name": "prompt", "segments": [segment], "num_tokens": len(ids), "num_learned": 0, "num_cut": 0}
        items.append({"rows": [number + 1], "sides": [side], "dropped": False})
    return {
        "template": None,
        "num_rows": len(dataset),
        "rows": items,
        "findings": [],
        "special": sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}),
        "seconds": time.monotonic() - began,
    }
