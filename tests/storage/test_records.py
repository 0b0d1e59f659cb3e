"""Reading a durable folder from outside: lines, cursors, outcomes."""

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftsdk import contract
from ftsdk.errors import SpecError
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.storage import records


def write_segment(store, attempt, node, number, lines, key=contract.segment_key):
    path = store.path(key(attempt, node, number))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{attempt}.{node}.{sequence}|{text}\n" for sequence, text in lines))


def texts(store, after=None):
    return [line.text for line in records.read_lines(store, after=after, follow=False, ended=lambda: True)]


def test_lines_come_in_order_over_segments_and_attempts(tmp_path):
    store = FolderStore(tmp_path)
    write_segment(store, 1, 0, 0, [(0, "a"), (1, "b|c")])
    write_segment(store, 1, 0, 1, [(2, "")])
    write_segment(store, 2, 0, 0, [(0, "again")])
    assert texts(store) == ["a", "b|c", "", "again"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=5),
    st.lists(st.text(alphabet="x|é ", max_size=30), min_size=1),
)
def test_every_cursor_resumes_exactly_behind_its_line(tmp_path_factory, sizes, words):
    store = FolderStore(tmp_path_factory.mktemp("job"))
    sequence = 0
    for number, size in enumerate(sizes):
        write_segment(store, 1, 0, number, [(sequence + i, words[(sequence + i) % len(words)]) for i in range(size)])
        sequence += size
    lines = list(records.read_lines(store, after=None, follow=False, ended=lambda: True))
    assert len(lines) == sequence
    for index, line in enumerate(lines):
        assert texts(store, after=line.cursor) == [rest.text for rest in lines[index + 1 :]]


class Growing(FolderStore):
    """A folder whose segment gets the rest of its lines right after its size was read."""

    def list(self, prefix=""):
        there = list(super().list(prefix))
        if prefix.startswith(contract.segment_key(1, 0, 0)):
            write_segment(self, 1, 0, 0, [(i, f"line {i}") for i in range(20)])
        return iter(there)


@pytest.mark.parametrize("written", [1, 5, 10, 11, 20])
def test_a_cursor_ahead_of_segments_that_grow_doubles_nothing(tmp_path, written):
    store = Growing(tmp_path)
    write_segment(store, 1, 0, 0, [(i, f"line {i}") for i in range(written)])
    assert texts(store, after="1.0.10") == [f"line {i}" for i in range(11, 20)]


def test_two_nodes_share_one_cursor(tmp_path):
    store = FolderStore(tmp_path)
    for node in (0, 1):
        write_segment(store, 1, node, 0, [(i, f"n{node} {i}") for i in range(3)])
    lines = list(records.read_lines(store, after=None, follow=False, ended=lambda: True))
    assert sorted(line.text for line in lines) == sorted(f"n{n} {i}" for n in (0, 1) for i in range(3))
    for index, line in enumerate(lines):
        assert sorted(texts(store, after=line.cursor)) == sorted(rest.text for rest in lines[index + 1 :])


def test_a_line_longer_than_a_chunk_stays_whole(tmp_path):
    store = FolderStore(tmp_path)
    long = "x" * (3 * records.CHUNK_BYTES)
    write_segment(store, 1, 0, 0, [(0, "a"), (1, long), (2, "b")])
    assert texts(store) == ["a", long, "b"]
    assert texts(store, after="1.0.0") == [long, "b"]


def test_following_sees_lines_as_they_are_written_and_stops_at_the_end(tmp_path):
    store, ended, got = FolderStore(tmp_path), threading.Event(), []
    path = store.path(contract.segment_key(1, 0, 0))
    path.parent.mkdir(parents=True)

    def follow():
        got.extend(line.text for line in records.read_lines(store, after=None, follow=True, ended=ended.is_set))

    reader = threading.Thread(target=follow)
    reader.start()
    with path.open("a") as file:
        for i in range(2000):
            file.write(f"1.0.{i}|line {i}\n")
            if i % 100 == 0:
                file.flush()
    ended.set()
    reader.join(20)
    assert got == [f"line {i}" for i in range(2000)]


