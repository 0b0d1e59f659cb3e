"""The model card: a README.md written from the lineage. It holds nothing that `cleaning` would remove."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import yaml

from ftsdk.contract.lineage import LineageRecord, VerdictRecord, verdict_sentence
from ftsdk.models.cleaning import is_path, public_name, public_record
from ftsdk.models.licences import licence_of
from ftsdk.models.lineage import measured

CURVE_ROWS, ENOUGH_ROWS = 12, 3
"""Of the table of losses: the most, and how many evaluations make it a table of them alone."""
INTENDED_USE = "_To be written by the author: for whom and what the model is, and what it must not be used for._"
SHOWN_METRICS = ("loss", "eval_loss", "train_loss", "reward", "eval_reward", "rewards/accuracies", "rewards/margins")


def model_card(record: LineageRecord, *, name: str, adapter: bool, state: bytes | None = None) -> str:
    """A model card in Markdown with the hub's YAML header.

    Args:
        record: the model's lineage.
        name: title of the card.
        adapter: whether the model is an adapter.
        state: the model's `trainer_state.json`, for the table of losses.
    """
    base = record.get("base_model", "")
    licence = licence_of(base, Path(base) if is_path(base) and "://" not in base else None)
    public = public_record(record)
    parts = [
        f"---\n{yaml.safe_dump(_header(public, base, licence.identifier, adapter), sort_keys=False)}---",
        f"# {name}",
        _introduction(public, base, adapter),
        f"## Intended use\n\n{INTENDED_USE}",
        _section("Licence", _licence(base, licence.identifier, licence.demands)),
        _section("Data", _data(public)),
        _section("Training", _training(public)),
        _section("Results", _results(public)),
        _section("Losses", _curve(state)),
        _section("Evaluations", "\n\n".join(_evaluations(public))),
        _section("Hardware and cost", _hardware(public)),
        _section("Versions", ", ".join(f"{name} {value}" for name, value in public.get("versions", {}).items())),
        "Made with ftsdk; `ftsdk.json` holds the whole lineage.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(record: LineageRecord, base: str, licence: str, adapter: bool) -> dict[str, object]:
    method = record.get("spec", {}).get("method", {}).get("stage")
    header = {
        "license": licence or None,
        "base_model": None if is_path(base) else base or None,
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["ftsdk", *([method] if method else [])],
    }
    return {key: value for key, value in header.items() if value is not None}


def _introduction(record: LineageRecord, base: str, adapter: bool) -> str:
    spec = record.get("spec", {})
    kind = "An adapter for" if adapter else "A model made from"
    method = spec.get("method", {}).get("stage")
    tuning = spec.get("tuning", {}).get("type")
    how = f", trained by {method} ({tuning})" if method else ""
    bases = [parent["name"] for parent in record.get("parents", [])]
    after = f" It continues {', '.join(bases)}." if bases else ""
    return f"{kind} {_code(public_name(base))}{how}.{after}"


def _licence(base: str, identifier: str, demands: str) -> str:
    if not identifier:
        return (
            f"The licence of {_code(public_name(base))} is not known to the tool that wrote this card: look it up, and "
            f"follow it, before you share the model."
        )
    conditions = f" It asks of those who share a model made from it: {demands}." if demands else ""
    return f"The base model is under {_code(identifier)}.{conditions}"


def _data(record: LineageRecord) -> str:
    files = [file for file in record.get("inputs", []) if file["role"] in ("train", "eval")]
    rows = [(file["role"], file["name"], f"{file['bytes']:,}", file["sha256"][:16]) for file in files]
    named = record.get("spec", {}).get("dataset")
    addresses = (*(named.get("train") or ()), *(named.get("eval") or ())) if named else ()
    hub = [address for address in addresses if "://" in address]
    return "\n\n".join(filter(None, (_table(("role", "file", "bytes", "SHA-256"), rows), ", ".join(map(_code, hub)))))


def _training(record: LineageRecord) -> str:
    spec = record.get("spec", {})
    parts = {name: spec.get(name) for name in ("method", "tuning", "hyperparameters", "sharding")}
    rows = [
        (f"{part}.{key}", json.dumps(value, ensure_ascii=False))
        for part, fields in parts.items()
        if isinstance(fields, Mapping)
        for key, value in fields.items()
        if value not in (None, [], {}, ())
    ]
    seed = [("seed", str(record["seed"]))] if record.get("seed") is not None else []
    return _table(("setting", "value"), [*rows, *seed, ("steps", str(record.get("step")))]) if rows else ""


def _results(record: LineageRecord) -> str:
    metrics = record.get("metrics", {})
    return _table(
        ("metric", "final value"), [(name, _number(metrics[name])) for name in SHOWN_METRICS if name in metrics]
    )


def _curve(state: bytes | None) -> str:
    """At most `CURVE_ROWS` rows, evenly spread, of what the trainer logged."""
    try:
        history = json.loads(state or b"{}").get("log_history", [])
    except (ValueError, AttributeError):
        return ""
    merged: dict[int, dict[str, object]] = {}
    for row in history:
        merged.setdefault(int(row.get("step", 0)), {}).update(row)
    held_out = [step for step, row in sorted(merged.items()) if "eval_loss" in row]
    steps = held_out if len(held_out) >= ENOUGH_ROWS else [s for s, row in sorted(merged.items()) if "loss" in row]
    chosen = [steps[i * (len(steps) - 1) // max(1, CURVE_ROWS - 1)] for i in range(CURVE_ROWS)] if steps else []
    rows = [
        (str(s), _number(merged[s].get("loss")), _number(merged[s].get("eval_loss"))) for s in dict.fromkeys(chosen)
    ]
    return _table(("step", "loss", "held-out loss"), rows)


def _evaluations(record: LineageRecord) -> Iterator[str]:
    for evaluation in record.get("evaluations", []):
        rows = [
            (name, _number(metric.get("value")), _number(metric.get("against")), str(metric.get("verdict") or ""))
            for name, metric in measured(evaluation).items()
        ]
        title = verdict_sentence(cast(VerdictRecord, evaluation)) if "verdict" in evaluation else evaluation["name"]
        yield f"{title}\n\n{_table(('metric', 'value', 'other model', 'verdict'), rows)}"


def _hardware(record: LineageRecord) -> str:
    machine = record.get("machine")
    if not machine:
        return ""
    cards = ", ".join(machine["accelerators"]) or f"{machine['cpus']} CPUs ({machine['processor']})"
    cost = record.get("cost_usd")
    price = "" if cost is None else f", {cost:.2f} USD"
    return (
        f"{record.get('num_nodes', 1)} × {cards}; {record['hours']:.3g} h in {len(record['attempts'])} attempts{price}."
    )


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    """Text that neither ends the cell nor is read as HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""
