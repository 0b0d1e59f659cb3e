"""Exports a model to GGUF, and proves each time that the file answers as the model does."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ftsdk.contract.foreign import JsonObject
from ftsdk.runtime.programs.interruption import StopRequest
from ftsdk.runtime.programs.session import session
from ftsdk.runtime.programs.trained import fidelity
from ftsdk.runtime.programs.trained.exporting.files import read_gguf, refuse_missing_tools, write_gguf
from ftsdk.runtime.programs.trained.exporting.header import adds_bos, header_of, refuse_other_text
from ftsdk.runtime.programs.trained.exporting.modelfile import modelfile
from ftsdk.runtime.programs.trained.held_out import compared_rows
from ftsdk.runtime.programs.trained.loading import ModelError, load_tokenizer
from ftsdk.runtime.programs.trained.merger import REPORT, dtype_of, folder_of, predictions, say, write
from ftsdk.runtime.worker_protocol import TrainJob

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

LIMITS = {"f32": 1e-3, "f16": 1e-3, "bf16": 1e-3, "q8_0": 1e-2}
"""Nats per token that a file may differ; of smaller formats the difference is measured and reported."""


def train(job: TrainJob, stop: StopRequest) -> None:
    """Export as the job document says. Raises ModelError for a file that would answer otherwise than the model."""
    with session():
        config = job["document"]["config"]
        refuse_missing_tools(config["gguf"])
        export(config, Path(job["output"]), Path(job["run"], "export"), rows=compared_rows(job))


def export(config: JsonObject, output: Path, scratch: Path, *, rows: list[list[int]] | None = None) -> None:
    """Write a GGUF file for each number format, a Modelfile and the measured differences into a folder.

    `rows` are the token ids that are compared, texts of our own if left out; `scratch` is a folder for what is not
    kept. Raises ModelError.
    """
    shutil.rmtree(scratch, ignore_errors=True)  # of an export that was killed
    scratch.mkdir(parents=True)
    model = {**config["model"], "model_name_or_path": str(_folder(config["model"]))}
    model["dtype"] = dtype_of(Path(model["model_name_or_path"]), "auto")
    tokenizer = load_tokenizer(model)
    rows = rows or fidelity.probes(tokenizer)
    before = predictions(model, tokenizer, rows, str(scratch / "offload"))
    whole = _whole(model, tokenizer, scratch / "merged")
    source = _readable(whole, tokenizer, scratch / "source")
    report = {}
    for quant in config["gguf"]:
        file = output / name_of(quant)
        write_gguf(source, file, quant, scratch)
        report[quant] = _proven(file, quant, tokenizer, whole, rows, before)
    (output / "Modelfile").write_text(modelfile(tokenizer, name_of(config["gguf"][0])), "utf-8")
    (output / REPORT).write_text(json.dumps(report, indent=1), "utf-8")


def name_of(quant: str) -> str:
    """Name of the file in a number format."""
    return f"model-{quant}.gguf"


def _folder(model: JsonObject) -> Path:
    return folder_of(model["model_name_or_path"], model.get("model_revision"))


def _whole(model: JsonObject, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Path:
    """The folder of the whole model: the model's own, or one with the adapter merged into its base."""
    if "adapter_name_or_path" not in model:
        return Path(model["model_name_or_path"])
    folder.mkdir()
    write(model, tokenizer, folder)
    return folder


def _readable(whole: Path, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Path:
    """A folder of links to the model's files as the converter may read them: without Python code, bos settled.

    The converter loads some tokenizers with `trust_remote_code`: code of the model's author would run. transformers 5
    does not save whether a prompt begins with `bos`, with which llama.cpp begins every prompt of a sentencepiece model.
    """
    folder.mkdir()
    for path in whole.iterdir():
        if path.suffix != ".py":
            (folder / path.name).symlink_to(path.resolve())
    _rewrite(folder / "config.json")
    _rewrite(folder / "tokenizer_config.json", add_bos_token=adds_bos(tokenizer))
    return folder


def _rewrite(link: Path, **settings: bool) -> None:
    """Replace a link to a JSON file by the file's content without `auto_map`, which names code, and with settings."""
    given = json.loads(link.read_bytes()) if link.exists() else {}
    link.unlink(missing_ok=True)
    kept = {name: value for name, value in given.items() if name != "auto_map"}
    link.write_text(json.dumps({**kept, **settings}), "utf-8")


def _proven(
    file: Path, quant: str, tokenizer: PreTrainedTokenizerBase, whole: Path, rows: list[list[int]], before: list[Tensor]
) -> JsonObject:
    """The measured difference of an exported file. Raises ModelError for one that differs too much."""
    from gguf import GGUFReader
    from transformers import AutoConfig

    reader = GGUFReader(file)
    refuse_other_text(header_of(reader), tokenizer)
    exported = read_gguf(file, reader, AutoConfig.from_pretrained(whole))
    measured = fidelity.compare(before, fidelity.log_probabilities(exported, rows))
    del exported
    gc.collect()
    limit = LIMITS.get(quant)
    say(f"{file.name}: {measured.mean_kl:.2g} nats per token from the model{f' (limit {limit:g})' if limit else ''}.")
    if limit is not None and not measured.mean_kl <= limit:
        raise ModelError(
            f"The exported {quant} differs from the model by {measured.mean_kl:.2g} nats per token, more than "
            f"{limit:g}, and is not kept: export another format, such as f32, or merge the model instead."
        )
    return {**measured.to_json(), "limit": limit, "bytes": file.stat().st_size}