def test_the_end_of_an_attempt_is_a_cursor(tmp_path):
    store = FolderStore(tmp_path)
    for attempt in (1, 2):
        for node in (0, 1):
            write_segment(store, attempt, node, 0, [(i, f"a{attempt} n{node}") for i in range(3)])
    assert sorted(texts(store, after=records.end_of_attempt(1, 2))) == ["a2 n0"] * 3 + ["a2 n1"] * 3


def test_a_foreign_cursor_is_refused(tmp_path):
    with pytest.raises(SpecError, match="Cursor"):
        texts(FolderStore(tmp_path), after="yesterday")


def test_an_attempt_has_ended_when_every_node_reports_it(tmp_path):
    store = FolderStore(tmp_path)
    good = {"state": "SUCCEEDED", "ended_at": 2.0}
    store.put(contract.outcome_key(1, 0), json.dumps(good).encode())
    assert records.outcome(store, 1, 2) is None
    store.put(contract.outcome_key(1, 1), json.dumps({"state": "FAILED", "ended_at": 1.0}).encode())
    assert records.outcome(store, 1, 2)["state"] == "FAILED"


def test_only_one_caller_puts_if_absent(tmp_path):
    store, wins = FolderStore(tmp_path), []
    threads = [
        threading.Thread(target=lambda i=i: wins.append(store.put_if_absent("a/claim.json", b"%d" % i)))
        for i in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [False] * 15 + [True]


class Counting(FolderStore):
    """A folder that counts how often it is listed."""

    listings = 0

    def list(self, prefix=""):
        self.listings += 1
        return super().list(prefix)


def test_many_segments_are_listed_once_and_once_at_the_end(tmp_path):
    store = Counting(tmp_path)
    for number in range(300):
        write_segment(store, 1, 0, number, [(number, f"line {number}")])
    assert texts(store) == [f"line {number}" for number in range(300)]
    assert store.listings == 2


def reported(step, **values):
    return contract.event_line("metrics", step=step, **values)


def test_metrics_come_from_the_events_beside_the_log_and_of_older_releases_from_the_log(tmp_path):
    store = FolderStore(tmp_path)
    for attempt in (1, 2):
        store.put(contract.claim_key(attempt), b"{}")
    write_segment(store, 1, 0, 0, [(0, "text"), (1, reported(1, loss=3.0)), (2, reported(2, loss=2.0))])
    write_segment(store, 2, 0, 0, [(0, reported(9, loss=9.0))])
    events = [
        (0, contract.event_line("phase", phase="training")),
        (1, reported(2, loss=1.5)),
        (2, reported(3, loss=1.0)),
    ]
    write_segment(store, 2, 0, 0, events, contract.events_key)
    assert [(row["step"], row["loss"]) for row in records.all_metrics(store)] == [
        (1, 3.0),
        (2, 2.0),
        (2, 1.5),
        (3, 1.0),
    ]
    assert [row["step"] for row in records.last_metrics(store, 1)] == [1, 2]
    assert [row["step"] for row in records.last_metrics(store, 2)] == [2, 3]


def test_metrics_survive_the_borders_of_blocks_and_a_last_line_that_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "TAIL_BYTES", 64)
    store = FolderStore(tmp_path)
    store.put(contract.claim_key(1), b"{}")
    write_segment(
        store, 1, 0, 0, [(step, reported(step, loss=1.0 / step)) for step in range(1, 40)], contract.events_key
    )
    with store.path(contract.events_key(1, 0, 0)).open("a") as file:
        file.write('1.0.40|ftsdk {"event": "metrics", "st')
    assert [row["step"] for row in records.all_metrics(store)] == list(range(1, 40))
