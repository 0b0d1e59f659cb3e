"""Checks that compare rows with each other, over the table `rows` that a scan leaves in the engine."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftsdk.data.checks import near_duplicates
from ftsdk.data.checks.language import NAMES, SCRIPTS
from ftsdk.data.checks.report import Collector
from ftsdk.data.checks.scan import LANGUAGE_ROWS
from ftsdk.data.formats.opening import OpenFile
from ftsdk.data.formats.rows import batches
from ftsdk.data.formats.rules import parse
from ftsdk.data.tokens.texts import whole_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EXTREME_TIMES = 20
EXTREME_TOKENS = 1000
RARE_LANGUAGE = 0.05
MAIN_LANGUAGE = 0.5


def compare(
    connection: DuckDBPyConnection,
    files: list[OpenFile],
    languages: dict[tuple[int, int], str],
    collector: Collector,
    *,
    prompts: bool,
    heuristics: bool,
) -> dict[str, float]:
    """Run all checks; returns the share of the rows per language. `languages` are those of the first rows."""
    names = [file.name for file in files]
    _duplicates(connection, names, collector)
    if prompts:
        _leakage(connection, names, collector)
    conflicts = _label_conflicts(connection, files, collector)
    if heuristics:
        _similar_rows(connection, files, conflicts, collector)
    _extreme_lengths(connection, names, collector)
    return _language_shares(connection, languages, names, collector)


def _location(names: list[str], here: int, file: int, row: int) -> str:
    return f"row {row}" if file == here else f"row {row} of {Path(names[file]).name}"


def _duplicates(connection: DuckDBPyConnection, names: list[str], collector: Collector) -> None:
    """Rows from which the same is learned; the first of them is no finding. Training and held-out rows separately.

    Creates the table `repeats` of all rows that equal an earlier row of either side.
    """
    connection.execute("""
        create temp table repeats as
        with crowded as (select key from rows group by key having count(*) > 1)
        select file, row,
            first_value({'file': file, 'row': row}) over side as first, row_number() over side as number
        from rows semi join crowded using (key) window side as (partition by held_out, key order by file, row)
        qualify row_number() over (partition by key order by file, row) > 1""")
    repeats = connection.execute(
        "select file, row, first.file, first.row from repeats where number > 1 order by file, row"
    )
    for file, row, first_file, first_row in _fetched(repeats):
        where = _location(names, file, first_file, first_row)
        collector.add("duplicate", names[file], row, f"has the same content as {where}")


def _leakage(connection: DuckDBPyConnection, names: list[str], collector: Collector) -> None:
    """Held-out rows, or only their prompts, that are also in the training data."""
    for code, key, words in (
        ("leakage", "key", "is also in the training data:"),
        ("shared_prompt", "prompt_key", "has the prompt of a training row with another answer:"),
    ):
        matches = connection.execute(f"""
            with train as (
                select {key} as train_key, min({{'file': file, 'row': row}}) as first from rows
                where not held_out and {key} in (select {key} from rows where held_out) group by {key}
            )
            select file, row, first.file, first.row from rows join train on {key} = train_key
            where held_out and ('{key}' = 'key' or key not in (select r.key from rows r where not r.held_out))
            order by file, row""")
        for file, row, first_file, first_row in _fetched(matches):
            collector.add(code, names[file], row, f"{words} {_location(names, file, first_file, first_row)}")
    leaked = connection.execute(
        "select file, row from rows where not held_out and key in (select key from rows where held_out)"
    )
    for file, row in _fetched(leaked):
        collector.drop("leakage", names[file], row)


def _label_conflicts(
    connection: DuckDBPyConnection, files: list[OpenFile], collector: Collector
) -> set[tuple[int, int]]:
    """Answers labelled both good and bad, and labels that are all the same; returns the former as (file, row)."""
    names = [file.name for file in files]
    conflicts = connection.execute("""
        select file, row, other.file, other.row from (
            select file, row, label, first_value({'file': file, 'row': row, 'label': label}) over same as other
            from rows where label is not null and not held_out
            window same as (partition by prompt_key order by file, row)
        ) where other.label <> label order by file, row""").fetchall()
    for file, row, other_file, other_row in conflicts:
        where = _location(names, file, other_file, other_row)
        collector.add("label_conflict", names[file], row, f"has the prompt and answer of {where} with the other label")
    labels = connection.execute(
        "select list(distinct label) from rows where label is not null and not held_out"
    ).fetchone()
    if labels and labels[0] and len(labels[0]) == 1:
        train = next(file.name for file in files if not file.held_out)
        collector.add("one_label", train, None, f"has only answers marked {str(labels[0][0]).lower()}")
    return {(file, row) for file, row, _, _ in conflicts}


def _similar_rows(
    connection: DuckDBPyConnection, files: list[OpenFile], excluded: set[tuple[int, int]], collector: Collector
) -> None:
    pairs = [pair for pair in near_duplicates.candidates(connection) if pair[:2] not in excluded]
    if not pairs:
        return
    rows_of: defaultdict[int, set[int]] = defaultdict(set)
    for file, row, earlier_file, earlier_row in pairs:
        rows_of[file].add(row)
        rows_of[earlier_file].add(earlier_row)
    texts = {(index, row): text for index, rows in rows_of.items() for row, text in _texts(files[index], rows)}
    names = [file.name for file in files]
    for (file, row), (other_file, other_row, share) in sorted(near_duplicates.similar_pairs(pairs, texts).items()):
        where = _location(names, file, other_file, other_row)
        collector.add("near_duplicate", names[file], row, f"is {share:.0%} the same as {where}")


def _texts(file: OpenFile, rows: set[int]) -> Iterable[tuple[int, str]]:
    """(row, text) of some rows, read again from the file."""
    left = len(rows)
    for batch in batches(file.source):
        for row, text in batch.rows():
            if row in rows:
                yield row, whole_text(parse(text.decode())[0] or {}, file.rules)
                left -= 1
        if not left:
            return


def _extreme_lengths(connection: DuckDBPyConnection, names: list[str], collector: Collector) -> None:
    longest = connection.execute(
        """
        select file, row, tokens, middle from rows, (select median(tokens) as middle from rows)
        where tokens > greatest(? * middle, ?) order by file, row""",
        [EXTREME_TIMES, EXTREME_TOKENS],
    )
    for file, row, tokens, middle in _fetched(longest):
        message = f"has about {tokens:,.0f} tokens, half of the rows have less than {middle:,.0f}"
        collector.add("extreme_length", names[file], row, message)


def _language_shares(
    connection: DuckDBPyConnection, languages: dict[tuple[int, int], str], names: list[str], collector: Collector
) -> dict[str, float]:
    """Shares of languages; rows in a rare one, where one language is the main one, are findings."""
    counts = Counter(name for name in languages.values() if name)
    total = sum(counts.values())
    if not total:
        return {}
    main, most = counts.most_common(1)[0]
    rare = {name for name, count in counts.items() if count < RARE_LANGUAGE * total}
    if most >= MAIN_LANGUAGE * total:
        for (file, row), name in languages.items():
            if name in rare:
                message = f"answers in {NAMES[name]}; most rows are in {NAMES[main]}"
                collector.add("language", names[file], row, message)
        _other_scripts(connection, main, set(counts) - rare, names, collector)
    return {name: round(count / total, 4) for name, count in counts.most_common()}


def _other_scripts(
    connection: DuckDBPyConnection, main: str, usual: set[str], names: list[str], collector: Collector
) -> None:
    """Rows beyond those whose language was detected by words, in a rare script."""
    scripts = {number: name for number, (name, _) in enumerate(SCRIPTS, 1)}
    rare = [number for number, name in scripts.items() if name not in usual]
    others = connection.execute(
        "select file, row, script from rows where row > ? and script in (select unnest(?)) order by file, row",
        [LANGUAGE_ROWS, rare],
    )
    for file, row, script in _fetched(others):
        message = f"answers in {NAMES[scripts[script]]}; most rows are in {NAMES[main]}"
        collector.add("language", names[file], row, message)


def _fetched(result: DuckDBPyConnection) -> Iterable[tuple[Any, ...]]:
    while rows := result.fetchmany(4096):
        yield from rows
