"""Reward functions: built-in ones, and those of a user's file. Only `math_answer` needs more than the standard library.

Each is called with a batch, as TRL calls reward functions, and returns a number for each answer, or None for no score.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final, TypeAlias

from ftsdk.runtime.programs.heartbeat import HEARTBEAT
from ftsdk.runtime.worker_protocol import Phase

if TYPE_CHECKING:
    from ftsdk.contract.foreign import JsonObject
    from ftsdk.contract.programs import ChatMessage, RewardSettings

ROW: Final = "ftsdk_row"
"""Column with the origin of each row; it is not passed to reward functions."""
COLUMNS: Final = "ftsdk_columns"
"""Column with the answer and all further columns of each row as a JSON object."""
TRAINERS_OWN = frozenset({ROW, COLUMNS, "completion_ids", "trainer_state", "log_extra", "log_metric", "environments"})
"""Arguments that TRL passes to a reward in addition to prompts, completions and the data's columns."""
FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)

Score = float | None
Scorer = Callable[[str, "JsonObject"], Score]
"""The answer's text and its row's values -> its score."""


Completion: TypeAlias = "str | Sequence[ChatMessage]"
"""A text, or the messages of a chat."""
Columns = Mapping[str, Sequence[object]]
"""Name of a column -> its values in a batch."""
BatchScorer = Callable[[list[Completion], list[str], Columns], Sequence[Score]]
"""Prompts, texts of the answers, columns -> a score for each; what a user's function returns is checked later."""


class RewardError(ValueError):
    """A reward function failed; the message names it and the row."""


class Reward:
    """One reward of the spec, callable as TRL calls reward functions."""

    def __init__(self, settings: RewardSettings) -> None:
        self._own = own = settings["name"] == "function"
        self.label = settings["function"] if own else settings["name"]
        self.__name__ = self.label.rpartition(":")[2]  # TRL's metrics are named after it
        self.weight = float(settings["weight"])
        self._score = _own(settings) if own else _each(BUILT_IN[settings["name"]](settings))

    def __call__(
        self,
        prompts: Sequence[Completion],
        completions: Sequence[Completion],
        completion_ids: Sequence[Sequence[int]],
        **columns: Sequence[str],
    ) -> list[Score]:
        """The score of each answer. Raises RewardError."""
        rows = columns.get(ROW) or [f"row {number + 1} of the batch" for number in range(len(prompts))]
        texts = [text_of(completion) for completion in completions]
        values: dict[str, Sequence[object]] = {
            name: value for name, value in columns.items() if name not in TRAINERS_OWN
        }
        values |= unpacked(columns.get(COLUMNS) or ())
        if not self._own:
            values["completion_ids"] = completion_ids
        try:
            with HEARTBEAT.during(Phase.REWARD):
                scores = self._score(list(prompts), texts, values)
        except Exception as problem:
            row = self._failing_row(list(prompts), texts, values, rows)
            error = f"{type(problem).__name__}: {problem}"
            raise RewardError(f"The reward function {self.label} failed on {row}: {error}.") from problem
        return self._checked(scores, rows)

    def _failing_row(self, prompts: list[Completion], texts: list[str], values: Columns, rows: Sequence[str]) -> str:
        """The first row that fails in a batch of its own."""
        for number, row in enumerate(rows):
            own_values = {name: value[number : number + 1] for name, value in values.items()}
            try:
                self._score(prompts[number : number + 1], texts[number : number + 1], own_values)
            except Exception:
                return row
        return f"the rows {rows[0]} to {rows[-1]} together"

    def _checked(self, scores: object, rows: Sequence[str]) -> list[Score]:
        scores = scores.tolist() if hasattr(scores, "tolist") else scores
        if not isinstance(scores, Sequence):
            raise RewardError(f"The reward function {self.label} returned {type(scores).__name__}, not a list.")
        values = list(scores)
        if len(values) != len(rows):
            raise RewardError(
                f"The reward function {self.label} returned {len(values)} rewards for {len(rows)} answers "
                f"(the rows {rows[0]} to {rows[-1]})."
            )
        for score, row in zip(values, rows, strict=True):
            if score is not None and not (isinstance(score, int | float) and math.isfinite(score)):
                problem = f"returned {score!r} for {row}: give a number or None"
                raise RewardError(f"The reward function {self.label} {problem}.")
        return [None if score is None else float(score) for score in values]


