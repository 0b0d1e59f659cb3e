"""The rows of a LLaMA-Factory training as it tokenises them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from ftsdk.runtime.programs.preview.tokens import Token, Trace, trace

if TYPE_CHECKING:
    from ftsdk.contract.foreign import JsonObject
    from ftsdk.contract.previews import PreviewedRow, RowContents, Segment, Side

Batch: TypeAlias = dict[str, list[Any]]
"""Column -> its values, as `datasets` and LLaMA-Factory's processors pass rows to each other."""

STAGES = {"dpo": "rm"}
"""Stage of a training -> stage by which LLaMA-Factory prepares its data (the same, if it is not here)."""
SIDES = {
    "": "row",
    "chosen_": "chosen",
    "rejected_": "rejected",
    "kl_": "another row's answer (KL)",
}
"""Prefix of the columns that a processor makes -> what they hold."""
ROW = "_row"
IGNORED = -100


class Rows:
    """The training's data set, its template and its processor, all of them LLaMA-Factory's."""

    def __init__(self, config: JsonObject) -> None:
        from llamafactory.data import loader
        from llamafactory.data.data_utils import split_dataset
        from llamafactory.data.template import get_template_and_fix_tokenizer
        from llamafactory.hparams import get_train_args
        from llamafactory.model import load_tokenizer

        model_args, self.data_args, training_args, finetuning_args, _ = get_train_args(dict(config))
        self.stage = STAGES.get(finetuning_args.stage, finetuning_args.stage)
        loaded = load_tokenizer(model_args)
        self.tokenizer = loaded["tokenizer"]
        template = deepcopy(get_template_and_fix_tokenizer(self.tokenizer, self.data_args))
        self.trace: Trace = trace(template, self.tokenizer)
        self.processor = loader._get_dataset_processor(
            self.data_args, self.stage, template, self.tokenizer, loaded["processor"]
        )
        merged = loader._get_merged_dataset(
            self.data_args.dataset, model_args, self.data_args, training_args, self.stage
        )
        self.total = len(merged)
        merged = merged.add_column(ROW, list(range(1, self.total + 1)))
        self.dataset = split_dataset(merged, None, self.data_args, seed=training_args.seed)[0]["train"]
        self._pending: list[int] = []
        self._trace_rows()

    @property
    def joins_rows(self) -> bool:
        """Whether what a row becomes depends on the rows around it."""
        return bool(self.data_args.packing) or self.stage == "kto"

    def read(self, first: int | None, only: int | None) -> Iterator[PreviewedRow]:
        """The first rows, one row (counted from 1), or all, as JSON data."""
        shown = 0
        for examples in self.dataset.iter(batch_size=self.data_args.preprocessing_batch_size):
            for item in self._joined(examples) if self.joins_rows else self._single(examples, only):
                if only is None or only in item["rows"]:
                    yield item
                    shown += 1
                if shown == first:
                    return

    def _joined(self, examples: Batch) -> Iterator[PreviewedRow]:
        """What the processor makes of a batch at once."""
        return self._items(self._valid(examples), examples[ROW])

    def _single(self, examples: Batch, only: int | None) -> Iterator[PreviewedRow]:
        """What the processor makes of each row, or of one."""
        for number, row in enumerate(examples[ROW]):
            if only is None or row == only:
                self.trace.start(row)
                yield from self._items({key: [values[number]] for key, values in examples.items()}, [row])

    def _valid(self, examples: Batch) -> Batch:
        """Without the rows that the processor drops, so that rows can be counted."""
        least = 1 if self.stage == "sft" else 2
        kept = [
            number
            for number, (prompt, response) in enumerate(zip(examples["_prompt"], examples["_response"], strict=True))
            if self.stage == "pt" or (len(prompt) % 2 == 1 and len(response) >= least)
        ]
        self._pending = [examples[ROW][number] for number in kept]
        return {key: [values[number] for number in kept] for key, values in examples.items()}

    def _trace_rows(self) -> None:
        """Let the processor say which row it encodes, where it gets several."""
        if not self.joins_rows or self.stage == "pt":
            return
        encode = self.processor._encode_data_example

        def counted(*args: object, **kwargs: object) -> tuple[list[int] | bool, ...]:
            self.trace.start(self._pending.pop(0))
            encoded: tuple[list[int] | bool, ...] = encode(*args, **kwargs)
            return encoded

        self.processor._encode_data_example = counted

    def _items(self, examples: Batch, rows: list[int]) -> Iterator[PreviewedRow]:
        made = self.processor.preprocess_dataset(examples)
        prefixes = [prefix for prefix in SIDES if f"{prefix}input_ids" in made]
        if not prefixes or not made[f"{prefixes[0]}input_ids"]:
            yield {"rows": rows, "sides": [], "dropped": True}
            return
        for number in range(len(made[f"{prefixes[0]}input_ids"])):
            sides = [self._side(made, prefix, number, index) for index, prefix in enumerate(prefixes)]
            inside = sorted({segment["row"] for segment in sides[0]["segments"] if segment["row"]})
            contents: RowContents = {} if self.data_args.packing else self._source(examples, number)
            if "kto_tags" in made:
                contents["label"] = bool(made["kto_tags"][number])
            numbers = inside if self.joins_rows else rows
            yield {"rows": numbers, "sides": sides, "dropped": False, **contents}

    def _source(self, examples: Batch, number: int) -> RowContents:
        """What the row says, for the findings."""
        shared = sum(map(self._thinks, examples["_prompt"][number]))
        answers = examples["_response"][number][: None if self.stage == "rm" else 1]
        return {
            "has_system": bool(examples["_system"][number]),
            "has_tools": bool(examples["_tools"][number]) and examples["_tools"][number] != "[]",
            "num_thoughts": [shared + self._thinks(answer) for answer in answers],
        }

    def _thinks(self, message: Mapping[str, str | None]) -> bool:
        opening, closing = self.trace.thought_words
        thought = (message["content"] or "").partition(opening)[2].partition(closing)
        return bool(opening and thought[1] and thought[0].strip())

    def _side(self, made: Batch, prefix: str, number: int, index: int) -> Side:
        ids = made[f"{prefix}input_ids"][number]
        labels = made[f"{prefix}labels"][number] if f"{prefix}labels" in made else ids
        side: Side = {
            "name": SIDES[prefix],
            "segments": list(self._segments(ids, labels)),
            "num_tokens": len(ids),
            "num_learned": sum(label != IGNORED for label in labels),
            "num_cut": 0,
        }
        if self.data_args.packing:
            masks = made["attention_mask"][number] if "attention_mask" in made else [1]
            side["attention_crosses"] = max(masks) == 1 and len({s["row"] for s in side["segments"] if s["row"]}) > 1
        elif self.trace.sizes:
            traced = sum(isinstance(token, Token) for token in ids)
            side["num_cut"] = max(0, self.trace.sizes[min(index, len(self.trace.sizes) - 1)] - traced)
        return side

    def _segments(self, ids: list[int], labels: list[int]) -> Iterator[Segment]:
        """Neighbouring tokens of one kind, row and label together."""
        described = [(self._kind(token, label), getattr(token, "row", 0), label != IGNORED, int(token), int(label))
                     for token, label in zip(ids, labels, strict=True)]  # fmt: skip
        for (kind, row, learned), group in groupby(described, key=lambda token: token[:3]):
            tokens = list(group)
            segment: Segment = {
                "kind": kind,
                "learned": learned,
                "weight": 1.0 if learned else 0.0,
                "row": row,
                "ids": [token[3] for token in tokens],
                "labels": [token[4] for token in tokens],
                "tokens": self.trace.texts([token[3] for token in tokens]),
            }
            # templates with `efficient_eos` ask for the end of text in place of a later prompt's first token
            if other := [label for *_, number, label in tokens if label not in (IGNORED, number)]:
                segment["learned_as"] = "".join(self.trace.text(label) for label in other)
            yield segment

    def _kind(self, token: int, label: int) -> str:
        """The kind of a token; one that no template made is an end, padding, or stands for media."""
        if isinstance(token, Token):
            return token.kind
        if label != IGNORED:
            return "answer"
        return "padding" if self.data_args.packing else "prompt"
