"""The rows that the demo makes out of Python's documentation."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ftsdk.demo import rows


@pytest.fixture(scope="module")
def made():
    return rows.make_rows()


def test_there_are_thousands_of_rows_with_distinct_answers(made):
    assert len(made) > 2000
    assert Counter(row.answer for row in made).most_common(1)[0][1] == 1
    assert Counter(row.name for row in made).most_common(1)[0][1] == 1


def test_well_known_functions_have_rows(made):
    by_name = {row.name: row for row in made}
    assert "JSON" in by_name["json.dumps"].answer
    assert by_name["json.dumps"].question == "What does json.dumps do?"
    assert "square root" in by_name["math.sqrt"].answer
    assert "os.path.join" in by_name and "posixpath.join" not in by_name
    assert "module" in by_name["math"].question


def test_answers_are_short_and_have_no_path_of_this_machine(made):
    assert all(rows.ANSWER_MIN_CHARS <= len(row.answer) <= rows.ANSWER_MAX_CHARS for row in made)
    text = "\n".join(row.answer for row in made)
    for private in (str(Path.home()), str(Path.cwd()), str(Path(json.__file__).parent.parent), " at 0x"):
        assert private not in text


def test_a_docstring_that_names_a_folder_of_this_machine_is_left_out(monkeypatch):
    monkeypatch.setattr(json.dumps, "__doc__", f"Write everything to {Path.home()}, the default place for it.")
    monkeypatch.setattr(json.loads, "__doc__", "Call <function hook at 0x7f2b6c0d5e10> for every object there is.")
    assert {"json.dumps", "json.loads"}.isdisjoint(row.name for row in rows.make_rows())


def test_every_process_makes_the_same_rows_and_says_nothing(tmp_path):
    code = "import json, sys; from ftsdk.demo.rows import make_rows; json.dump(make_rows(), open(sys.argv[1], 'w'))"
    for seed in ("1", "2"):
        argv = [sys.executable, "-c", code, tmp_path / seed]
        done = subprocess.run(argv, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        assert (done.stdout, done.stderr) == (b"", b"")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_no_answer_is_in_both_training_and_held_out_rows(tmp_path):
    data = rows.write_rows(tmp_path)
    train, held_out = ([json.loads(line) for line in path.read_text().splitlines()] for path in (data.train, data.eval))
    assert (len(train), len(held_out)) == (data.num_train, data.num_eval)
    assert {row["output"] for row in train}.isdisjoint(row["output"] for row in held_out)
    assert 0.03 < len(held_out) / len(train) < 0.07
    assert train[0].keys() == {"instruction", "input", "output"}


def test_a_held_out_row_stays_held_out_when_the_share_grows(tmp_path):
    few, many = rows.write_rows(tmp_path / "few"), rows.write_rows(tmp_path / "many", eval_fraction=0.2)
    assert set(few.eval.read_text().splitlines()) <= set(many.eval.read_text().splitlines())


@pytest.mark.parametrize(
    ("docstring", "answer"),
    [
        ("dump(obj) -> str\n\nWrite the object as text.", "Write the object as text."),
        ("Return x.\nAnd y.\n\nMore about it.", "Return x. And y.\nMore about it."),
        ("Read it.\n\n  path\n    Where it is.\n\nNever fails.", "Read it.\nNever fails."),
        ("Read it.\n\n>>> read()\n1", "Read it."),
        ("Read one of these:\n\nAll of the following:\n\n- a\n- b", "Read one of these:"),
        ("    Indented.\n    Twice.\n    ", "Indented. Twice."),
        ("A sentence. " * 40, ("A sentence. " * 25).strip()),
    ],
)
def test_answers_are_the_prose_of_a_docstring(docstring, answer):
    assert rows.clean_answer(docstring) == answer
