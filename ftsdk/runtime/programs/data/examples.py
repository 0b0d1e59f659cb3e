"""The data of LLaMA-Factory's trainings: rows in fixed types, answers that are not learned, thoughts.

`install` replaces three functions of LLaMA-Factory 0.9.5 by ours. Its own converters and processors still make the
examples; what is new is what they are given (rows with their JSON types) and what is kept beside them (`learn`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from ftsdk.contract.messages import is_learned, thought_of
from ftsdk.runtime.programs.data import rows

if TYPE_CHECKING:
    from datasets import Dataset, Features, IterableDataset
    from datasets.features.features import FeatureType
    from llamafactory.data.parser import DatasetAttr
    from llamafactory.data.processor import SupervisedDatasetProcessor
    from llamafactory.hparams import DataArguments, TrainingArguments

    from ftsdk.contract.foreign import JsonObject

    Rows: TypeAlias = Dataset | IterableDataset
    Encode: TypeAlias = Callable[..., tuple[list[int], list[int]]]

MEDIA = ("images", "videos", "audios")
ROLES = ("prompt", "query", "response", "system", "tools", "messages", "history", "chosen", "rejected", "kto_tag")
DEFAULT_THOUGHT_WORDS = ("<think>\n", "\n</think>\n\n")
"""Those of a template that names none (`data/template.py`)."""
IGNORED = -100


class AlignedMessage(TypedDict):
    """A message in LLaMA-Factory's form."""

    role: str
    content: str
    learn: bool
    """Whether an answer is part of the loss."""


class AlignedRow(TypedDict):
    """A row in LLaMA-Factory's form."""

    _prompt: list[AlignedMessage]
    _response: list[AlignedMessage]
    _system: str | None
    _tools: str | None
    _images: list[object] | None
    _videos: list[object] | None
    _audios: list[object] | None


def install() -> None:
    """Replace how LLaMA-Factory loads files, converts rows and labels answers."""
    from llamafactory.data import loader
    from llamafactory.data.processor import SupervisedDatasetProcessor

    loader.FILEEXT2TYPE = {**loader.FILEEXT2TYPE, **rows.EXTENSIONS}
    loader.load_dataset = _loading(loader.load_dataset)
    loader.align_dataset = align
    SupervisedDatasetProcessor._encode_data_example = labelled(SupervisedDatasetProcessor._encode_data_example)


def _loading(original: Callable[..., Rows]) -> Callable[..., Rows]:
    """`load_dataset` that reads files by itself; what is not a file is left to `datasets`."""

    def load(*args: object, data_files: list[str] | None = None, **rest: object) -> Rows:
        return rows.table(data_files) if data_files else original(*args, data_files=data_files, **rest)

    return load


def align(dataset: Rows, dataset_attr: DatasetAttr, data_args: DataArguments, training_args: TrainingArguments) -> Rows:
    """LLaMA-Factory's `align_dataset` with fixed types of the result."""
    columns = list(next(iter(dataset)))
    rest: dict[str, int | bool | None] = {}
    if not data_args.streaming:
        reuse = not data_args.overwrite_cache or training_args.local_process_index != 0
        rest = {"num_proc": data_args.preprocessing_num_workers, "load_from_cache_file": reuse}
    features = features_of(dataset, dataset_attr)
    return dataset.map(Aligner(dataset_attr, data_args), remove_columns=columns, features=features, **rest)


def features_of(dataset: Rows, dataset_attr: DatasetAttr) -> Features:
    """The types of aligned rows: texts, except for media that a hub's data set holds itself."""
    from datasets import Features, Value

    message = {"role": Value("string"), "content": Value("string"), "learn": Value("bool")}
    media = {f"_{role}": _media_type(dataset, getattr(dataset_attr, role)) for role in MEDIA}
    texts = {"_system": Value("string"), "_tools": Value("string")}
    return Features({"_prompt": [message], "_response": [message], **texts, **media})


def _media_type(dataset: Rows, column: str | None) -> FeatureType | list[FeatureType]:
    from datasets import Value

    kind = (dataset.features or {}).get(column)
    if kind is None or rows.TEXT in (dataset.features or {}):
        return [Value("string")]
    return kind if isinstance(kind, list) or type(kind).__name__ in ("List", "Sequence", "LargeList") else [kind]


