"""`ftsdk report`: one HTML file about a job, that opens offline and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import cast

import yaml

from ftsdk.contract.lineage import EvaluationRecord, VerdictRecord, verdict_sentence
from ftsdk.contract.spec_document import SpecDocument
from ftsdk.errors import FtsdkError
from ftsdk.models import lineage
from ftsdk.reports.ancestry import ancestry, descendants
from ftsdk.reports.contents import ReportContents, data_findings, gathered
from ftsdk.reports.svg import Series, chart

CHARTS = (
    ("Loss", (("train", "loss"), ("eval", "eval_loss"))),
    ("Reward", (("train", "reward"), ("eval", "eval_reward"))),
    ("Preference accuracy", (("train", "rewards/accuracies"),)),
    ("Learning rate", (("train", "learning_rate"),)),
    ("Gradient norm", (("train", "grad_norm"),)),
    ("Tokens per second", (("train", "tokens_per_s"),)),
)
"""Title -> (kind, metric) of its lines."""
MOST_SAMPLES = 10
EMPTY: tuple[object, ...] = (None, "", [], {})


def write_report(job: str, path: Path | str) -> Path:
    """Write the report of a job, by its URI or name, and return the path. The file appears whole or not at all.

    Raises JobNotFoundError for an unknown job and FtsdkError for a path that cannot be written.
    """
    target = Path(path)
    text = html(gathered(job))
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
        part.replace(target)
    except OSError as problem:
        raise FtsdkError(f"The report cannot be written to {target} ({problem.strerror}).") from problem
    return target


def html(contents: ReportContents) -> str:
    """The whole page."""
    style, script = (files("ftsdk.reports").joinpath("assets", name).read_text("utf-8") for name in ASSETS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(contents.name)}</title><style>{style}</style></head>"
        f"<body>{_head(contents)}{body(contents)}<script>{script}</script></body></html>\n"
    )


ASSETS = ("report.css", "report.js")


def body(contents: ReportContents) -> str:
    """All sections below the page's head."""
    return "".join(section for section in _sections(contents) if section)


def _sections(contents: ReportContents) -> Iterator[str]:
    yield _section("Curves", "".join(_charts(contents)), "Drag over a chart to zoom, double-click to see all of it.")
    yield _section("Evaluations", "".join(map(_evaluation, contents.record.get("evaluations", []))))
    yield _section("Samples", _samples(contents))
    yield _section("Data", _data(contents))
    yield _section("Attempts and cost", _attempts(contents))
    yield _section("Lineage", _lineage(contents))
    yield _section("Spec", _pre(_spec(contents.record.get("spec", {}))))
    yield _section("Versions and machine", _versions(contents))
    yield _section("End of the log", _pre("\n".join(contents.last_lines)))


def _section(title: str, body: str, note: str = "") -> str:
    shown = f"<p>{escape(note)}</p>" if note else ""
    return f"<section><h2>{escape(title)}</h2>{shown}{body}</section>" if body else ""


def _spec(spec: SpecDocument) -> str:
    """The spec as YAML, without what is not set."""
    parts = {name: _without_empty(value) for name, value in spec.items()}
    given = {name: value for name, value in parts.items() if value not in EMPTY}
    return str(yaml.safe_dump(given, sort_keys=False, allow_unicode=True)) if given else ""


def _without_empty(value: object) -> object:
    return {key: inner for key, inner in value.items() if inner not in EMPTY} if isinstance(value, dict) else value


def _head(contents: ReportContents) -> str:
    info = contents.info
    tone = {"SUCCEEDED": "good", "FAILED": "bad"}.get(str(info.state), "")
    message = f"<p>{escape(info.message)}</p>" if info.message else ""
    shown = "".join(
        f"<div><span>{escape(name)}</span><b{_tone(tone if name == 'state' else '')}>{escape(str(value))}</b></div>"
        for name, value in contents.figures().items()
    )
    return f'<h1>{escape(contents.name)}</h1><p>{escape(contents.uri)}</p>{message}<div class="facts">{shown}</div>'


def _tone(tone: str) -> str:
    return f' class="{tone}"' if tone else ""


def _charts(contents: ReportContents) -> Iterator[str]:
    for title, lines in CHARTS:
        yield chart(title, [Series.of(contents.metrics, kind, name) for kind, name in lines])


def _evaluation(evaluation: EvaluationRecord) -> str:
    rows = [
        (name, *(figures.get(key) for key in ("value", "against", "low", "high", "verdict")))
        for name, figures in lineage.measured(evaluation).items()
    ]
    header = ("metric", "value", "other model", "difference from", "to (95 %)", "verdict")
    title = verdict_sentence(cast(VerdictRecord, evaluation)) if "verdict" in evaluation else str(evaluation["name"])
    return f"<p>{escape(title)}</p>{_table(header, rows)}"


def _samples(contents: ReportContents) -> str:
    samples = [
        sample
        for evaluation in contents.record.get("evaluations", [])
        for sample in evaluation.get("samples", [])
        if isinstance(sample, dict)
    ]
    rows = [tuple(sample.get(key) for key in ("prompt", "reference", "answer", "against")) for sample in samples]
    return _table(("prompt", "reference", "answer", "other model"), rows[:MOST_SAMPLES]) if rows else ""


def _data(contents: ReportContents) -> str:
    inputs = [file for file in contents.record.get("inputs", []) if file["role"] not in ("model", "reward_model")]
    rows = [(file["role"], file["name"], f"{file['bytes']:,}", file["sha256"][:16]) for file in inputs]
    listed = _table(("role", "file", "bytes", "SHA-256"), rows) if rows else ""
    findings = "".join(f"<p>{escape(line)}</p>" for line in data_findings(contents.record))
    return listed + findings


def _attempts(contents: ReportContents) -> str:
    rows = [
        (a.number, a.state, a.reason, a.step, f"{a.seconds / 3600:.3g}", a.cost_usd, a.why) for a in contents.attempts
    ]
    return _table(("attempt", "state", "reason", "step", "hours", "USD", "why it was started"), rows)


def _lineage(contents: ReportContents) -> str:
    nodes = (ancestry(contents.record), *descendants(contents.uri))
    return _pre("\n".join(line for node in nodes for line in node.lines()))


def _versions(contents: ReportContents) -> str:
    record = contents.record
    git, machine = record.get("git"), dict(record.get("machine", {}))
    dirty = " with uncommitted changes" if git and git["dirty"] else ""
    rows = [*machine.items(), ("image", record.get("image")), ("commit", git and f"{git['commit']}{dirty}")]
    rows += [("seed", record.get("seed")), *record.get("versions", {}).items()]
    known = [(name, ", ".join(value) if isinstance(value, list) else value) for name, value in rows if value]
    return _table(("", ""), known) if known else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return escape(f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value))


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>" if text.strip() else ""
