"""`ftsdk data check|convert|stats|split|preview`: commands on training data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypedDict, TypeVar, Unpack

import click

from ftsdk.cli.output import emit, json_option, say, table
from ftsdk.cli.preview import preview
from ftsdk.data.formats.catalog import FORMATS, OPENAI_TAGS, SPELLINGS
from ftsdk.errors import DataError, SpecError, did_you_mean

if TYPE_CHECKING:
    from ftsdk.data.checks.fix import Fixed
    from ftsdk.data.checks.report import DataReport, Finding
    from ftsdk.data.formats.files import DataFile
    from ftsdk.data.statistics.stats import Stats
    from ftsdk.recipes.specfile import Loaded

Paths: TypeAlias = "Sequence[str | Path | DataFile]"
Command = TypeVar("Command", bound=Callable[..., object])
METHODS = list(dict.fromkeys(method for info in FORMATS.values() for method in info.methods))
SPEC_SUFFIXES = (".yaml", ".yml")


@click.group()
def data() -> None:
    """Check, preview, measure, convert and split training data.

    PATHS are files (JSON, JSON Lines, CSV, TSV, Parquet, Arrow, Excel, text; also .gz and .zst), folders and patterns,
    here or in a bucket (s3://, oss://, gs://). Nothing is ever changed in place.
    """


def _fetch_remote(_context: click.Context, _parameter: click.Parameter, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Download files that are in a bucket, unless they are in the cache."""
    from ftsdk.data.remote import fetch, is_remote
    from ftsdk.terminal.progress import byte_bar

    for path in paths:
        if "://" in path and not is_remote(path):
            raise SpecError(f"{path} is not on this machine; download it and give its files.")
    return tuple(
        str(file) for path in paths for file in (fetch(path, progress=byte_bar) if is_remote(path) else [path])
    )


class ShapeOptions(TypedDict):
    """What `shape_options` adds to a command."""

    columns: tuple[str, ...]
    tags: tuple[str, ...]
    format: str | None
    method: str | None


class RowOptions(ShapeOptions):
    """The same, and how rows are measured."""

    cutoff_len: int | None
    tokenizer: str | None


def shape_options(command: Command) -> Command:
    """Options that describe the rows where their columns do not."""
    for option in (
        click.option(
            "--tag", "tags", multiple=True, metavar="TAG=NAME", help="Name inside messages, e.g. user_tag=me."
        ),
        click.option(
            "--column", "columns", multiple=True, metavar="ROLE=NAME", help="Column of a role, e.g. prompt=ask."
        ),
        click.option("--format", type=click.Choice(list(FORMATS)), help="Format of the rows; detected if left out."),
        click.option(
            "--method", type=click.Choice(METHODS), help="Training method, which can decide the format (default: sft)."
        ),
    ):
        command = option(command)
    return command


def _pairs(texts: tuple[str, ...], option: str, known: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise SpecError(f"{option} {text}: write it as name=value.")
        if name not in known:
            raise SpecError(f"{option} {text}: there is no '{name}'{did_you_mean(name, known)}: {', '.join(known)}.")
        pairs[name] = value
    return pairs


def _data_files(paths: Iterable[str | Path | DataFile], given: ShapeOptions) -> list[DataFile]:
    """Paths with the shape options; a DataFile keeps its own shape."""
    from ftsdk.data.formats.files import DataFile

    columns = _pairs(given["columns"], "--column", SPELLINGS)
    tags = _pairs(given["tags"], "--tag", OPENAI_TAGS)
    return [
        path if isinstance(path, DataFile)
        else DataFile(path=path, format=given["format"], columns=columns, tags=tags)
        for path in paths
    ]  # fmt: skip


def _with_spec(reference: str, eval_paths: Paths, given: RowOptions) -> tuple[Paths, Paths, RowOptions]:
    """Training files, held-out files and options of a spec; options of the command line take precedence."""
    from ftsdk.recipes import specfile

    loaded = specfile.load(reference)
    spec, dataset = loaded.spec, loaded.spec.dataset
    train = [file for address in dataset.train for file in _files_of(address, loaded)]
    held_out = eval_paths or [file for address in dataset.eval for file in _files_of(address, loaded)]
    options: RowOptions = {
        "method": given["method"] or spec.method.stage,
        "format": given["format"] or dataset.format,
        "columns": given["columns"] or tuple(f"{role}={name}" for role, name in dataset.columns.items()),
        "tags": given["tags"] or tuple(f"{tag}={name}" for tag, name in dataset.tags.items()),
        "cutoff_len": given["cutoff_len"] or spec.hyperparameters.cutoff_len,
        "tokenizer": given["tokenizer"] or spec.model,
    }
    return train, held_out, options


def _files_of(address: str, loaded: Loaded) -> Sequence[Path | DataFile]:
    """Files of a spec's data set, with their format if it is registered in a dataset_info.json."""
    from ftsdk.data.formats.dataset_info import from_entry
    from ftsdk.data.remote import fetch, is_remote
    from ftsdk.terminal.progress import byte_bar

    if is_remote(address):
        return fetch(address, progress=byte_bar)
    if "://" in address:
        raise SpecError(f"{address} is not on this machine; download it and check the files.")
    directory = loaded.spec.dataset.directory
    register = loaded.folder / directory / "dataset_info.json" if directory is not None else None
    entry = json.loads(register.read_text("utf-8")).get(address) if register and register.is_file() else None
    if register is None or entry is None:
        return [loaded.folder / address]
    if "file_name" not in entry:
        raise SpecError(f"{address} is a data set on a hub, not on this machine; download it and check the files.")
    return [from_entry(entry, register.parent / entry["file_name"])]


@data.command()
@click.argument("paths", nargs=-1, required=True, callback=_fetch_remote)
@click.option(
    "--eval", "eval_paths", multiple=True, callback=_fetch_remote, help="Held-out data: checked too, and for leakage."
)
@shape_options
@click.option("--cutoff-len", type=click.IntRange(min=1), help="Tokens per row; longer rows are reported.")
@click.option("--tokenizer", help="Model folder, tokenizer.json or hub id in the local cache, to count tokens exactly.")
@click.option("--fix", "fix_folder", type=click.Path(file_okay=False, path_type=Path),
              help="Write cleaned copies into this folder.")  # fmt: skip
@click.option("--heuristics/--no-heuristics", default=True, show_default=True,
              help="Also look for near-duplicates, secrets, personal data and unexpected languages.")  # fmt: skip
@click.option("--strict", is_flag=True, help="Exit with code 3 for warnings too.")
@click.option("--limit", default=20, show_default=True, help="Findings of each kind to show; --json has all.")
@json_option
def check(
    paths: tuple[str, ...],
    eval_paths: tuple[str, ...],
    fix_folder: Path | None,
    heuristics: bool,
    strict: bool,
    limit: int,
    as_json: bool,
    **given: Unpack[RowOptions],
) -> None:
    """Check training data and report every problem with its row number. PATHS may also be one spec (YAML).

    The exit code is 0 if the data can be trained on, else 3. With --fix, copies are written in which texts are cleaned
    (changed.jsonl lists those rows), and rows with errors, repeated rows and training rows that are also held out are
    left out (dropped.jsonl lists them with the reason).
    """
    from ftsdk.data.checks.check import CheckOptions
    from ftsdk.data.checks.check import check as check_data
    from ftsdk.data.checks.fix import fix

    train_paths: Paths = paths
    held_out_paths: Paths = eval_paths
    if len(paths) == 1 and Path(paths[0]).suffix.lower() in SPEC_SUFFIXES:
        train_paths, held_out_paths, given = _with_spec(paths[0], eval_paths, given)
    train, held_out = _data_files(train_paths, given), _data_files(held_out_paths, given)
    options = CheckOptions(
        method=given["method"] or _method_of(train),
        cutoff_len=given["cutoff_len"],
        tokenizer=given["tokenizer"],
        heuristics=heuristics,
    )
    if fix_folder:
        fixed = fix(train, fix_folder, options, eval_paths=held_out)
        report = fixed.report
        emit(fixed.to_dict(), as_json, lambda: _report_text(report, limit))
        for file in fixed.files:
            cleaned = f", {file.num_changed:,} of them cleaned" if file.num_changed else ""
            counts = f"{file.num_kept:,} rows{cleaned}, {file.num_dropped:,} left out"
            say(f"Written: {file.output} ({counts} of {file.source})")
        say(f"Why: {fixed.dropped}" + (f", {fixed.changed}" if any(f.num_changed for f in fixed.files) else ""))
        _say_if_many(fixed)
    else:
        report = check_data(train, options, eval_paths=held_out)
        emit(report.to_dict(), as_json, lambda: _report_text(report, limit))
    _say_verdict(report)
    if report.verdict == "fail" or (strict and report.verdict == "warn"):
        click.get_current_context().exit(DataError.exit_code)


def _method_of(files: list[DataFile]) -> str:
    """The method that rows of these columns are for; empty for sft."""
    from ftsdk.data.formats.opening import open_files

    formats = {file.detected.format for file in open_files(files, method=None)} - {""}
    methods = {FORMATS[name].methods[0] if name != "preference" else "dpo" for name in formats}
    method = methods.pop() if len(methods) == 1 else "sft"
    if method != "sft":
        say(f"Checked for {method}, as the columns suggest ({formats.pop()} rows); --method names another.")
    return method


def _say_if_many(fixed: Fixed) -> None:
    """Advise against a copy that lacks many rows."""
    from ftsdk.data.checks.report import FEW_ROWS

    total = sum(file.num_kept + file.num_dropped for file in fixed.files)
    dropped = sum(file.num_dropped for file in fixed.files)
    if fixed.report.verdict == "fail" and dropped > FEW_ROWS * total:
        say(
            f"{dropped:,} of {total:,} rows are left out: that many mean that the format was not understood. Say it "
            "with --format and --column before you use the copy."
        )


def _report_text(report: DataReport, limit: int) -> str:
    """A table of the findings, at most `limit` of each kind, and what was left out of it."""
    if not report.findings:
        return ""
    shown: Counter[str] = Counter()
    rows = []
    for finding in report.findings:
        shown[finding.code] += 1
        if shown[finding.code] <= limit:
            rows.append(_finding_row(finding))
    hidden = [f"{count - limit:,} more {code}" for code, count in report.counts.items() if count > limit]
    text = table(("FILE", "ROW", "", "CODE", "WHAT"), rows)
    return f"{text}\n… and {', '.join(hidden)} (--limit, --json)" if hidden else text


def _finding_row(finding: Finding) -> tuple[object, ...]:
    row = "-" if finding.row is None else finding.row
    return Path(finding.file).name or "-", row, finding.severity, finding.code, finding.message


def _say_verdict(report: DataReport) -> None:
    for file in report.files:
        say(f"{file.why} ({file.num_rows:,} rows; row numbers are {file.row_word}s)")
    if report.languages:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in report.languages.items() if share >= 0.005)
        say(f"Languages of the answers: {shares}")
    from ftsdk.data.checks.report import CODES

    findings = {code: count for code, count in sorted(report.counts.items()) if CODES[code][0] != "note"}
    counted = ", ".join(f"{count:,} {code}" for code, count in findings.items()) or "nothing found"
    notes = sum(report.counts.values()) - sum(findings.values())
    also = f" ({notes:,} note{'s' * (notes > 1)})" if notes else ""
    say(f"{report.verdict.upper()} for {report.method}, {report.num_rows:,} training rows: {counted}{also}")


@data.command()
@click.argument("paths", nargs=-1, required=True, callback=_fetch_remote)
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), help="File to write (JSON Lines).")
@click.option("--to", help="New format; the same one, in a form that the trainer can load, if left out.")
@shape_options
@json_option
def convert(paths: tuple[str, ...], output: str, to: str | None, as_json: bool, **given: Unpack[ShapeOptions]) -> None:
    """Write data in another format, or one file in a form that the trainer can load."""
    from ftsdk.data import convert as converting

    files = _data_files(paths, given)
    if to:
        made = converting.convert(files, output, to=to, method=given["method"])
    elif len(files) == 1:
        made = converting.convert_for_trainer(files[0], output, method=given["method"])
    else:
        raise SpecError("Give the new format with --to, or a single file.")
    emit(asdict(made), as_json, lambda: made.output)
    say(f"{made.num_rows:,} rows as {made.format}" + (f", {made.left_out:,} left out" if made.left_out else ""))
    if made.comments_left_out:
        say(f"Left out: the text beside {made.comments_left_out:,} tool calls, which {made.format} has no place for.")


