"""The SQL prefilter never passes a row with faults, and passes most rows without faults."""

import json
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftsdk.data.checks import scan, sql_prefilter
from ftsdk.data.checks.sql_prefilter import prefilter_query
from ftsdk.data.formats.files import source
from ftsdk.data.formats.opening import open_files, sample_rows
from ftsdk.data.formats.rows import Batch
from tests.data import planting
from tests.data.planting import CLEAN, clean_rows, dumped

TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["", " ", "\n", "\u3000", "\u200b", "\x85", "\x1c", "null", "true", "NaN", ",}", ", ]", ":nan,"]),
    st.sampled_from(['"', "\\"]),
    st.sampled_from(["user", "assistant", "human", "gpt", "system", "tool", "function_call", "<image>"]),
)  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.floats(), TEXTS)
KEYS = st.sampled_from(["role", "content", "from", "value", "tool_calls", "a"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=5
)

INSERTS = st.sampled_from([
    "", ",", ", ", "}", "]", '"', "\\", "NaN", "-Infinity", "\t", "\\u0000", "\\ud800", " ", "1", "null",
    '"a": 1,', '"a": 1, "a": 1,', '"a": ["x", {"a": 1, "a": 1}],',
    ', "a": nan', '"tool_calls": [1],', '"role": "user",', '"from": "human",', '"prompt": "x",', '"output": "x",',
])  # fmt: skip


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@st.composite
def damaged(draw, shape):
    """A row of a shape with something else somewhere in it, or with letters changed in its text."""
    row = CLEAN[shape][1](random.Random(draw(st.integers(0, 50))))
    for _ in range(draw(st.integers(0, 2))):
        row = replaced(row, draw(st.sampled_from(list(places(row)))), draw(VALUES))
    text = json.dumps(row, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        joints = [place for place, letter in enumerate(text) if letter in '{}[],:"'] or [0]
        place = draw(st.sampled_from(joints)) + draw(st.integers(0, 1))
        text = text[:place] + draw(INSERTS) + text[place + draw(st.integers(0, 1)) :]
    return text.encode("utf-8", "replace")


@pytest.fixture(scope="module")
def connection():
    with scan.engine() as engine:
        yield engine


def rules_of(shape, folder):
    path = folder / f"{shape}.jsonl"
    path.write_bytes(b"\n".join(dumped(row) for row in clean_rows(shape, 30, 0)))
    return open_files([path], method=CLEAN[shape][0])[0].rules


def passed(connection, rules, texts):
    data = b"\n".join(texts)
    connection.register("feed", scan.arrow_table(Batch(1, texts, data)))
    found = connection.execute(
        f"select row, ok, valid, key from ({prefilter_query(rules, prompts=True, heuristics=True)}) order by row"
    ).fetchall()
    connection.unregister("feed")
    return found


@pytest.mark.parametrize("shape", CLEAN)
def test_prefilter_passes_no_row_with_faults(connection, tmp_path_factory, shape):
    rules = rules_of(shape, tmp_path_factory.mktemp(shape))

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(damaged(shape), min_size=20, max_size=40))
    def compare(texts):
        texts = [text.replace(b"\n", b" ") for text in texts]
        for (_, ok, valid, key), text in zip(passed(connection, rules, texts), texts, strict=True):
            faults = rules.faults(text.decode()) if text.strip() else [("blank_line", "")]
            assert not (ok and faults), (text, faults)
            if not faults:
                assert valid
                assert key is not None

    compare()


LEFT_TO_THE_RULES = ("history", "sharegpt_tools", "openai_tools", "pair_chat", "pair_lists")
"""Shapes with lists or objects inside, to which the exact rules are always applied."""
PASSED_SHAPES = [name for name in CLEAN if name not in LEFT_TO_THE_RULES]
LETTERS = st.characters(exclude_categories=["C", "Z"], exclude_characters='"\\<>[]{},:\u2800\u3164\ufe0f')


@st.composite
def with_other_texts(draw, shape):
    """A row of a shape without faults, with generated words at the end of its texts."""
    row = CLEAN[shape][1](random.Random(draw(st.integers(0, 10_000))))
    roles = {"user", "assistant", "system", "human", "gpt"}
    for path in [path for path in places(row) if path]:
        value = row
        for key in path:
            value = value[key]
        if isinstance(value, str) and value not in roles:
            row = replaced(row, path, f"{value} {draw(st.text(LETTERS, min_size=1, max_size=8))}")
    return json.dumps(row, ensure_ascii=draw(st.booleans())).encode()


@pytest.mark.parametrize("shape", PASSED_SHAPES)
def test_prefilter_passes_most_rows_without_faults(connection, tmp_path_factory, shape):
    rules = rules_of(shape, tmp_path_factory.mktemp(shape))
    counts = Counter()

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(with_other_texts(shape), min_size=20, max_size=40))
    def count(texts):
        for (_, ok, _, _), text in zip(passed(connection, rules, texts), texts, strict=True):
            if not rules.faults(text.decode()):
                counts["passed" if ok else "left to the rules"] += 1

    count()
    assert counts["passed"] > 100
    assert counts["passed"] >= 0.95 * counts.total(), counts


@pytest.mark.parametrize("shape", LEFT_TO_THE_RULES)
def test_nested_rows_without_faults_have_none_in_the_exact_rules(tmp_path, shape):
    rules = rules_of(shape, tmp_path)
    assert [rules.faults(dumped(row).decode()) for row in clean_rows(shape, 60, 3)] == [[]] * 60


@pytest.mark.parametrize("shape", PASSED_SHAPES)
def test_a_prefilter_without_one_of_its_conditions_is_detected(connection, tmp_path, monkeypatch, shape):
    """The comparison fails for a prefilter that accepts DuckDB's lenient JSON, or does not look into the fields."""
    rules = rules_of(shape, tmp_path)
    row = dumped(clean_rows(shape, 1, 5)[0])
    lenient, empty = row[:-1] + b", }", b"{}"
    assert not any(ok for _, ok, _, _ in passed(connection, rules, [lenient, empty]))
    monkeypatch.setattr(sql_prefilter, "_strict", lambda rules: "true")
    assert passed(connection, rules, [lenient])[0][1]
    monkeypatch.setattr(sql_prefilter, "_clean", lambda rules, values: "true")
    assert passed(connection, rules, [empty])[0][1]


def test_sample_leaves_out_what_is_broken(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(planting.planted("alpaca", 1, count=50).content)
    rows = sample_rows(source(path))
    assert all(isinstance(row, dict) for row in rows)
    assert len(rows) > 30
