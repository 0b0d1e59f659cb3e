"""One pass over files: the SQL prefilter sees every row, the exact rules those that it does not pass.

About 150 bytes of each row (keys, sizes, sketch) are kept in the engine's table `rows`, which spills to disk, so that
duplicates and leakage are detected over any number of rows.
"""

from __future__ import annotations

import json
import os
import threading
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ftsdk.data.checks.hygiene import STYLE_CODES, STYLE_SHARE, dirt
from ftsdk.data.checks.language import language
from ftsdk.data.checks.near_duplicates import with_sketch
from ftsdk.data.checks.pii import pii_findings
from ftsdk.data.checks.report import CODES, Collector
from ftsdk.data.checks.sql_prefilter import prefilter_query
from ftsdk.data.formats.chat import texts_in
from ftsdk.data.formats.opening import OpenFile
from ftsdk.data.formats.rows import Batch, batches
from ftsdk.data.formats.rules import Rules
from ftsdk.data.formats.unused import CHAT_ROLES, FieldCounts
from ftsdk.data.tokens.texts import answer_text, token_counts
from ftsdk.data.tokens.tokenizer import TOKENS_PER_TURN, TokenCounter

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from nanoarrow import ArrayStream

MEMORY_LIMIT = "1GB"
LANGUAGE_ROWS = 10_000
"""Rows of each file whose language is detected by their words; that of later rows by their script only."""
_TABLE = """
    create table rows (
        file integer, held_out boolean, row bigint, key uhugeint, prompt_key uhugeint,
        label boolean, tokens double, script tinyint, minima uinteger[]
    )"""
_INSERT = "insert into rows select ?, ?, row, key, prompt_key, label, tokens, script, minima from batch where valid"


@dataclass(slots=True)
class _BatchResult:
    """The result of one batch."""

    num_rows: int
    counts: FieldCounts = field(default_factory=FieldCounts)
    findings: list[tuple[str, int | None, str]] = field(default_factory=list)
    dirt: list[tuple[str, int, str]] = field(default_factory=list)
    languages: list[tuple[int, str]] = field(default_factory=list)

    def add(self, code: str, row: int | None, message: str) -> None:
        self.findings.append((code, row, message))


