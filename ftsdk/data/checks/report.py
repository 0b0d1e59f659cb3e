"""The result of a check: findings, their meaning, and the verdict."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Literal

Severity = Literal["error", "warning", "note"]
Verdict = Literal["pass", "warn", "fail"]

# code -> (severity, exact (not a heuristic), meaning). Errors are what the trainer crashes on, skips or learns wrongly.
CODES: Mapping[str, tuple[Severity, bool, str]] = MappingProxyType(
    {
        "encoding": ("error", True, "bytes that are not UTF-8"),
        "bad_json": ("error", True, "a row that is not valid JSON"),
        "bad_record": ("error", True, "a CSV record with wrong quotes or a wrong number of fields"),
        "not_object": ("error", True, "a row that is no object with named columns"),
        "duplicate_key": ("error", True, "a name that occurs twice in one object"),
        "missing_field": ("error", True, "a required field that is not there or null"),
        "empty_field": ("error", True, "a required field that is empty or white space"),
        "wrong_type": ("error", True, "a field of another type than the trainer takes"),
        "unknown_role": ("error", True, "a message whose role is unknown to the trainer"),
        "role_order": ("error", True, "turns that do not alternate or do not end as the method needs"),
        "bad_tools": ("error", True, "tools or a tool call that the trainer cannot read"),
        "bad_weight": ("error", True, "a weight of an answer that is neither 0 nor 1, or is not on an answer"),
        "nothing_learned": ("error", True, "a row whose answers all have the weight 0: its loss is no number"),
        "row_weight": ("error", True, "a weight of a whole row, which no trainer here applies"),
        "same_pair": ("error", True, "chosen and rejected that are the same"),
        "pair_prompt": ("error", True, "chosen and rejected that answer different prompts"),
        "bad_label": ("error", True, "a label that is neither true nor false"),
        "missing_media": ("error", True, "an image, video or audio file that is not there"),
        "media_count": ("error", True, "more or fewer placeholders than images, videos or audios"),
        "wrong_format": ("error", True, "a file whose format the method cannot train on"),
        "no_rows": ("error", True, "a file without rows"),
        "duplicate": ("warning", True, "a row with the same content as an earlier one"),
        "leakage": ("warning", True, "a held-out row that is also in the training data"),
        "label_conflict": ("warning", True, "the same prompt and answer marked good and bad"),
        "one_label": ("warning", True, "only good or only bad answers"),
        "too_few_rows": ("warning", True, "fewer rows than the method usually needs"),
        "too_long": ("warning", True, "a row longer than cutoff_len, which the trainer cuts"),
        "near_duplicate": ("warning", False, "a row with almost the same content as an earlier one"),
        "extreme_length": ("warning", False, "a row far longer than the others"),
        "language": ("warning", False, "a row in another language than nearly all others"),
        "invisible": ("warning", True, "zero-width or control characters, which the model learns to write"),
        "mojibake": ("warning", True, "text that was read in a wrong encoding, such as Ã©"),
        "html_entity": ("warning", True, "HTML entities, such as &amp;, in plain text"),
        "odd_space": ("warning", True, "a text that begins or ends with spaces, or has no-break spaces"),
        "header_row": ("warning", True, "a row that repeats the names of the columns"),
        "secret": ("warning", False, "what looks like a key or a password"),
        "personal_data": ("warning", False, "what looks like an e-mail address, a phone, card or identity number"),
        "leading_mark": ("note", True, "a byte-order mark that does no harm"),
        "odd_name": ("note", True, "a column name with spaces around it, read without them"),
        "unused_field": ("note", True, "a column, or a field of messages, that the training does not use"),
        "file_style": ("note", True, "what would be a finding in single rows, and seems meant in so many"),
        "blank_line": ("note", True, "an empty line between rows"),
        "shared_prompt": ("note", True, "a held-out row whose prompt is in the training data with another answer"),
        "estimate": ("note", True, "a figure that is estimated, and why"),
    }
)
_DROPPED = ("duplicate", "header_row")
"""Warnings whose rows a clean copy leaves out."""
FEW_ROWS = 0.05
"""Share of the rows up to which leaving out faulty ones is advised; beyond it the format was not understood."""
LISTED_MAX = 100_000
"""Findings listed per code; all are counted, and `fix` drops all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    code: str
    """A key of `CODES`."""
    severity: Severity
    file: str
    row: int | None
    """From 1: the physical line of JSONL and text files, the record of all others; None for the whole file."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """Format and number of rows of one file."""

    file: str
    kind: str
    held_out: bool
    num_rows: int
    format: str
    columns: dict[str, str]
    tags: dict[str, str]
    why: str
    row_word: str
    """What row numbers count: `line` (physical) or `row` (record)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """The outcome of a check."""

    verdict: Verdict
    method: str
    files: tuple[FileReport, ...]
    findings: tuple[Finding, ...]
    counts: dict[str, int]
    """Findings per code, including those that are not listed."""
    languages: dict[str, float]
    """Share of the rows per language, largest first."""
    num_rows: int
    """Training rows."""

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)

    def of(self, code: str) -> list[Finding]:
        """The listed findings with one code."""
        return [finding for finding in self.findings if finding.code == code]


@dataclass(slots=True)
class Collector:
    """Collects findings; counts all of them and lists a bounded number per code."""

    counts: Counter[str] = field(default_factory=Counter)
    drops: defaultdict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(dict))
    """File -> row -> codes, of the rows that a clean copy leaves out."""
    cleans: defaultdict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(dict))
    """File -> row -> codes, of the rows that a clean copy changes."""
    _listed: list[Finding] = field(default_factory=list)

    def add(self, code: str, file: str, row: int | None, message: str) -> None:
        severity = CODES[code][0]
        self.counts[code] += 1
        if row is not None and (severity == "error" or code in _DROPPED):
            self.drop(code, file, row)
        if self.counts[code] <= LISTED_MAX:
            self._listed.append(Finding(code, severity, file, row, message))

    def drop(self, code: str, file: str, row: int) -> None:
        """Leave a row out of a clean copy."""
        self.drops[file].setdefault(row, set()).add(code)

    def clean(self, code: str, file: str, row: int) -> None:
        """Clean a row in a clean copy."""
        self.cleans[file].setdefault(row, set()).add(code)

    def findings(self) -> tuple[Finding, ...]:
        """By file and row; what concerns a whole file comes first."""
        return tuple(sorted(self._listed, key=lambda f: (f.file, f.row or 0, f.code)))

    def verdict(self) -> Verdict:
        severities = {CODES[code][0] for code in self.counts}
        return "fail" if "error" in severities else "warn" if "warning" in severities else "pass"
