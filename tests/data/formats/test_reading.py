"""One look at a file says what it is, or in one sentence what is wrong with it."""

import gzip
import json
from pathlib import Path

import pytest

from ftsdk.data.formats.summary import describe_file
from ftsdk.errors import DataError

ROWS = [{"instruction": f"i{n}", "input": "", "output": f"o{n}"} for n in range(250)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_csv(separator: str) -> str:
    return "\n".join(separator.join(r) for r in [tuple(ROWS[0]), *(tuple(r.values()) for r in ROWS)]) + "\n"


def zstd_packed(data: bytes) -> bytes:
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd.compress(data)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.jsonl", LINES, "jsonl"),
        ("a.json", json.dumps(ROWS, indent=1), "json"),
        ("lines.json", LINES, "jsonl"),
        ("array.jsonl", json.dumps(ROWS), "json"),
        ("bom.jsonl", b"\xef\xbb\xbf" + LINES.encode(), "jsonl"),
        ("crlf.jsonl", LINES.replace("\n", "\r\n"), "jsonl"),
        ("blank.jsonl", LINES.replace("\n", "\n\n"), "jsonl"),
        ("a.csv", as_csv(","), "csv"),
        ("a.tsv", as_csv("\t"), "tsv"),
        ("a.jsonl.gz", gzip.compress(LINES.encode()), "jsonl"),
        ("a.jsonl.zst", zstd_packed(LINES.encode()), "jsonl"),
    ],
)
def test_each_kind_of_file_is_read(tmp_path, name, content, kind):
    seen = describe_file(write(tmp_path / name, content))
    assert (seen.kind, seen.num_rows, seen.detected.format) == (kind, 250, "alpaca")
    assert seen.columns == ("instruction", "input", "output")
    assert list(seen.sample_rows) == ROWS[:100]
    assert bool(seen.convert_first) == (kind in ("csv", "tsv") or bool(seen.compression))


def test_parquet(tmp_path):
    import duckdb

    path = tmp_path / "a.parquet"
    source = write(tmp_path / "a.jsonl", LINES)
    duckdb.connect().execute(f"copy (from read_json('{source}')) to '{path}' (format parquet)")
    seen = describe_file(path)
    assert (seen.kind, seen.num_rows, list(seen.sample_rows)) == ("parquet", 250, ROWS[:100])


def test_plain_text(tmp_path):
    seen = describe_file(write(tmp_path / "a.txt", 'one "1"\n\ntwo\n'))
    assert (seen.detected.format, seen.num_rows, seen.sample_rows) == (
        "text",
        2,
        ({"text": 'one "1"'}, {"text": "two"}),
    )


def test_large_file_is_counted_not_parsed(tmp_path):
    many = 9 * 2**20 // len(LINES) + 1
    seen = describe_file(write(tmp_path / "a.jsonl", LINES * many + LINES.splitlines()[0]))
    assert seen.num_rows == 250 * many + 1
    assert len(seen.sample_rows) == 100


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", "", "is empty"),
        ("a.jsonl", "\n \n", "has no rows"),
        ("a.docx", "x", "not of a known kind"),
        ("a.jsonl", '{"text": 1}\n' * 16 + '{"text": \n', "line 17, is not valid JSON"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "caf\xe9"}\n', "line 2, is not UTF-8: byte 0xe9 at position 14"),
        ("a.jsonl", '{"text": "a"}\n'.encode("utf-16-le"), "is UTF-16"),
        ("a.jsonl", '{"text": "a"}\n'.encode("utf-16")[:-1], "cannot be read"),
        ("a.jsonl", '{"text": "a"}\n["b"]\n', "line 2, is not an object"),
        ("a.json", '[{"text": "a"}, {"text": "b}]', "row 2, is not valid JSON"),
        ("a.json", '[{"text": "a"}', "the closing ] is missing"),
        ("a.json", '{\n"meta": {},\n"data": [{"text": "a"}]}', "is one JSON object"),
        ("a.json", '{"data": [{"text": "a"}, {"text": "b}]}', "row 2, is not valid JSON"),
        ("a.csv", "question,answer\na,b\nc\n", "row 2, has 1 fields, the header has 2"),
        ("a.csv", b"question,answer\na,b\nc,\xe9\n", "row 2, is not UTF-8"),
        ("a.csv", "question,question\na,b\n", "twice"),
        ("a.csv", 'question,answer\na,"b\n', "row 1, is not valid CSV"),
        ("a.parquet", "PAR1 nonsense", "not a readable Parquet file"),
        ("a.arrow", b"ARROW1\0\0nonsense", "not a readable Arrow file"),
        ("a.jsonl.gz", b"nonsense", "cannot be read"),
        ("a.jsonl.zst", b"nonsense", "cannot be unpacked"),
        ("a.jsonl.gz", gzip.compress(LINES.encode())[:400], "cannot be read"),
        ("a.jsonl.gz", gzip.compress(LINES.encode())[:200] + b"x" * 99, "cannot be read"),
        ("a.jsonl.zst", zstd_packed(LINES.encode() * 50)[:300], "cannot be"),
        ("a.jsonl", bytes(range(256)) * 8, "line 2, is not UTF-8"),
    ],
)
def test_says_what_is_wrong_in_one_sentence(tmp_path, name, content, words):
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=r"(?s).*") as caught:
        describe_file(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        describe_file(tmp_path / "a.jsonl")