class Scan:
    """Scans files into the table `rows` of one engine, and findings into a collector."""

    def __init__(
        self,
        connection: DuckDBPyConnection,
        collector: Collector,
        counter: TokenCounter,
        *,
        cutoff_len: int | None,
        prompts: bool,
        heuristics: bool,
    ) -> None:
        self.languages: dict[tuple[int, int], str] = {}
        """(file, row) -> language of the first rows of each file, empty where it is not certain."""
        self._connection = connection
        self._collector = collector
        self._counter = counter
        self._cutoff_len = cutoff_len
        self._prompts = prompts
        self._heuristics = heuristics
        self._language_rows = LANGUAGE_ROWS if heuristics else 0
        self._counts: dict[int, FieldCounts] = {}
        self._dirt: list[tuple[str, int, str]] = []
        self._local = threading.local()
        self._workers = max(1, min(4, os.cpu_count() or 1))

    def file(self, file: OpenFile) -> int:
        """Scan one file; returns the number of its rows that are not blank."""
        rows = prefilter_query(file.rules, prompts=self._prompts, heuristics=self._heuristics)
        sketched = with_sketch(rows) if self._heuristics else f"select * exclude text, null as minima from ({rows})"
        query = f"create or replace temp table batch as {sketched}"
        waiting: deque[Future[_BatchResult]] = deque()
        num_rows = 0
        with ThreadPoolExecutor(self._workers) as pool:
            for batch in batches(file.source):
                waiting.append(pool.submit(self._batch, file, query, batch))
                while len(waiting) > self._workers:
                    num_rows += self._take(file, waiting.popleft().result())
            while waiting:
                num_rows += self._take(file, waiting.popleft().result())
        for name in self._counts.pop(file.index, FieldCounts()).unused(file.detected):
            self._collector.add("unused_field", file.name, None, f"the training does not use {name}")
        self._add_dirt(file, num_rows)
        return num_rows

    def _add_dirt(self, file: OpenFile, num_rows: int) -> None:
        """What is unclean, as findings of rows; as one note where so many rows have it that it is meant."""
        counts = Counter(code for code, _, _ in self._dirt)
        style = {code for code in STYLE_CODES if counts[code] > STYLE_SHARE * num_rows}
        for code in style:
            message = f"{counts[code]:,} of {num_rows:,} rows have {code}, so that it seems to be meant"
            self._collector.add("file_style", file.name, None, message)
        for code, row, message in self._dirt:
            if code not in style:
                self._collector.add(code, file.name, row, message)
                self._collector.clean(code, file.name, row)
        self._dirt.clear()

    def _take(self, file: OpenFile, result: _BatchResult) -> int:
        counts = self._counts.setdefault(file.index, FieldCounts())
        counts.columns += result.counts.columns
        counts.fields += result.counts.fields
        for code, row, message in result.findings:
            self._collector.add(code, file.name, row, message)
        self._dirt += result.dirt
        self.languages.update(((file.index, row), name) for row, name in result.languages)
        return result.num_rows

    def _cursor(self) -> DuckDBPyConnection:
        """This thread's own connection to the engine."""
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._connection.cursor()
        cursor: DuckDBPyConnection = self._local.cursor
        return cursor

    def _batch(self, file: OpenFile, query: str, batch: Batch) -> _BatchResult:
        result = _BatchResult(sum(1 for text in batch.texts if text and not text.isspace()))
        result.num_rows += sum(1 for fault in batch.faults if fault.row is not None)
        for fault in batch.faults:
            result.add(fault.code, fault.row, fault.message)
        if not batch.texts:
            return result
        cursor = self._cursor()
        cursor.register("feed", arrow_table(batch))
        cursor.execute(query)
        _count_names(cursor, file.rules, result.counts)
        self._examine(file, batch, cursor, result)
        cursor.execute(_INSERT, [file.index, file.held_out])
        cursor.unregister("feed")
        return result

    def _examine(self, file: OpenFile, batch: Batch, cursor: DuckDBPyConnection, result: _BatchResult) -> None:
        """Apply rules, PII patterns, token counts and language detection, each to the rows that need it."""
        faulty = {fault.row for fault in batch.faults}
        long_rows: list[tuple[int, Mapping[str, object]]] = []
        rejected: set[int] = set()
        for number, ok, hot, odd, long in self._rows_to_examine(cursor):
            if number in faulty:
                rejected.add(number)
                continue
            text = batch.texts[number - batch.first_row].decode()
            if not ok and self._apply_rules(file, number, text, result):
                rejected.add(number)
            detect_language = number <= self._language_rows
            row = _loaded(text) if hot or odd or long or detect_language else None
            if row is None:
                continue
            if odd and number not in rejected:
                result.dirt += [(code, number, message) for code, message in dirt(row, file.rules.columns)]
            if hot:
                for code, message in pii_findings("\n".join(texts_in(row))):
                    result.add(code, number, message)
            if long:
                long_rows.append((number, row))
            if detect_language:
                result.languages.append((number, language(answer_text(row, file.rules))))
        self._measure(file, long_rows, result)
        if rejected:
            cursor.execute("delete from batch where row in (select unnest(?))", [sorted(rejected)])

    def _rows_to_examine(self, cursor: DuckDBPyConnection) -> list[tuple[int, bool, bool, bool, bool]]:
        """(row, ok, hot, odd, long) of the rows of the batch that need more than the prefilter."""
        rows: list[tuple[int, bool, bool, bool, bool]] = cursor.execute(
            "select row, ok, hot, odd, long from (select row, ok, hot, odd, tokens + ? * turns + 2 as estimate, "
            "text_bytes + ? * turns as bound, case when ? then bound else estimate end > ? as long from batch) "
            "where not ok or hot or odd or long or row <= ? order by row",
            [TOKENS_PER_TURN, TOKENS_PER_TURN, self._counter.exact, self._cutoff_len or 2**62, self._language_rows],
        ).fetchall()
        return rows

    def _apply_rules(self, file: OpenFile, number: int, text: str, result: _BatchResult) -> bool:
        """Add the faults of a row; True if one is an error, so that the row is not compared with others."""
        if not text or text.isspace():
            if file.source.kind in ("jsonl", "text"):
                result.add("blank_line", number, "is empty")
            return True
        row, faults = file.rules.read(text)
        if row is not None:  # no row with messages elsewhere than in a chat passes the prefilter, nor one with calls
            result.counts.add_fields(row, file.detected, CHAT_ROLES[1:])
            result.counts.add_calls(row, file.detected)
        for code, message in faults:
            result.add(code, number, message)
        return any(CODES[code][0] == "error" for code, _ in faults)

    def _measure(self, file: OpenFile, rows: list[tuple[int, Mapping[str, object]]], result: _BatchResult) -> None:
        if not rows or self._cutoff_len is None:
            return
        about = "" if self._counter.exact else "about "
        counts = token_counts([row for _, row in rows], file.rules, self._counter)
        for (number, _), count in zip(rows, counts, strict=True):
            if count > self._cutoff_len:
                result.add("too_long", number, f"has {about}{count:,} tokens, cutoff_len is {self._cutoff_len:,}")


def _count_names(cursor: DuckDBPyConnection, rules: Rules, counts: FieldCounts) -> None:
    """Count columns and message fields of a batch; messages with nothing but role and content need no count."""
    for names, count in cursor.execute("select names, count(*) from batch where valid group by names").fetchall():
        counts.columns.update(dict.fromkeys(names or (), count))
    chat, column = rules.chat, rules.columns.get("messages", "")
    odd = "select keys, count(*) from (select unnest(odd_keys) as keys from batch where valid) group by keys"
    for names, count in cursor.execute(odd).fetchall():
        usual = (chat.role_key, chat.content_key)
        counts.fields.update({(column, name): count for name in names if name not in usual})


def _loaded(text: str) -> dict[str, object] | None:
    """The object in a JSON text; None for other values and for invalid JSON."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def arrow_table(batch: Batch) -> ArrayStream:
    """A batch as an Arrow table of (row, line) over its own bytes, without a copy."""
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
def engine() -> Iterator[DuckDBPyConnection]:
    """A DuckDB in memory that spills to a temporary folder, with the empty table `rows`."""
    import duckdb

    with TemporaryDirectory(prefix="ftsdk-data-") as folder, duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'; set temp_directory = '{folder}'")
        connection.execute("set enable_progress_bar = false")
        connection.execute(_TABLE)
        yield connection
