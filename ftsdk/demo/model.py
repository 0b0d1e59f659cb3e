"""The demo's base model: a small Llama with random weights and a tokenizer trained on the spot; nothing is downloaded.

Run by the trainer's interpreter: `python -m ftsdk.demo.model FOLDER ROWS.jsonl --batch-size N --tokens N`, which also
measures how long an optimizer step of that size takes on this machine. Imports nothing of ftsdk.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SEED = 0
VOCABULARY = 4096
MAX_TOKENS = 512
TIMED_S, MIN_TIMED_STEPS = 6.0, 5
"""Long enough for a short burst of other work on the machine not to count."""
WARM_UP_STEPS = 2
"""The first steps allocate memory and choose kernels; they are not timed."""
SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
}
"""About three million parameters with the embedding, which input and output share."""

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPACE = "\u2581"
"""What sentencepiece writes for a space."""
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML, the format of Qwen's models."""


def make_model(folder: Path | str, rows: Path | str) -> int:
    """Save tokenizer and model into the folder; return the number of parameters.

    The same rows and versions of torch and transformers give the same files.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    pieces = sentencepiece_model(_lines(Path(rows)), VOCABULARY)
    tokenizer = make_tokenizer(pieces, MAX_TOKENS)
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **SHAPE,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Path(folder, "tokenizer.model").write_bytes(pieces)
    return int(model.num_parameters())


def seconds_per_step(folder: Path | str, *, batch_size: int, tokens: int) -> float:
    """Median duration of an optimizer step on random tokens, in seconds. The saved model stays as it is."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters())
    batch = torch.randint(model.config.vocab_size, (batch_size, tokens))
    durations: list[float] = []
    while len(durations) < WARM_UP_STEPS + MIN_TIMED_STEPS or sum(durations) < TIMED_S:
        began = time.perf_counter()
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations[WARM_UP_STEPS:])


def sentencepiece_model(lines: Iterator[str], vocabulary: int) -> bytes:
    """Pieces of the lines, as the file `tokenizer.model` holds them: llama.cpp takes no other new vocabulary."""
    import sentencepiece

    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=made,
        model_type="bpe",
        vocab_size=vocabulary,
        hard_vocab_limit=False,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        control_symbols=[END_OF_TEXT, START, END],
        bos_id=-1,
        eos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return made.getvalue()


def make_tokenizer(pieces: bytes, max_tokens: int) -> PreTrainedTokenizerFast:
    """The tokenizer of a sentencepiece model, with Qwen's special tokens and chat format.

    Merges are the splits of each piece into two others, in the order of the pieces' scores (as transformers'
    `convert_slow_tokenizer.py` makes them).
    """
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    model = SentencePieceProcessor(model_proto=pieces)
    ids = {model.IdToPiece(number): number for number in range(model.vocab_size())}
    whole = [piece for piece, number in ids.items() if not model.IsByte(number) and not model.IsControl(number)]
    splits = [(piece[:cut], piece[cut:]) for piece in whole for cut in range(1, len(piece))]
    merges = [split for split in splits if split[0] in ids and split[1] in ids]
    merges.sort(key=lambda split: (-model.GetScore(ids[split[0] + split[1]]), ids[split[0]], ids[split[1]]))
    bpe = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bpe.normalizer = normalizers.Replace(" ", SPACE)
    bpe.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        unk_token="<unk>",
        eos_token=END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[START, END],
        add_bos_token=False,
        add_prefix_space=False,
        clean_up_tokenization_spaces=False,
        model_max_length=max_tokens,
        chat_template=CHAT_TEMPLATE,
    )


def _lines(rows: Path) -> Iterator[str]:
    with rows.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield from row["instruction"].splitlines()
            yield from row["output"].splitlines()


def main() -> None:
    """Command line of the trainer's interpreter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--batch-size", type=int, required=True, help="sequences of a step")
    parser.add_argument("--tokens", type=int, required=True, help="tokens of a sequence")
    given = parser.parse_args()
    made = {
        "parameters": make_model(given.folder, given.rows),
        "seconds_per_step": seconds_per_step(given.folder, batch_size=given.batch_size, tokens=given.tokens),
    }
    sys.stdout.write(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