@data.command()
@click.argument("paths", nargs=-1, required=True, callback=_fetch_remote)
@click.option("--tokenizer", help="Model folder, tokenizer.json or hub id in the local cache; else an estimate.")
@click.option("--cutoff-len", type=click.IntRange(min=1), help="Tokens per row; the suggested number if left out.")
@click.option("--batch-size", type=click.IntRange(min=1), default=1, show_default=True,
              help="Rows per device and micro-step, padded together.")  # fmt: skip
@click.option("--steps-batch-size", type=click.IntRange(min=1), help="Rows per optimizer step over all devices.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path), help="Draw the histogram into this file.")
@shape_options
@json_option
def stats(
    paths: tuple[str, ...],
    tokenizer: str | None,
    cutoff_len: int | None,
    batch_size: int,
    steps_batch_size: int | None,
    png: Path | None,
    as_json: bool,
    **given: Unpack[ShapeOptions],
) -> None:
    """Show token lengths, a fitting cutoff_len, padding and packing, and steps per epoch."""
    from ftsdk.data.statistics import histogram
    from ftsdk.data.statistics.stats import stats as measure

    statistics = measure(
        _data_files(paths, given), method=given["method"], tokenizer=tokenizer, cutoff_len=cutoff_len,
        batch_size=batch_size, steps_batch_size=steps_batch_size,
    )  # fmt: skip
    if png:
        say(f"Drawn: {histogram.save_png(statistics, png)}")
    emit(
        statistics.to_dict(),
        as_json,
        lambda: f"{histogram.terminal_histogram(statistics)}\n\n{_stats_text(statistics)}",
    )


def _stats_text(statistics: Stats) -> str:
    spread = "  ".join(f"{percent}%: {tokens:,}" for percent, tokens in statistics.percentiles.items())
    measured = "" if statistics.num_measured == statistics.num_rows else f" ({statistics.num_measured:,} measured)"
    rows = (
        ("rows", f"{statistics.num_rows:,}{measured}"),
        ("tokens", f"{statistics.how_counted}; mean {statistics.mean_tokens:,.0f}"),
        ("percentiles", spread),
        ("cutoff_len", f"{statistics.cutoff_len:,}: cuts {statistics.share_cut:.1%} of the rows; "
                       f"suggested {statistics.suggested_cutoff_len:,}"),
        ("padding", f"{statistics.padding_waste:.1%} of the computed tokens; "
                    f"{statistics.packing_waste:.1%} with packing"),
        ("epoch", f"{statistics.epoch_tokens:,} tokens, {statistics.epoch_steps:,} steps; "
                  f"{statistics.packed_epoch_steps:,} steps with packing"),
    )  # fmt: skip
    return table(("", ""), rows).lstrip("\n")


@data.command()
@click.argument("paths", nargs=-1, required=True, callback=_fetch_remote)
@click.option("--output", "-o", "folder", required=True, type=click.Path(file_okay=False), help="Folder to write into.")
@click.option("--fraction", type=float, help="Share of the rows to hold out, between 0 and 1.")
@click.option("--rows", "num_eval", type=click.IntRange(min=1), help="Number of rows to hold out.")
@click.option("--seed", type=int, default=42, show_default=True, help="Seed of the random choice.")
@shape_options
@json_option
def split(
    paths: tuple[str, ...],
    folder: str,
    fraction: float | None,
    num_eval: int | None,
    seed: int,
    as_json: bool,
    **given: Unpack[ShapeOptions],
) -> None:
    """Split rows into train.jsonl and eval.jsonl, with no prompt in both."""
    from ftsdk.data.split import split as split_data

    files = _data_files(paths, given)
    made = split_data(files, folder, fraction=fraction, num_eval=num_eval, seed=seed, method=given["method"])
    emit(asdict(made), as_json, lambda: f"{made.train}\n{made.eval}")
    say(f"{made.num_train:,} rows to train on, {made.num_eval:,} held out")


data.add_command(preview)
