"""One pass over files: every batch goes through the engine's screen, and what it does not pass through the rules.

What is left of a row afterwards are about 150 bytes in the engine's table `rows` (keys, sizes, sketch), on disk where
memory is short: so duplicates and leakage are found over any number of rows.
"""

from __future__ import annotations

import json
import os
import threading
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from tempfile import TemporaryDirectory
from typing import Any

from ftsdk.data.checks.language import language
from ftsdk.data.checks.near_duplicates import with_sketch
from ftsdk.data.checks.pii import signals
from ftsdk.data.checks.report import CODES, Collector
from ftsdk.data.checks.rules import Rules
from ftsdk.data.checks.sql_prefilter import screen
from ftsdk.data.formats.files import Source
from ftsdk.data.formats.rows import Batch, batches
from ftsdk.data.formats.shapes import Detected
from ftsdk.data.tokens.texts import answer_text, token_counts
from ftsdk.data.tokens.tokenizer import TOKENS_PER_TURN, TokenCounter

MEMORY_LIMIT = "1GB"
LANGUAGE_ROWS = 10_000
"""Rows of each file whose language is told by their words; later ones only by their script."""
_TABLE = """
    create table rows (
        file integer, held_out boolean, row bigint, key uhugeint, prompt_key uhugeint,
        label boolean, tokens double, script tinyint, minima uinteger[]
    )"""
_INSERT = "insert into rows select ?, ?, row, key, prompt_key, label, tokens, script, minima from batch where valid"


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """One file to be scanned."""

    index: int
    source: Source
    detected: Detected
    rules: Rules
    held_out: bool

    @property
    def name(self) -> str:
        return str(self.source.path)


@dataclass(slots=True)
class _Outcome:
    """What came of one batch."""

    num_rows: int
    findings: list[tuple[str, int | None, str]] = field(default_factory=list)
    languages: list[tuple[int, str]] = field(default_factory=list)

    def add(self, code: str, row: int | None, message: str) -> None:
        self.findings.append((code, row, message))


