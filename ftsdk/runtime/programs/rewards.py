"""Rewards as functions: built-ins, and a user's own file. Standard library only, but for `math_answer`.

Each takes a batch, called as TRL calls reward functions, and gives a number for each answer, or None for "no opinion".
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Any

ROW = "ftsdk_row"
"""Column that says where each row came from; rewards never see it."""
TRAINERS_OWN = frozenset({ROW, "completion_ids", "trainer_state", "log_extra", "log_metric", "environments"})
"""What is passed to a reward beside prompts, completions and the data's columns."""
FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)

Score = float | None
Judge = Callable[[str, Mapping[str, Any]], Score]
"""The answer's text and its row's values -> what it earns."""


class RewardError(ValueError):
    """A reward function broke; the message names it and the row."""


class Reward:
    """One reward of the spec, callable as TRL calls reward functions."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._own = own = settings["name"] == "function"
        self.label = settings["function"] if own else settings["name"]
        self.__name__ = self.label.rpartition(":")[2]  # TRL's metrics are named after it
        self.weight = float(settings["weight"])
        self._score = _own(settings) if own else _each(BUILT_IN[settings["name"]](settings))

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Sequence[Any], **columns: Any
    ) -> list[Score]:
        """What each answer earns. Raises RewardError."""
        rows = columns.get(ROW) or [f"row {number + 1} of the batch" for number in range(len(prompts))]
        texts = [text_of(completion) for completion in completions]
        values = {name: value for name, value in columns.items() if name not in TRAINERS_OWN}
        if not self._own:
            values["completion_ids"] = completion_ids
        try:
            scores = self._score(list(prompts), texts, values)
        except Exception as problem:
            where = self._culprit(list(prompts), texts, values, rows)
            said = f"{type(problem).__name__}: {problem}"
            raise RewardError(f"The reward function {self.label} failed on {where}: {said}.") from problem
        return self._checked(scores, rows)

    def _culprit(self, prompts: list[Any], texts: list[str], values: Mapping[str, Any], rows: Sequence[str]) -> str:
        """The first row that fails when it is alone."""
        for number, row in enumerate(rows):
            alone = {name: value[number : number + 1] for name, value in values.items()}
            try:
                self._score(prompts[number : number + 1], texts[number : number + 1], alone)
            except Exception:
                return row
        return f"the rows {rows[0]} to {rows[-1]} together"

    def _checked(self, scores: Any, rows: Sequence[str]) -> list[Score]:
        if not isinstance(scores, Sequence) and not hasattr(scores, "tolist"):
            raise RewardError(f"The reward function {self.label} returned {type(scores).__name__}, not a list.")
        found = list(scores.tolist() if hasattr(scores, "tolist") else scores)
        if len(found) != len(rows):
            raise RewardError(
                f"The reward function {self.label} returned {len(found)} rewards for {len(rows)} answers "
                f"(the rows {rows[0]} to {rows[-1]})."
            )
        for score, row in zip(found, rows, strict=True):
            if score is not None and not (isinstance(score, int | float) and math.isfinite(score)):
                said = f"returned {score!r} for {row}: give a number or None"
                raise RewardError(f"The reward function {self.label} {said}.")
        return [None if score is None else float(score) for score in found]


def build(rewards: Sequence[Mapping[str, Any]]) -> list[Reward]:
    """The spec's rewards, in their order. Raises RewardError for a file that does not import."""
    return [Reward(settings) for settings in rewards]


