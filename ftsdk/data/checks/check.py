"""check(): everything that is wrong with training data, in one pass, before a GPU is paid for."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ftsdk.data.checks import near_duplicates
from ftsdk.data.checks.language import NAMES, SCRIPTS
from ftsdk.data.checks.report import Collector, FileReport, Report
from ftsdk.data.checks.rules import Rules, parse
from ftsdk.data.checks.scan import Scan, ScannedFile, engine
from ftsdk.data.formats.files import MARK, Source, expand
from ftsdk.data.formats.registered import DataFile, shaped
from ftsdk.data.formats.rows import batches
from ftsdk.data.formats.shapes import FORMATS, Detected, detect
from ftsdk.data.tokens.texts import whole_text
from ftsdk.data.tokens.tokenizer import TokenCounter, token_counter
from ftsdk.errors import DataError

SAMPLE_ROWS = 200
# Rule of thumb: below this a method rarely learns anything. Vendors' floor for tuning is 10 rows, their advice 50 to
# 100 (OpenAI, "Supervised fine-tuning"); preferences are noisier.
ROWS_MIN: Mapping[str, int] = {"pt": 100, "sft": 50, "rm": 100, "dpo": 100, "ipo": 100, "orpo": 100, "simpo": 100,
                               "kto": 100}  # fmt: skip
ROWS_MIN_OTHERS = 50
EXTREME_TIMES = 20
EXTREME_TOKENS = 1000
RARE_LANGUAGE = 0.05
MAIN_LANGUAGE = 0.5


def check(
    paths: Iterable[str | Path | DataFile],
    *,
    eval_paths: Iterable[str | Path | DataFile] = (),
    method: str,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    cutoff_len: int | None = None,
    tokenizer: str | Path | None = None,
    heuristics: bool = True,
) -> Report:
    """Check files, folders and patterns of training (and held-out) data for one method.

    `format`, `columns` and `tags` hold for all paths; a path given as a DataFile has its own (`from_entry` reads them
    from dataset_info.json). `cutoff_len` (tokens) and `tokenizer` (a folder, a tokenizer.json or a hub id in the local
    cache) are for rows that would be cut. Without `heuristics`, near-duplicates, secrets, personal data and languages
    are not looked for, which is several times as fast. The verdict is `fail` with any error, `warn` with any warning,
    else `pass`. Memory stays under 2 GB whatever the size of the data.

    Raises DataError only for what cannot be looked at: a path that is not there, an empty file, an unknown kind.
    """
    return run(
        paths, eval_paths=eval_paths, method=method, format=format, columns=columns, tags=tags, cutoff_len=cutoff_len,
        tokenizer=tokenizer, heuristics=heuristics,
    )[0]  # fmt: skip


def run(
    paths: Iterable[str | Path | DataFile],
    *,
    eval_paths: Iterable[str | Path | DataFile] = (),
    method: str,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    cutoff_len: int | None = None,
    tokenizer: str | Path | None = None,
    heuristics: bool = True,
) -> tuple[Report, list[ScannedFile], Collector]:
    """`check`, with what `fix` needs besides the report."""
    collector = Collector()
    counter = token_counter(tokenizer)
    sides = ((paths, False), (eval_paths, True))
    sources = [
        (found, shape, held_out)
        for side, held_out in sides
        for shape in shaped(side, format, columns, tags)
        for found in expand([shape.path])
    ]
    files = [opened(index, *source, method, collector) for index, source in enumerate(sources)]
    with engine() as connection:
        prompts = method == "kto" or any(file.held_out for file in files)
        scan = Scan(
            connection, collector, counter, cutoff_len=None if method == "pt" else cutoff_len, prompts=prompts,
            heuristics=heuristics,
        )  # fmt: skip
        sizes = [scan.file(file) for file in files]
        names = [file.name for file in files]
        _duplicates(connection, names, collector)
        if prompts:
            _leakage(connection, names, collector)
        conflicts = _labels(connection, files, collector)
        if heuristics:
            _near_duplicates(connection, files, conflicts, collector)
        _extreme_lengths(connection, names, collector)
        languages = _languages(connection, scan, names, collector)
    _totals(files, sizes, method, collector)
    _how_counted(counter, cutoff_len, method, collector)
    return _report(method, files, sizes, languages, collector), files, collector


def opened(
    index: int, found: Source, shape: DataFile, held_out: bool, method: str | None, collector: Collector
) -> ScannedFile:
    """A file with its format and rules, from its first rows. What cannot be told is a finding, and only the JSON of
    its rows will be looked at."""
    rows = sample(found)
    if found.kind in ("jsonl", "csv", "tsv", "text") and found.head().startswith(MARK):
        collector.add("leading_mark", str(found.path), None, "begins with a byte-order mark, which readers step over")
    detected = _detected(found, shape, rows, method)
    if not detected.format and rows:
        collector.add("wrong_format", str(found.path), None, detected.why)
    fits = FORMATS[detected.format].methods if detected.format else ()
    if fits and method and method not in fits:
        what = f"is {detected.format} ({FORMATS[detected.format].meaning}), which {method} cannot train on; "
        can = ", ".join(name for name, info in FORMATS.items() if method in info.methods)
        collector.add("wrong_format", str(found.path), None, f"{what}{method} takes {can}")
    return ScannedFile(index, found, detected, Rules(detected, rows, found.path.parent), held_out)


def _detected(found: Source, shape: DataFile, rows: list[dict[str, Any]], method: str | None) -> Detected:
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    try:
        return detect(
            names, rows, method=method, format=shape.format, given_columns=shape.columns, given_tags=shape.tags,
            where=found.path.name,
        )  # fmt: skip
    except DataError as error:
        return Detected(format="", columns={}, why=str(error))


def sample(found: Source) -> list[dict[str, Any]]:
    """The first rows that are whole objects."""
    rows: list[dict[str, Any]] = []
    for batch in itertools.islice(batches(found, batch_bytes=1 << 20), 4):
        parsed = (parse(text.decode())[0] for _, text in batch.rows())
        rows += itertools.islice((row for row in parsed if row), SAMPLE_ROWS - len(rows))
        if len(rows) >= SAMPLE_ROWS:
            break
    return rows


def _place(names: list[str], here: int, file: int, row: int) -> str:
    return f"row {row}" if file == here else f"row {row} of {Path(names[file]).name}"


def _duplicates(connection: Any, names: list[str], collector: Collector) -> None:
    """Rows with all that is learned equal; the first of them is not a finding. Train and held-out apart.

    Leaves the table `repeats` of all rows that stand somewhere before, on either side.
    """
    connection.execute("""
        create temp table repeats as
        with crowded as (select key from rows group by key having count(*) > 1)
        select file, row,
            first_value({'file': file, 'row': row}) over side as first, row_number() over side as number
        from rows semi join crowded using (key) window side as (partition by held_out, key order by file, row)
        qualify row_number() over (partition by key order by file, row) > 1""")
    found = connection.execute(
        "select file, row, first.file, first.row from repeats where number > 1 order by file, row"
    )
    for file, row, first_file, first_row in _each(found):
        collector.add("duplicate", names[file], row, f"says the same as {_place(names, file, first_file, first_row)}")


def _leakage(connection: Any, names: list[str], collector: Collector) -> None:
    """Held-out rows, or only their prompts, that are also in the training data."""
    for code, key, words in (
        ("leakage", "key", "is also in the training data:"),
        ("shared_prompt", "prompt_key", "asks the same as the training data, with another answer:"),
    ):
        found = connection.execute(f"""
            with train as (
                select {key} as known, min({{'file': file, 'row': row}}) as first from rows
                where not held_out and {key} in (select {key} from rows where held_out) group by {key}
            )
            select file, row, first.file, first.row from rows join train on {key} = known
            where held_out and ('{key}' = 'key' or key not in (select r.key from rows r where not r.held_out))
            order by file, row""")
        for file, row, first_file, first_row in _each(found):
            collector.add(code, names[file], row, f"{words} {_place(names, file, first_file, first_row)}")
    leaked = connection.execute(
        "select file, row from rows where not held_out and key in (select key from rows where held_out)"
    )
    for file, row in _each(leaked):
        collector.drop("leakage", names[file], row)


def _labels(connection: Any, files: list[ScannedFile], collector: Collector) -> set[tuple[int, int]]:
    """Labelled answers that are marked both ways (given as file and row), and labels that are all the same."""
    names = [file.name for file in files]
    found = connection.execute("""
        select file, row, other.file, other.row from (
            select file, row, label, first_value({'file': file, 'row': row, 'label': label}) over same as other
            from rows where label is not null and not held_out
            window same as (partition by prompt_key order by file, row)
        ) where other.label <> label order by file, row""").fetchall()
    for file, row, other_file, other_row in found:
        where = _place(names, file, other_file, other_row)
        collector.add("label_conflict", names[file], row, f"has the prompt and answer of {where} with the other label")
    labels = connection.execute(
        "select list(distinct label) from rows where label is not null and not held_out"
    ).fetchone()
    if labels and labels[0] and len(labels[0]) == 1:
        train = next(file.name for file in files if not file.held_out)
        collector.add("one_label", train, None, f"has only answers marked {str(labels[0][0]).lower()}")
    return {(file, row) for file, row, _, _ in found}


def _near_duplicates(
    connection: Any, files: list[ScannedFile], known: set[tuple[int, int]], collector: Collector
) -> None:
    pairs = [pair for pair in near_duplicates.candidates(connection) if pair[:2] not in known]
    if not pairs:
        return
    wanted: defaultdict[int, set[int]] = defaultdict(set)
    for file, row, earlier_file, earlier_row in pairs:
        wanted[file].add(row)
        wanted[earlier_file].add(earlier_row)
    texts = {(index, row): text for index, rows in wanted.items() for row, text in _texts(files[index], rows)}
    names = [file.name for file in files]
    for (file, row), (other_file, other_row, share) in sorted(near_duplicates.similar_pairs(pairs, texts).items()):
        where = _place(names, file, other_file, other_row)
        collector.add("near_duplicate", names[file], row, f"is {share:.0%} the same as {where}")


def _texts(file: ScannedFile, wanted: set[int]) -> Iterable[tuple[int, str]]:
    """The texts of some rows, read again."""
    left = len(wanted)
    for batch in batches(file.source):
        for row, text in batch.rows():
            if row in wanted:
                yield row, whole_text(parse(text.decode())[0] or {}, file.rules)
                left -= 1
        if not left:
            return


def _extreme_lengths(connection: Any, names: list[str], collector: Collector) -> None:
    found = connection.execute(
        """
        select file, row, tokens, middle from rows, (select median(tokens) as middle from rows)
        where tokens > greatest(? * middle, ?) order by file, row""",
        [EXTREME_TIMES, EXTREME_TOKENS],
    )
    for file, row, tokens, middle in _each(found):
        message = f"has about {tokens:,.0f} tokens, half of the rows have less than {middle:,.0f}"
        collector.add("extreme_length", names[file], row, message)


def _languages(connection: Any, scan: Scan, names: list[str], collector: Collector) -> dict[str, float]:
    """Shares of languages; rows in a rare one, where one language is the main one, are findings."""
    counts = Counter(found for found in scan.languages.values() if found)
    total = sum(counts.values())
    if not total:
        return {}
    main, most = counts.most_common(1)[0]
    rare = {name for name, count in counts.items() if count < RARE_LANGUAGE * total}
    if most >= MAIN_LANGUAGE * total:
        for (file, row), found in scan.languages.items():
            if found in rare:
                message = f"answers in {NAMES[found]}; most rows are in {NAMES[main]}"
                collector.add("language", names[file], row, message)
        _other_scripts(connection, main, set(counts) - rare, names, collector)
    return {name: round(count / total, 4) for name, count in counts.most_common()}


def _other_scripts(connection: Any, main: str, usual: set[str], names: list[str], collector: Collector) -> None:
    """Rows after those whose language was told, in a script that is rare."""
    from ftsdk.data.checks.scan import LANGUAGE_ROWS

    scripts = {number: name for number, (name, _) in enumerate(SCRIPTS, 1)}
    rare = [number for number, name in scripts.items() if name not in usual]
    found = connection.execute(
        "select file, row, script from rows where row > ? and script in (select unnest(?)) order by file, row",
        [LANGUAGE_ROWS, rare],
    )
    for file, row, script in _each(found):
        message = f"answers in {NAMES[scripts[script]]}; most rows are in {NAMES[main]}"
        collector.add("language", names[file], row, message)


def _each(found: Any) -> Iterable[tuple[Any, ...]]:
    while rows := found.fetchmany(4096):
        yield from rows


def _totals(files: list[ScannedFile], sizes: list[int], method: str, collector: Collector) -> None:
    for file, size in zip(files, sizes, strict=True):
        if not size:
            collector.add("no_rows", file.name, None, "has no rows")
    total = sum(size for file, size in zip(files, sizes, strict=True) if not file.held_out)
    least = ROWS_MIN.get(method, ROWS_MIN_OTHERS)
    if 0 < total < least:
        train = next(file.name for file in files if not file.held_out)
        message = f"{total} training rows in all; {method} usually needs {least} or more"
        collector.add("too_few_rows", train, None, message)


def _how_counted(counter: TokenCounter, cutoff_len: int | None, method: str, collector: Collector) -> None:
    if cutoff_len and method != "pt" and not counter.exact:
        collector.add("estimate", "", None, f"lengths in tokens are {counter.how}")


def _report(
    method: str, files: list[ScannedFile], sizes: list[int], languages: dict[str, float], collector: Collector
) -> Report:
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
    return Report(
        verdict=collector.verdict(),
        method=method,
        files=reports,
        findings=collector.findings(),
        counts=dict(collector.counts),
        languages=languages,
        num_rows=sum(report.num_rows for report in reports if not report.held_out),
    )