def unpacked(texts: Sequence[str]) -> dict[str, list[object]]:
    """Column -> the values of a batch, None where a row has none, from the rows' JSON texts."""
    rows = [json.loads(text) for text in texts]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def text_of(completion: Completion) -> str:
    """An answer's text: TRL passes messages where the prompts are messages."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"] or "")


# --- a user's function --------------------------------------------------------------------------------------
def _own(settings: RewardSettings) -> BatchScorer:
    """The user's function, called with prompts, completions and the columns that it has parameters for."""
    path, name = settings["file"], settings["function"].rpartition(":")[2]
    function = getattr(_module(path, settings["function"]), name, None)
    if not callable(function):
        raise RewardError(f"The reward function {settings['function']} is no function of {path}.")
    parameters = inspect.signature(function).parameters.values()
    accepts_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = {parameter.name for parameter in parameters}
    constants = settings.get("parameters") or {}

    def own(prompts: list[Completion], texts: list[str], values: Columns) -> Sequence[Score]:
        accepted = {name: value for name, value in values.items() if accepts_all or name in names}
        scores: Sequence[Score] = function(prompts=prompts, completions=texts, **accepted, **constants)
        return scores

    return own


def _module(path: str, label: str) -> ModuleType:
    spec = util.spec_from_file_location(f"ftsdk_reward_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise RewardError(f"The reward function {label}: {path} is no Python file.")
    module = util.module_from_spec(spec)
    sys.path.append(str(Path(path).parent))  # at the end: a neighbour never hides an installed package
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        raise RewardError(f"The reward function {label}: {path} does not import ({problem}).") from problem
    return module


# --- built-ins ----------------------------------------------------------------------------------------------
def _each(scorer: Scorer) -> BatchScorer:
    """Apply a scorer to every answer of a batch."""

    def each(_prompts: list[Completion], texts: list[str], values: Columns) -> list[Score]:
        rows = ({name: value[number] for name, value in values.items()} for number in range(len(texts)))
        return [scorer(text, row) for text, row in zip(texts, rows, strict=True)]

    return each


def exact_match(settings: RewardSettings) -> Scorer:
    """See `ftsdk.spec.rewards.ExactMatch`."""
    given = settings.get("extract")
    extract = re.compile(given, re.DOTALL) if given else None
    fold = str.casefold if settings.get("ignore_case") else str

    def scorer(text: str, row: JsonObject) -> Score:
        if row.get("answer") is None:
            return None
        if extract:
            matches = list(extract.finditer(text))
            if not matches:
                return 0.0
            text = (matches[-1][1] if extract.groups else matches[-1][0]) or ""
        return float(fold(text.strip()) == fold(str(row["answer"]).strip()))

    return scorer


def math_answer(_settings: RewardSettings) -> Scorer:
    """See `ftsdk.spec.rewards.MathAnswer`. Compared by math-verify (Apache 2.0)."""
    from math_verify import parse, verify  # type: ignore[import-not-found,unused-ignore]

    def scorer(text: str, row: JsonObject) -> Score:
        if row.get("answer") is None:
            return None
        reference = str(row["answer"])
        expected = parse(f"${reference}$" if "\\" in reference and "$" not in reference else reference)
        return float(bool(expected) and verify(expected, parse(text))) if expected else None

    return scorer


def regex(settings: RewardSettings) -> Scorer:
    """See `ftsdk.spec.rewards.Regex`."""
    pattern = re.compile(settings["pattern"], re.DOTALL)
    if settings.get("whole"):
        return lambda text, _row: float(pattern.fullmatch(text.strip()) is not None)
    return lambda text, _row: float(pattern.search(text) is not None)


def format_tags(settings: RewardSettings) -> Scorer:
    """See `ftsdk.spec.rewards.Format`."""
    tags = [re.escape(tag) for tag in settings["tags"]]
    inner = r"\s*".join(rf"<{tag}>(?:(?!</?(?:{'|'.join(tags)})>).)*</{tag}>" for tag in tags)
    pattern = re.compile(rf"\s*{inner}\s*", re.DOTALL)
    return lambda text, _row: float(pattern.fullmatch(text) is not None)


def length(settings: RewardSettings) -> Scorer:
    """See `ftsdk.spec.rewards.Length`."""
    limit, margin = settings["max_tokens"], settings["soft_tokens"]

    def scorer(_text: str, row: JsonObject) -> Score:
        excess = len(row["completion_ids"]) - (limit - margin)
        if excess <= 0:
            return 0.0
        return -1.0 if excess >= margin else -excess / margin

    return scorer


def json_valid(settings: RewardSettings) -> Scorer:
    """See `ftsdk.spec.rewards.Json`."""
    keys = settings.get("keys") or ()

    def scorer(text: str, _row: JsonObject) -> Score:
        fenced = FENCE.match(text.strip())
        try:
            value = json.loads(fenced[1] if fenced else text)
        except ValueError:
            return 0.0
        return float(not keys or (isinstance(value, dict) and all(key in value for key in keys)))

    return scorer


BUILT_IN: Mapping[str, Callable[[RewardSettings], Scorer]] = {
    "exact_match": exact_match,
    "math_answer": math_answer,
    "regex": regex,
    "format": format_tags,
    "length": length,
    "json": json_valid,
}
