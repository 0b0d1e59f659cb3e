"""Formats, row counts, lengths and truncation of local data files, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ftsdk.contract.documents import DatasetEntry
from ftsdk.data import cache
from ftsdk.data.cache import HashedFile, Lengths
from ftsdk.data.formats.catalog import FORMATS
from ftsdk.data.formats.dataset_info import dataset_info_entry, from_entry
from ftsdk.data.formats.files import DataFile
from ftsdk.data.formats.media import ROLES, media_files
from ftsdk.data.formats.summary import describe_file
from ftsdk.data.prepared import prepare
from ftsdk.data.statistics.row_features import RowFeatures
from ftsdk.data.statistics.truncation import Truncation
from ftsdk.errors import DataError
from ftsdk.storage import fingerprints
from ftsdk.storage.fingerprints import Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionOptions:
    """The parts of a spec on which the answers depend."""

    method: str
    tokenizer: str | None
    """A model's folder or hub id; None estimates token counts."""
    cutoff_len: int
    """Tokens."""
    batch_size: int
    """Rows per device and micro-step."""
    lengths: bool
    """Whether token lengths of all rows together are measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A local data file as a spec or a dataset_info.json names it."""

    file: DataFile
    name: str
    """Its name in the trainer's dataset_info.json."""
    media_folder: Path
    """Folder against which rows name images, videos and audio files."""
    entry: DatasetEntry | None = None
    """Its dataset_info.json entry; None if its format is to be detected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFileFacts:
    """What one local data file contains."""

    fingerprint: Fingerprint
    """Of the file that the trainer loads: the named one, or a conversion of it in ftsdk's cache."""
    original: Fingerprint
    """Of the named file."""
    unused: tuple[str, ...]
    """Columns and message fields that the training does not use, with their counts."""
    entry: DatasetEntry
    """LLaMA-Factory's dataset_info.json entry."""
    format: str
    num_rows: int | None
    """None where counting would mean parsing a large file."""
    media: tuple[Fingerprint, ...] | None
    """The files that its rows name; None if it has no column for media."""
    truncation: Truncation | None
    """None for methods and formats whose rows are split, and for unreadable rows."""
    row_features: RowFeatures | None
    """What the first rows ask the training for; None for text and for unreadable rows."""

    @property
    def hashed_file(self) -> HashedFile:
        """The file with the shape that its entry declares."""
        return hashed_file(self.fingerprint, self.entry, self.format)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What a set of local data files contains."""

    files: tuple[DataFileFacts, ...]
    lengths: Lengths | None
    """Token lengths of all rows; None if not measured or without readable rows."""


def inspect_files(files: Sequence[LocalFile], options: InspectionOptions) -> DataFacts:
    """Detect formats, count rows, and measure lengths and truncation of files.

    Raises DataError for a file that cannot be read, that the trainer cannot load, or that the method cannot train on.
    """
    inspected = tuple(_inspect(file, options) for file in files)
    hashed = [facts.hashed_file for facts in inspected]
    measured = cache.lengths(
        hashed,
        method=options.method,
        tokenizer=options.tokenizer,
        cutoff_len=options.cutoff_len,
        batch_size=options.batch_size,
    ) if hashed and options.lengths else None  # fmt: skip
    return DataFacts(files=inspected, lengths=measured)


def count_rows(files: Sequence[DataFile]) -> int | None:
    """Rows of all files; None where counting would mean parsing a large file. Raises DataError as `inspect_files`."""
    counts = [describe_file(f.path, format=f.format, columns=f.columns, tags=f.tags).num_rows for f in files]
    return None if None in counts else sum(count or 0 for count in counts)


def hashed_file(fingerprint: Fingerprint, entry: DatasetEntry, format: str) -> HashedFile:
    """A file with the shape of its dataset_info.json entry, which has no words for prompts alone."""
    file = from_entry(entry, fingerprint.path)
    return HashedFile(replace(file, format="prompts") if format == "prompts" else file, fingerprint.sha256)


def _inspect(local: LocalFile, options: InspectionOptions) -> DataFileFacts:
    file, path = local.file, Path(local.file.path)
    method = options.method if local.entry is None else None
    summary = describe_file(file.path, method=method, format=file.format, columns=file.columns, tags=file.tags)
    detected, original = summary.detected, fingerprints.of(path)
    if local.entry is None:
        _refuse_unfit(path, detected.format, options.method)
        if summary.convert_first:
            path = prepare(file, summary, original, method=options.method)
        if detected.convert_first:
            format = "sharegpt" if detected.format == "openai" else detected.format
            detected = describe_file(path, method=options.method, format=format).detected
        entry = dataset_info_entry(detected.format, detected.columns, detected.tags, str(path))
        format, columns = detected.format, detected.columns
    else:
        entry, format, columns = local.entry, str(local.entry.get("formatting", "alpaca")), dict(file.columns)
    fingerprint = original if path == Path(local.file.path) else fingerprints.of(path)
    hashed = hashed_file(fingerprint, entry, format)
    truncated = options.method != "pt" and cache.truncation(
        hashed, tokenizer=options.tokenizer, cutoff_len=options.cutoff_len
    )
    has_media = bool(set(ROLES) & set(columns))
    media = media_files(path, columns, local.media_folder) if has_media else []
    return DataFileFacts(
        fingerprint=fingerprint,
        original=original,
        unused=summary.unused,
        entry=entry,
        format=format,
        num_rows=summary.num_rows,
        media=tuple(fingerprints.of(item) for item in media) if has_media else None,
        truncation=truncated or None,
        row_features=cache.row_features(hashed) if options.method != "pt" else None,
    )


def _refuse_unfit(path: Path, format: str, method: str) -> None:
    if method in FORMATS[format].methods:
        return
    fitting = " or ".join(name for name, info in FORMATS.items() if method in info.methods)
    raise DataError(
        f"{path}: method {method} cannot train on it, its rows are '{format}' ({FORMATS[format].meaning}); "
        f"give '{fitting}' rows, or another method."
    )
