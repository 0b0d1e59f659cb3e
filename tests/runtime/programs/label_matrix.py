"""Labels of data sets under templates, by LLaMA-Factory alone (`alone`) or with our parts, as previews show them.

Run by the trainer's Python: a request on standard input, labels as JSON on standard output.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

PREFIXES = ("", "chosen_", "rejected_", "kl_")


def alone(config: dict[str, Any]) -> Iterator[tuple[list[int], list[int]]]:
    """Of every side, what LLaMA-Factory's own data set holds."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    model_args, data_args, training_args, _, _ = get_train_args(dict(config))
    loaded = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
    made = get_dataset(template, model_args, data_args, training_args, stage=config["stage"], **loaded)
    for row in made["train_dataset"]:
        for prefix in PREFIXES:
            if f"{prefix}input_ids" in row:
                ids = row[f"{prefix}input_ids"]
                yield ids, row.get(f"{prefix}labels") or ids


def previewed(config: dict[str, Any]) -> Iterator[tuple[list[int], list[int]]]:
    """The same from a preview."""
    from ftsdk.runtime.programs.preview.rows import Rows

    for item in Rows(config).read(None, None):
        for side in item["sides"]:
            yield tuple([n for segment in side["segments"] for n in segment[kind]] for kind in ("ids", "labels"))


def main() -> None:
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    from ftsdk.runtime.programs.chat_template.table import fix_clock
    from ftsdk.runtime.programs.data import examples

    fix_clock()  # LLaMA-Factory's own tool prompts name today
    if not request["alone"]:
        examples.install()
    found = {}
    for config in request["configs"]:
        try:
            labels = list((alone if request["alone"] else previewed)(config))
        except Exception as problem:
            labels = type(problem).__name__
        found[f"{config['template']} {config['dataset']}"] = labels
    with answer:
        json.dump(found, answer)


if __name__ == "__main__":
    main()
