"""Tiny models of many architectures with tokenizers that llama.cpp knows, made without a hub."""

from __future__ import annotations

import base64
import subprocess
import sys
import zipfile
from pathlib import Path

from ftsdk.demo import model as demo

QWEN = "dashscope==2.0.2"
"""A package on PyPI that contains Qwen's vocabulary (Apache-2.0)."""
VOCABULARY = "dashscope/resources/qwen.tiktoken"
SIZE = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256,
}  # fmt: skip
MOE = {"moe_intermediate_size": 64, "num_experts": 4, "num_experts_per_tok": 2}
ARCHITECTURES = {
    "llama": ("LlamaConfig", {}, "sentencepiece"),
    "gemma2": ("Gemma2Config", {"head_dim": 16}, "sentencepiece"),
    "gemma3": ("Gemma3TextConfig", {"head_dim": 16}, "sentencepiece"),
    "mistral": ("MistralConfig", {"sliding_window": None}, "sentencepiece"),
    "phi3": ("Phi3Config", {}, "prefixed"),
    "nemotron": ("NemotronConfig", {}, "prefixed"),
    "qwen2": ("Qwen2Config", {"tie_word_embeddings": True}, "qwen"),
    "qwen3": ("Qwen3Config", {"head_dim": 32}, "qwen"),
    "qwen2_moe": ("Qwen2MoeConfig", {**MOE, "shared_expert_intermediate_size": 64}, "qwen"),
    "qwen3_moe": ("Qwen3MoeConfig", {**MOE, "head_dim": 16}, "qwen"),
}
"""Name -> transformers' configuration, settings, and the kind of tokenizer."""


def make(name: str, folder: Path, cache: Path) -> Path:
    """A model of the architecture with random weights, in a folder."""
    import torch
    import transformers

    config_class, settings, kind = ARCHITECTURES[name]
    tokenizer = (
        qwen_tokenizer(cache) if kind == "qwen" else sentencepiece_tokenizer(folder, prefixed=kind == "prefixed")
    )
    torch.manual_seed(0)
    config = getattr(transformers, config_class)(
        **{**SIZE, **settings},
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentencepiece_tokenizer(folder: Path, *, prefixed: bool):
    """A tokenizer trained on this file, with a space before every text or without; its `tokenizer.model` is written."""
    from tokenizers import normalizers

    lines = Path(__file__).read_text("utf-8").splitlines() * 3
    pieces = demo.sentencepiece_model(iter(lines), 500)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(pieces)
    tokenizer = demo.make_tokenizer(pieces, 256)
    if prefixed:
        steps = [normalizers.Prepend(demo.SPACE), normalizers.Replace(" ", demo.SPACE)]
        tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


def qwen_tokenizer(cache: Path):
    """Qwen2's own tokenizer."""
    from transformers import Qwen2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    ranks = {base64.b64decode(text): int(rank) for text, rank in map(str.split, _vocabulary(cache).splitlines())}
    written = {piece: "".join(letters[byte] for byte in piece) for piece in ranks}
    merges = []
    for piece in sorted(ranks, key=ranks.get):
        cuts = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [(left, right) for left, right in cuts if left in ranks and right in ranks]
        merges += [(written[a], written[b]) for a, b in sorted(known, key=lambda cut: (ranks[cut[0]], ranks[cut[1]]))]
    tokenizer = Qwen2Tokenizer(
        vocab={written[piece]: rank for piece, rank in ranks.items()}, merges=merges, eos_token=demo.END,
        pad_token=demo.END_OF_TEXT, additional_special_tokens=[demo.START, demo.END],
    )  # fmt: skip
    tokenizer.chat_template = demo.CHAT_TEMPLATE
    return tokenizer


def _vocabulary(cache: Path) -> str:
    """Qwen's vocabulary out of the package; fetched once, kept in a cache folder."""
    file = cache / Path(VOCABULARY).name
    if not file.is_file():
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", QWEN, "--dest", str(cache)]
        subprocess.run(argv, check=True)
        with zipfile.ZipFile(next(cache.glob("dashscope-*.whl"))) as wheel:
            file.write_bytes(wheel.read(VOCABULARY))
    return file.read_text("utf-8")
