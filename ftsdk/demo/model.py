"""The demo's base model: a small Qwen3 with random weights and a tokenizer trained on the spot; nothing is downloaded.

Run by the trainer's interpreter: `python -m ftsdk.demo.model FOLDER ROWS.jsonl --batch-size N --tokens N`, which also
measures how long an optimizer step of that size takes on this machine. Imports nothing of ftsdk.
"""

from __future__ import annotations

import argparse
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
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = make_tokenizer(Path(rows))
    torch.manual_seed(SEED)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **SHAPE,
    )
    model = Qwen3ForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
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


def make_tokenizer(rows: Path) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with Qwen's special tokens and chat format, trained on the rows' text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(rows), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[START, END],
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_TOKENS,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _texts(rows: Path) -> Iterator[str]:
    with rows.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield row["instruction"]
            yield row["output"]


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
