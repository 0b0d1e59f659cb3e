"""The rows that a check reads are those that the training reads, whatever the file's kind and encoding."""

import json

import pytest

from ftsdk.data.formats.files import source
from ftsdk.data.formats.rows import batches
from ftsdk.runtime.programs.data import rows

ROWS = [{"instruction": f"q {n} 问", "output": f'a, "{n}"\n. ü'} for n in range(40)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
LISTED = json.dumps(ROWS, ensure_ascii=False, indent=1)
TABLE = "instruction,output\n" + "".join('{},"{}"\n'.format(*(v.replace('"', '""') for v in r.values())) for r in ROWS)
TEXTS = {
    "lines.jsonl": LINES,
    "list.json": LISTED,
    "wrapped.json": '{"version": "1", "data": ' + LISTED + ', "n": 40}',
    "wrapped on one line.json": json.dumps({"rows": ROWS}),
    "table.csv": TABLE,
}


@pytest.mark.trainer
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", TEXTS)
def test_check_and_training_read_the_same_rows(tmp_path, name, encoding):
    path = tmp_path / name
    path.write_bytes(TEXTS[name].encode(encoding))
    checked = [json.loads(text) for batch in batches(source(path), batch_bytes=1 << 10) for _, text in batch.rows()]
    assert checked == ROWS == [row for _, row in rows.read(path)]


@pytest.mark.trainer
@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_tables_of_columns_too(tmp_path, name):
    import pyarrow as pa
    from pyarrow import feather, parquet

    table, path = pa.Table.from_pylist(ROWS), tmp_path / name
    (parquet.write_table if name.endswith("parquet") else feather.write_feather)(table, path)
    checked = [json.loads(text) for batch in batches(source(path)) for _, text in batch.rows()]
    assert checked == ROWS == [row for _, row in rows.read(path)]


@pytest.mark.trainer
def test_a_file_with_one_chat_is_one_row(tmp_path):
    path = tmp_path / "a.jsonl"
    chat = {"messages": [{"role": "user", "content": "q"}], "data": [{"role": "x"}]}
    path.write_text(json.dumps(chat))
    assert [row for _, row in rows.read(path)] == [chat]
    nested = [{"data": [{"a": 1}], "n": n} for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in nested))
    checked = [json.loads(text) for batch in batches(source(path)) for _, text in batch.rows()]
    assert checked == nested == [row for _, row in rows.read(path)]
