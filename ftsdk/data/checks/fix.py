"""Clean copies of data files: unclean texts are cleaned; faulty, repeated and leaked rows are left out and listed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ftsdk.data.checks.check import CheckOptions, run_check
from ftsdk.data.checks.hygiene import cleaned
from ftsdk.data.checks.report import DataReport
from ftsdk.data.formats.files import DataFile, new_file
from ftsdk.data.formats.opening import OpenFile
from ftsdk.data.formats.rows import batches, one_line

DROPPED_NAME = "dropped.jsonl"
CHANGED_NAME = "changed.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedFile:
    """One clean copy."""

    source: str
    output: str
    num_kept: int
    num_dropped: int
    num_changed: int
    """Of those that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """What `fix` wrote."""

    files: tuple[FixedFile, ...]
    dropped: str
    """JSON Lines with file, row, codes and reasons of every row that was left out."""
    changed: str
    """JSON Lines with file, row, codes and reasons of every row whose text was cleaned."""
    report: DataReport
    """The check of the data as it was."""

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


def fix(
    paths: Iterable[str | Path | DataFile],
    folder: str | Path,
    options: CheckOptions,
    *,
    eval_paths: Iterable[str | Path | DataFile] = (),
) -> Fixed:
    """Check data and write clean copies (JSON Lines), `dropped.jsonl` and `changed.jsonl` into a folder.

    The data itself is not touched. Texts lose what `hygiene` finds in them. Left out are rows with an error, rows that
    repeat an earlier one or the names of the columns, and training rows that are also held out. Rows that are only
    suspected (near-duplicates, secrets, personal data, language) or too long are kept.

    Raises DataError if an output exists, and for what `check` raises.
    """
    report, files, collector = run_check(paths, options, eval_paths=eval_paths)
    messages = _messages(report)
    target = Path(folder)
    with new_file(target / DROPPED_NAME) as dropped, new_file(target / CHANGED_NAME) as changed:
        fixed = []
        for file, name in zip(files, _names(files), strict=True):
            drops = collector.drops.get(file.name, {})
            cleans = {row: codes for row, codes in collector.cleans.get(file.name, {}).items() if row not in drops}
            fixed.append(_copy(file, target / name, drops, cleans))
            for out, rows in ((dropped, drops), (changed, cleans)):
                for row, codes in sorted(rows.items()):
                    reasons = messages.get((file.name, row)) or ["is also in the held-out data"]
                    entry = {"file": file.name, "row": row, "codes": sorted(codes), "reasons": reasons}
                    out.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
    return Fixed(
        files=tuple(fixed),
        dropped=str(target / DROPPED_NAME),
        changed=str(target / CHANGED_NAME),
        report=report,
    )


def _messages(report: DataReport) -> dict[tuple[str, int], list[str]]:
    messages: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for finding in report.findings:
        if finding.row is not None and finding.severity != "note":
            messages[finding.file, finding.row].append(finding.message)
    return dict(messages)


def _names(files: list[OpenFile]) -> Iterator[str]:
    """`NAME.clean.jsonl` for each file, numbered where two have the same name."""
    taken: set[str] = set()
    for file in files:
        stem = file.source.path.name.partition(".")[0]
        name, number = f"{stem}.clean.jsonl", 2
        while name in taken:
            name, number = f"{stem}-{number}.clean.jsonl", number + 1
        taken.add(name)
        yield name


def _copy(file: OpenFile, target: Path, drops: Mapping[int, set[str]], cleans: Mapping[int, set[str]]) -> FixedFile:
    kept = 0
    with new_file(target) as out:
        for batch in batches(file.source):
            for row, text in batch.rows():
                if row in drops:
                    continue
                kept += 1
                out.write(_cleaned(text, file, cleans[row]) if row in cleans else one_line(text))
                out.write(b"\n")
    return FixedFile(
        source=file.name, output=str(target), num_kept=kept, num_dropped=len(drops), num_changed=len(cleans)
    )


def _cleaned(text: bytes, file: OpenFile, codes: set[str]) -> bytes:
    return json.dumps(cleaned(json.loads(text), file.rules.columns, codes), ensure_ascii=False).encode()