class Aligner:
    """A row -> LLaMA-Factory's aligned example, with `learn` and thoughts in its messages."""

    def __init__(self, dataset_attr: DatasetAttr, data_args: DataArguments) -> None:
        from llamafactory.data.converter import get_dataset_converter
        from llamafactory.data.template import TEMPLATES

        self._attr = dataset_attr
        self._convert = get_dataset_converter(dataset_attr.formatting, dataset_attr, data_args)
        template = TEMPLATES.get(data_args.template)
        self._thought_words = template.thought_words if template else DEFAULT_THOUGHT_WORDS
        self._columns = {role: getattr(dataset_attr, role) for role in (*ROLES, *MEDIA)}

    def __call__(self, example: JsonObject) -> AlignedRow:
        """Raises ValueError that names the row."""
        where, row = example.get(rows.WHERE, "a row"), example
        if rows.TEXT in example:
            row = json.loads(example[rows.TEXT])
        try:
            used = {column: self._value(role, row.get(column)) for role, column in self._columns.items() if column}
            aligned: AlignedRow = self._convert(used)
            self._mark(aligned, self._answers(row))
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise ValueError(f"{where} cannot be read: {problem}") from problem
        return aligned

    def _value(self, role: str, value: Any) -> object:
        """A column's value as the converter takes it."""
        if role == "messages":
            return [self._message(message) for message in value or ()]
        if role in ("chosen", "rejected") and isinstance(value, Mapping):
            return self._message(value)
        if role == "tools" and isinstance(value, list):
            return json.dumps(value, ensure_ascii=False) if value else ""
        if role == "kto_tag":
            return str(value).strip().lower() in ("true", "1", "1.0")
        if role in ("history", *MEDIA):
            return value
        return text_of(value, self._columns[role])

    def _message(self, message: Mapping[str, object]) -> JsonObject:
        content = self._attr.content_tag
        calls = {"tool_calls": message["tool_calls"]} if message.get("tool_calls") else {}
        role = message.get(self._attr.role_tag)
        return {self._attr.role_tag: role, content: text_of(message.get(content), content), **calls}

    def _answers(self, row: JsonObject) -> list[tuple[bool, str]]:
        """(is learned, thoughts) of each answer in a row, in the order of the aligned messages."""
        if self._attr.formatting == "alpaca":
            return []
        tags = (self._attr.assistant_tag, self._attr.function_tag)
        messages = [m for m in row.get(self._attr.messages) or () if m.get(self._attr.role_tag) in tags]
        if self._attr.ranking:
            messages += [row.get(self._attr.chosen), row.get(self._attr.rejected)]
        return [(is_learned(m), thought_of(m)) if isinstance(m, Mapping) else (True, "") for m in messages]

    def _mark(self, aligned: AlignedRow, answers: list[tuple[bool, str]]) -> None:
        """Write `learn` and thoughts into the answers of an example; the empty answer that KTO adds has neither."""
        messages = [*aligned["_prompt"], *aligned["_response"]]
        for message in messages:
            message["learn"] = True
        kinds, is_kto = ("assistant", "function"), bool(self._attr.kto_tag)
        given = (message for message in messages if message["role"] in kinds and (message["content"] or not is_kto))
        for message, (learn, thought) in zip(given, answers, strict=False):
            message["learn"] = learn
            written = message["content"].partition(self._thought_words[0].strip())[2]
            if thought and thought not in written:
                message["content"] = f"{self._thought_words[0]}{thought}{self._thought_words[1]}{message['content']}"


def text_of(value: object, name: str) -> str | None:
    """A text as it is; dates and times as ISO text. Raises ValueError for other values."""
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "isoformat"):
        return str(value)
    raise ValueError(f"'{name}' is {type(value).__name__}, not text; write it as text.")


# --- labels
def labelled(original: Encode) -> Encode:
    """`_encode_data_example` that leaves answers with `learn` false out of the labels."""

    def encode(
        self: SupervisedDatasetProcessor,
        prompt: list[AlignedMessage],
        response: list[AlignedMessage],
        system: str | None,
        tools: str | None,
        images: list[object],
        videos: list[object],
        audios: list[object],
    ) -> tuple[list[int], list[int]]:
        rest = system, tools, images, videos, audios
        input_ids, labels = original(self, prompt, response, *rest)
        learned = [message.get("learn") is not False for message in [*prompt, *response][1::2]]
        if not all(learned):
            for start, stop in _not_learned(self, learned, len(labels), prompt, response, *rest):
                labels[start:stop] = [IGNORED] * len(labels[start:stop])
        return input_ids, labels

    return encode


def _not_learned(
    processor: SupervisedDatasetProcessor, learned: list[bool], size: int,
    prompt: list[AlignedMessage], response: list[AlignedMessage],
    system: str | None, tools: str | None, images: list[object], videos: list[object], audios: list[object],
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """Where the answers that are not learned lie in the labels, each with the end-of-sequence token after it."""
    from llamafactory.data.processor.processor_utils import infer_seqlen

    given, template = processor.data_args, processor.template
    if given.mask_history:  # only the last answer is learned at all
        if not learned[-1]:
            yield 0, size
        return
    media, tokenizer, plugin = (images, videos, audios), processor.tokenizer, template.mm_plugin
    messages = plugin.process_messages([*prompt, *response], *media, processor.processor)
    prefix, _ = plugin.process_token_ids([], [], *media, tokenizer, processor.processor)
    position, end = len(prefix), bool(template.efficient_eos)
    pairs = template.encode_multiturn(tokenizer, messages, system, tools, False)
    for number, (source, target) in enumerate(pairs):
        if position + end >= given.cutoff_len:
            return
        sizes = infer_seqlen(len(source), len(target), given.cutoff_len - position - end)
        start, position = position + sizes[0], position + sum(sizes)
        if not learned[number]:
            is_last = position == size - 1
            yield start, position + (end and (is_last or not given.train_on_prompt))