class Scan:
    """Scans files into the table `rows` of one engine, and findings into a collector."""

    def __init__(
        self,
        connection: Any,
        collector: Collector,
        counter: TokenCounter,
        *,
        cutoff_len: int | None,
        prompts: bool,
        heuristics: bool,
    ) -> None:
        self.languages: dict[tuple[int, int], str] = {}
        """(file, row) -> language of the first rows of each file, where it could be told."""
        self._connection = connection
        self._collector = collector
        self._counter = counter
        self._cutoff_len = cutoff_len
        self._prompts = prompts
        self._heuristics = heuristics
        self._language_rows = LANGUAGE_ROWS if heuristics else 0
        self._local = threading.local()
        self._workers = max(1, min(4, os.cpu_count() or 1))

    def file(self, file: ScannedFile) -> int:
        """Scan one file; gives the number of its rows that are not blank."""
        looks = screen(file.rules, prompts=self._prompts, heuristics=self._heuristics)
        sketched = with_sketch(looks) if self._heuristics else f"select * exclude text, null as minima from ({looks})"
        query = f"create or replace temp table batch as {sketched}"
        waiting: deque[Future[_Outcome]] = deque()
        num_rows = 0
        with ThreadPoolExecutor(self._workers) as pool:
            for batch in batches(file.source):
                waiting.append(pool.submit(self._batch, file, query, batch))
                while len(waiting) > self._workers:
                    num_rows += self._take(file, waiting.popleft().result())
            while waiting:
                num_rows += self._take(file, waiting.popleft().result())
        return num_rows

    def _take(self, file: ScannedFile, outcome: _Outcome) -> int:
        for code, row, message in outcome.findings:
            self._collector.add(code, file.name, row, message)
        self.languages.update(((file.index, row), found) for row, found in outcome.languages)
        return outcome.num_rows

    def _cursor(self) -> Any:
        """This thread's own connection to the engine."""
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._connection.cursor()
        return self._local.cursor

    def _batch(self, file: ScannedFile, query: str, batch: Batch) -> _Outcome:
        outcome = _Outcome(sum(1 for text in batch.texts if text and not text.isspace()))
        outcome.num_rows += sum(1 for fault in batch.faults if fault.row is not None)
        for fault in batch.faults:
            outcome.add(fault.code, fault.row, fault.message)
        if not batch.texts:
            return outcome
        cursor = self._cursor()
        cursor.register("feed", _feed(batch))
        cursor.execute(query)
        self._look_closely(file, batch, cursor, outcome)
        cursor.execute(_INSERT, [file.index, file.held_out])
        cursor.unregister("feed")
        return outcome

    def _look_closely(self, file: ScannedFile, batch: Batch, cursor: Any, outcome: _Outcome) -> None:
        """Rules, signals, lengths and languages, each for the rows that need them."""
        faulty = {fault.row for fault in batch.faults}
        wanted = cursor.execute(
            "select row, ok, hot, long from (select row, ok, hot, tokens + ? * turns + 2 as estimate, "
            "text_bytes + ? * turns as bound, case when ? then bound else estimate end > ? as long from batch) "
            "where not ok or hot or long or row <= ? order by row",
            [TOKENS_PER_TURN, TOKENS_PER_TURN, self._counter.exact, self._cutoff_len or 2**62, self._language_rows],
        ).fetchall()
        long_rows: list[tuple[int, Mapping[str, Any]]] = []
        bad: list[int] = []
        for number, ok, hot, long in wanted:
            if number in faulty:
                bad.append(number)
                continue
            text = batch.texts[number - batch.first_row].decode()
            if not ok and self._judge(file, number, text, outcome):
                bad.append(number)
            if not (hot or long or number <= self._language_rows):
                continue
            row = _loaded(text)
            if row is None:
                continue
            if hot:
                _signal(number, row, outcome)
            if long:
                long_rows.append((number, row))
            if number <= self._language_rows:
                outcome.languages.append((number, language(answer_text(row, file.rules))))
        self._measure(file, long_rows, outcome)
        if bad:
            cursor.execute("delete from batch where row in (select unnest(?))", [bad])

    def _judge(self, file: ScannedFile, number: int, text: str, outcome: _Outcome) -> bool:
        """Apply the rules; True if the row has an error and is left out of all comparing."""
        if not text or text.isspace():
            if file.source.kind in ("jsonl", "text"):
                outcome.add("blank_line", number, "is empty")
            return True
        faults = file.rules.faults(text)
        for code, message in faults:
            outcome.add(code, number, message)
        return any(CODES[code][0] == "error" for code, _ in faults)

    def _measure(self, file: ScannedFile, rows: list[tuple[int, Mapping[str, Any]]], outcome: _Outcome) -> None:
        if not rows or self._cutoff_len is None:
            return
        about = "" if self._counter.exact else "about "
        counts = token_counts([row for _, row in rows], file.rules, self._counter)
        for (number, _), count in zip(rows, counts, strict=True):
            if count > self._cutoff_len:
                outcome.add("too_long", number, f"has {about}{count:,} tokens, cutoff_len is {self._cutoff_len:,}")


def _loaded(text: str) -> dict[str, Any] | None:
    """A row that need not be right; None if it cannot even be read."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _signal(number: int, row: Mapping[str, Any], outcome: _Outcome) -> None:
    for code, message in signals("\n".join(_all_texts(row))):
        outcome.add(code, number, message)


def _all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _all_texts(item)


def _feed(batch: Batch) -> Any:
    """A batch as an Arrow table of (row, line) over its own bytes: nothing is copied."""
    import nanoarrow as na

    count = len(batch.texts)
    ends = array("i", accumulate((len(text) + 1 for text in batch.texts), initial=0))
    ends[count] -= 1
    numbers = array("q", range(batch.first_row, batch.first_row + count))
    columns = [
        na.c_array_from_buffers(na.int64(), count, [None, numbers], null_count=0),
        na.c_array_from_buffers(na.string(), count, [None, ends, batch.data], null_count=0),
    ]
    shape = na.struct({"row": na.int64(), "line": na.string()})
    return na.ArrayStream(na.c_array_from_buffers(shape, count, [None], null_count=0, children=columns))


@contextmanager
def engine() -> Iterator[Any]:
    """A DuckDB in memory that spills to a temporary folder, with the empty table `rows`."""
    import duckdb

    with TemporaryDirectory(prefix="ftsdk-data-") as folder, duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'; set temp_directory = '{folder}'")
        connection.execute("set enable_progress_bar = false")
        connection.execute(_TABLE)
        yield connection
