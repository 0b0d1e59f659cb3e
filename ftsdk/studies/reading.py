"""A sweep from a YAML's block `sweep:` and from command line options."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from ftsdk.errors import SpecError
from ftsdk.recipes import yaml12
from ftsdk.spec.base import plain
from ftsdk.spec.loading import sentences
from ftsdk.studies.sweep import Sweep


def sweep_of(block: object, options: Mapping[str, object], *, where: str) -> Sweep:
    """The sweep of a block, with the options that are given in place of its values.

    `grid` and `ranges` in `options` are texts such as `tuning.rank=8,32`, of which each replaces the values of its
    field. `where` names the file in messages. Raises SpecError.
    """
    if not isinstance(block, Mapping):
        raise SpecError(f"{where}: sweep is a mapping, such as {{grid: {{learning_rate: [1e-5, 1e-4]}}}}.")
    given = {key: value for key, value in options.items() if value is not None and key not in ("grid", "ranges")}
    fields: dict[str, object] = {**plain(block), **given}
    for name, texts, read in (("grid", options.get("grid"), _values), ("ranges", options.get("ranges"), _range)):
        parsed = dict(map(read, texts if isinstance(texts, tuple) else ()))
        before = fields.get(name, {})
        fields[name] = {**before, **parsed} if isinstance(before, Mapping) else before
    try:
        return Sweep.model_validate(fields)
    except ValidationError as problem:
        raise SpecError(f"{where}: sweep: {sentences(problem)}") from None


def _values(text: str) -> tuple[str, list[object]]:
    key, values = _items("--grid", text, "learning_rate=1e-5,1e-4")
    return key, values


def _range(text: str) -> tuple[str, dict[str, object]]:
    example = "learning_rate=1e-5,1e-3,log"
    key, values = _items("--range", text, example)
    if len(values) not in (2, 3) or values[2:] not in ([], ["log"]):
        raise SpecError(f"--range {text!r}: write KEY=LOW,HIGH or KEY=LOW,HIGH,log, such as {example}.")
    return key, {"low": values[0], "high": values[1], "log": len(values) == 3}


def _items(option: str, text: str, example: str) -> tuple[str, list[object]]:
    key, _, values = text.partition("=")
    if not key.strip() or not values.strip():
        raise SpecError(f"{option} {text!r}: write KEY=VALUES, such as {example}.")
    loaded = yaml12.load(f"[{values}]", where=f"{option} {text!r:.80}")
    assert isinstance(loaded, list)
    return key.strip(), loaded
