"""Says in a training's log what is unusual in the labels that its loss gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from ftsdk.runtime.programs.preview.findings import findings

if TYPE_CHECKING:
    from ftsdk.contract.previews import PreviewedRow, Segment, Side

MAX_ROWS = 200
IGNORED = -100
SIDES = ("", "chosen_", "rejected_")


def report(trainer: Any, cutoff_len: int) -> None:
    """Print a sentence for each kind of finding in the first tokenised rows; nothing for a stream of rows."""
    dataset, tokenizer = trainer.train_dataset, trainer.processing_class
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    if not hasattr(dataset, "__len__") or not trainer.is_world_process_zero():
        return
    items = [_item(number, row, cutoff_len) for number, row in enumerate(islice(dataset, MAX_ROWS), 1)]
    for sentence in findings(items, tokenizer.bos_token_id, {tokenizer.eos_token_id, *tokenizer.all_special_ids}):
        print(f"ftsdk: warning: of the first {len(items):,} tokenised rows, {sentence}", flush=True)  # noqa: T201


def _item(number: int, row: Mapping[str, list[int]], cutoff_len: int) -> PreviewedRow:
    present = (side for side in SIDES if f"{side}labels" in row)
    sides = [_side(side, row[f"{side}input_ids"], row[f"{side}labels"], cutoff_len) for side in present]
    return {"rows": [number], "dropped": False, "sides": sides, "has_tools": False}


def _side(name: str, ids: list[int], labels: list[int], cutoff_len: int) -> Side:
    return {
        "name": name,
        "segments": list(_segments(ids, labels)),
        "num_tokens": len(ids),
        "num_learned": sum(label != IGNORED for label in labels),
        "num_cut": max(0, len(ids) + 1 - cutoff_len),
    }


def _segments(ids: list[int], labels: list[int]) -> Iterator[Segment]:
    """One for each token: only what is learned counts here, not what it is."""
    for number, label in zip(ids, labels, strict=True):
        learned = label != IGNORED
        yield {
            "kind": "answer", "learned": learned, "weight": float(learned), "row": 0, "ids": [number],
            "labels": [label], "tokens": [],
        }  # fmt: skip