def text_of(completion: Any) -> str:
    """An answer's text: TRL gives messages where the prompts are messages."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"] or "")


# --- the user's own -----------------------------------------------------------------------------------------
def _own(settings: Mapping[str, Any]) -> Callable[..., Any]:
    """The function, called with prompts, completions and those columns that it has a parameter for."""
    path, name = settings["file"], settings["function"].rpartition(":")[2]
    function = getattr(_module(path, settings["function"]), name, None)
    if not callable(function):
        raise RewardError(f"The reward function {settings['function']} is no function of {path}.")
    parameters = inspect.signature(function).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    wanted = {parameter.name for parameter in parameters}
    more = settings.get("parameters") or {}

    def own(prompts: list[Any], texts: list[str], values: Mapping[str, Any]) -> Any:
        known = {name: value for name, value in values.items() if takes_all or name in wanted}
        return function(prompts=prompts, completions=texts, **known, **more)

    return own


def _module(path: str, label: str) -> Any:
    spec = util.spec_from_file_location(f"ftsdk_reward_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise RewardError(f"The reward function {label}: {path} is no Python file.")
    module = util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        raise RewardError(f"The reward function {label}: {path} does not import ({problem}).") from problem
    return module


# --- built-ins ----------------------------------------------------------------------------------------------
def _each(judge: Judge) -> Callable[..., Any]:
    """A judge of one answer, over a batch."""

    def each(_prompts: list[Any], texts: list[str], values: Mapping[str, Any]) -> list[Score]:
        rows = ({name: value[number] for name, value in values.items()} for number in range(len(texts)))
        return [judge(text, row) for text, row in zip(texts, rows, strict=True)]

    return each


def exact_match(settings: Mapping[str, Any]) -> Judge:
    """See `ftsdk.spec.rewards.ExactMatch`."""
    extract = re.compile(settings["extract"], re.DOTALL) if settings.get("extract") else None
    fold = str.casefold if settings.get("ignore_case") else str

    def judge(text: str, row: Mapping[str, Any]) -> Score:
        if row.get("answer") is None:
            return None
        if extract:
            found = list(extract.finditer(text))
            text = (found[-1][1] if extract.groups else found[-1][0]) or "" if found else ""
            if not found:
                return 0.0
        return float(fold(text.strip()) == fold(str(row["answer"]).strip()))

    return judge


def math_answer(_settings: Mapping[str, Any]) -> Judge:
    """See `ftsdk.spec.rewards.MathAnswer`. Compared by math-verify (Apache 2.0)."""
    from math_verify import parse, verify  # type: ignore[import-not-found,unused-ignore]

    def judge(text: str, row: Mapping[str, Any]) -> Score:
        if row.get("answer") is None:
            return None
        reference = str(row["answer"])
        expected = parse(f"${reference}$" if "\\" in reference and "$" not in reference else reference)
        return float(bool(expected) and verify(expected, parse(text))) if expected else None

    return judge


def regex(settings: Mapping[str, Any]) -> Judge:
    """See `ftsdk.spec.rewards.Regex`."""
    pattern = re.compile(settings["pattern"], re.DOTALL)
    found = pattern.fullmatch if settings.get("whole") else pattern.search
    return lambda text, _row: float(found(text.strip() if settings.get("whole") else text) is not None)


def format_tags(settings: Mapping[str, Any]) -> Judge:
    """See `ftsdk.spec.rewards.Format`."""
    tags = [re.escape(tag) for tag in settings["tags"]]
    inner = r"\s*".join(rf"<{tag}>(?:(?!</?(?:{'|'.join(tags)})>).)*</{tag}>" for tag in tags)
    pattern = re.compile(rf"\s*{inner}\s*", re.DOTALL)
    return lambda text, _row: float(pattern.fullmatch(text) is not None)


def length(settings: Mapping[str, Any]) -> Judge:
    """See `ftsdk.spec.rewards.Length`."""
    most, zone = settings["max_tokens"], settings["soft_tokens"]

    def judge(_text: str, row: Mapping[str, Any]) -> Score:
        over = len(row["completion_ids"]) - (most - zone)
        if over <= 0:
            return 0.0
        return -1.0 if over >= zone else -over / zone

    return judge


def json_valid(settings: Mapping[str, Any]) -> Judge:
    """See `ftsdk.spec.rewards.Json`."""
    keys = settings.get("keys") or ()

    def judge(text: str, _row: Mapping[str, Any]) -> Score:
        fenced = FENCE.match(text.strip())
        try:
            value = json.loads(fenced[1] if fenced else text)
        except ValueError:
            return 0.0
        return float(not keys or (isinstance(value, dict) and all(key in value for key in keys)))

    return judge


BUILT_IN: Mapping[str, Callable[[Mapping[str, Any]], Judge]] = {
    "exact_match": exact_match,
    "math_answer": math_answer,
    "regex": regex,
    "format": format_tags,
    "length": length,
    "json": json_valid,
}
