"""check(): everything that is wrong with training data, in one pass, before a GPU is paid for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ftsdk.data.checks import cross_row
from ftsdk.data.checks.report import Collector, DataReport, FileReport
from ftsdk.data.checks.scan import Scan, engine
from ftsdk.data.formats.files import DataFile
from ftsdk.data.formats.opening import OpenFile, open_files
from ftsdk.data.tokens.tokenizer import token_counter

# Rule of thumb: below this a method rarely learns anything. Vendors' floor for tuning is 10 rows, their advice 50 to
# 100 (OpenAI, "Supervised fine-tuning"); preferences are noisier.
ROWS_MIN: Mapping[str, int] = {"pt": 100, "sft": 50, "rm": 100, "dpo": 100, "ipo": 100, "orpo": 100, "simpo": 100,
                               "kto": 100}  # fmt: skip
ROWS_MIN_OTHERS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What a check looks for."""

    method: str
    """Training method, such as sft, dpo or pt."""
    cutoff_len: int | None = None
    """Tokens; longer rows are reported. None reports none."""
    tokenizer: str | Path | None = None
    """A folder, a tokenizer.json or a hub id in the local cache; without one, token counts are estimates."""
    heuristics: bool = True
    """Also look for near-duplicates, secrets, personal data and languages; several times as slow."""


def check(
    paths: Iterable[str | Path | DataFile],
    options: CheckOptions,
    *,
    eval_paths: Iterable[str | Path | DataFile] = (),
) -> DataReport:
    """Check files, folders and patterns of training (and held-out) data for one method.

    A path given as a DataFile has its own format, columns and tags (`from_entry` reads them from dataset_info.json);
    those of other paths are detected. The verdict is `fail` with any error, `warn` with any warning, else `pass`.
    Memory stays under 2 GB for any size of data.

    Raises DataError only for what cannot be opened: a path that does not exist, an empty file, an unknown kind.
    """
    return run_check(paths, options, eval_paths=eval_paths)[0]


def run_check(
    paths: Iterable[str | Path | DataFile],
    options: CheckOptions,
    *,
    eval_paths: Iterable[str | Path | DataFile] = (),
) -> tuple[DataReport, list[OpenFile], Collector]:
    """`check`, with what `fix` needs besides the report."""
    collector = Collector()
    counter = token_counter(options.tokenizer)
    files = open_files(paths, eval_paths, method=options.method)
    for file in files:
        for code, message in file.faults:
            collector.add(code, file.name, None, message)
    cutoff_len = None if options.method == "pt" else options.cutoff_len
    prompts = options.method == "kto" or any(file.held_out for file in files)
    with engine() as connection:
        scan = Scan(
            connection, collector, counter, cutoff_len=cutoff_len, prompts=prompts, heuristics=options.heuristics
        )
        sizes = [scan.file(file) for file in files]
        languages = cross_row.compare(
            connection, files, scan.languages, collector, prompts=prompts, heuristics=options.heuristics
        )
    _totals(files, sizes, options.method, collector)
    if cutoff_len and not counter.exact:
        collector.add("estimate", "", None, f"lengths in tokens are {counter.how}")
    return _report(options.method, files, sizes, languages, collector), files, collector


def _totals(files: list[OpenFile], sizes: list[int], method: str, collector: Collector) -> None:
    for file, size in zip(files, sizes, strict=True):
        if not size:
            collector.add("no_rows", file.name, None, "has no rows")
    total = sum(size for file, size in zip(files, sizes, strict=True) if not file.held_out)
    minimum = ROWS_MIN.get(method, ROWS_MIN_OTHERS)
    if 0 < total < minimum:
        train = next(file.name for file in files if not file.held_out)
        message = f"{total} training rows in all; {method} usually needs {minimum} or more"
        collector.add("too_few_rows", train, None, message)


def _report(
    method: str, files: list[OpenFile], sizes: list[int], languages: dict[str, float], collector: Collector
) -> DataReport:
    reports = tuple(
        FileReport(
            file=file.name,
            kind=file.source.kind,
            held_out=file.held_out,
            num_rows=size,
            format=file.detected.format,
            columns=file.detected.columns,
            tags=file.detected.tags,
            why=file.detected.why,
            row_word=file.source.row_word,
        )
        for file, size in zip(files, sizes, strict=True)
    )
    return DataReport(
        verdict=collector.verdict(),
        method=method,
        files=reports,
        findings=collector.findings(),
        counts=dict(collector.counts),
        languages=languages,
        num_rows=sum(report.num_rows for report in reports if not report.held_out),
    )
