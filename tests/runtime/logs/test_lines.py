"""Not a line lost, doubled or cut, whatever the trainer writes and whatever storage and readers do."""

from __future__ import annotations

import json
import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftsdk import contract
from ftsdk.runtime.logs import lines as lines_module
from ftsdk.runtime.logs.lines import Log
from ftsdk.runtime.logs.log_position import LogPosition
from ftsdk.runtime.logs.masking import Mask
from ftsdk.runtime.storage.durable import DurableFolder

NULL = os.open(os.devnull, os.O_WRONLY)


def log_in(folder, *, secrets=(), keep=lambda event: True, stdout=NULL, sequence=0, segment=0):
    return Log(
        DurableFolder(folder),
        attempt=1,
        node=0,
        sequence=sequence,
        segment=segment,
        mask=Mask(secrets),
        on_event=keep,
        stdout=stdout,
    )


def stored(folder):
    files = sorted((folder / "logs").glob("*.log")) if (folder / "logs").is_dir() else []
    return b"".join(file.read_bytes() for file in files).split(b"\n")[:-1]


def texts(stamped):
    return [line.partition(b"|")[2] for line in stamped]


def sequences(stamped):
    return [contract.parse_stamp(line.partition(b"|")[0].decode()).sequence for line in stamped]


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.binary(max_size=40), max_size=30), newlines=st.lists(st.integers(0, 29), max_size=12))
def test_lines_are_stored_in_any_pieces(tmp_path_factory, pieces, newlines):
    folder = tmp_path_factory.mktemp("log")
    for place in newlines:
        pieces.insert(place, b"\r\n" if place % 3 else b"\n")
    log = log_in(folder)
    for piece in pieces:
        log.feed(piece)
    log.close()
    written = b"".join(pieces)
    expected = written.split(b"\n")
    if not expected[-1]:
        expected.pop()  # the last line had its newline
    assert texts(stored(folder)) == expected
    assert sequences(stored(folder)) == list(range(len(expected)))


def test_a_line_of_many_megabytes_is_one_line(tmp_path):
    log = log_in(tmp_path)
    for _ in range(3):
        log.feed(b"x" * (1 << 20))
    log.feed(b"\nnext\n")
    log.close()
    assert [len(text) for text in texts(stored(tmp_path))] == [3 << 20, 4]


def test_segments_rotate_and_go_on_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(DurableFolder, "segment_bytes", 100)
    log = log_in(tmp_path)
    for number in range(50):
        log.feed(b"line %d\n" % number)
    log.close()
    assert len(list((tmp_path / "logs").iterdir())) > 5
    assert texts(stored(tmp_path)) == [b"line %d" % number for number in range(50)]


def test_a_later_start_goes_on_behind_the_last_whole_line(tmp_path):
    first = log_in(tmp_path)
    first.feed(b"one\ntwo\n")
    first.feed_events(b'{"event": "metrics", "step": 7, "loss": 1.0}\n')
    first.close()
    segment = next((tmp_path / "logs").iterdir())
    with segment.open("ab") as file:
        file.write(b"1.0.3|torn by a power c")
    earlier = LogPosition(DurableFolder(tmp_path), 1, 0)
    assert (earlier.sequence, earlier.segment) == (3, 1)
    assert earlier.is_replay({"event": "metrics", "step": 7})
    assert not earlier.is_replay({"event": "metrics", "step": 8})
    assert not earlier.is_replay({"event": "metrics", "step": 7, "eval_loss": 1.0})
    assert (
        LogPosition(DurableFolder(tmp_path), 2, 0).sequence == LogPosition(DurableFolder(tmp_path), 1, 1).sequence == 0
    )


def test_metrics_that_are_refused_leave_no_gap(tmp_path):
    log = log_in(tmp_path, keep=lambda event: event["step"] > 1)
    for step in (1, 2):
        log.feed_events(b'{"event": "metrics", "step": %d}\n' % step)
    log.close()
    assert [contract.parse_event(text.decode())["step"] for text in texts(stored(tmp_path))] == [2]
    assert sequences(stored(tmp_path)) == [0]


LOOKS_LIKE_EVENTS = [
    contract.event_line("checkpoint", step=3),
    contract.event_line("outcome", state="SUCCEEDED"),
    contract.event_line("metrics", step=10**9, loss=0.0),
    'ftsdk {"event": "outcome"}',
    'ftsdk {"event": "metrics"}',
    "ftsdk " + '{"event": ' * 100_000,
]


def test_printed_text_that_looks_like_events_stays_text(tmp_path):
    seen = []
    log = log_in(tmp_path, keep=lambda event: seen.append(event) or True)
    log.feed("".join(line + "\n" for line in LOOKS_LIKE_EVENTS).encode())
    log.close()
    assert seen == []
    assert [text.decode().removeprefix(" ") for text in texts(stored(tmp_path))] == LOOKS_LIKE_EVENTS
    assert not any(contract.parse_event(text.decode()) for text in texts(stored(tmp_path)))


def test_events_come_by_their_own_pipe_in_any_pieces(tmp_path):
    seen = []
    log = log_in(tmp_path, keep=lambda event: seen.append(event) or True)
    sent = b'{"event": "checkpoint", "step": 3}\n{"event": "metrics", "step": 4, "loss": NaN, "note": "x"}\nno event\n'
    for at in range(0, len(sent), 7):
        log.feed_events(sent[at : at + 7])
    log.close()
    assert seen == [{"event": "checkpoint", "step": 3}, {"event": "metrics", "step": 4, "loss": "nan"}]
    assert [contract.parse_event(text.decode()) for text in texts(stored(tmp_path))] == [*seen, None]


JSON_VALUES = st.recursive(
    st.none() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ODD_EVENTS = st.tuples(
    st.sampled_from(["metrics", "checkpoint", "commit", "phase", "outcome", "newer"]), JSON_VALUES
).map(lambda odd: json.dumps({"event": odd[0], "step": odd[1], "self": 1, "kind": odd[1]}).encode() + b"\n")


@given(st.lists(st.binary(max_size=200) | ODD_EVENTS | st.just(b'{"event": "metrics", "step": 1, "loss": 1e999}\n')))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_reported_or_read(tmp_path_factory, chunks):
    folder = tmp_path_factory.mktemp("any")
    log = log_in(folder)
    for chunk in chunks:
        log.feed(chunk)
        log.feed_events(chunk)
    log.feed_events(b"\n")
    log.close()
    for text in texts(stored(folder)):
        contract.parse_event(text.decode("utf-8", "replace"))


def test_secrets_are_masked_wherever_the_output_was_cut(tmp_path):
    log = log_in(tmp_path, secrets=["hunter22", 'quo"ted\\1', "-----BEGIN\nsecond line\n", "abc"])
    log.feed(b"token=hun")
    log.feed(b"ter22 and second line, abc\n")
    log.event("metrics", text='quo"ted\\1')
    log.close()
    assert texts(stored(tmp_path))[0] == b"token=*** and ***, abc"
    assert b"quo" not in b"".join(stored(tmp_path))


def test_a_full_disk_delays_lines_but_loses_none(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "RETRY_S", 0.0)
    segment = tmp_path / contract.segment_key(1, 0, 0)
    segment.parent.mkdir()
    segment.symlink_to("/dev/full")  # every write to it fails with ENOSPC
    log = log_in(tmp_path)
    log.feed(b"one\ntwo\n")
    log.tick()
    segment.unlink()
    log.feed(b"three\n")
    log.close()
    assert texts(stored(tmp_path)) == [b"one", b"two", b"three"]


def test_lines_beyond_what_memory_may_hold_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "RETRY_S", 0.0)
    monkeypatch.setattr(lines_module, "MAX_HELD_BYTES", 200)
    segment = tmp_path / contract.segment_key(1, 0, 0)
    segment.parent.mkdir()
    segment.symlink_to("/dev/full")
    log = log_in(tmp_path)
    for number in range(100):
        log.feed(b"line %d\n" % number)
    segment.unlink()
    log.feed(b"after\n")
    log.close()
    kept = texts(stored(tmp_path))
    told = next(text for text in kept if b"lines are missing in the log segments" in text)
    lines = [text for text in kept if text.startswith(b"line ")]
    missing = int(told.split()[2])
    assert lines == [b"line %d" % number for number in range(len(lines))]
    assert missing and missing + len(kept) - 1 == 101
    numbers = sequences(stored(tmp_path))
    assert numbers == sorted(set(numbers)) and numbers[-1] == 101


def test_a_stalled_reader_loses_whole_lines_and_gets_a_notice(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "STALL_TIMEOUT_S", 0.05)
    read, write = os.pipe()
    log = log_in(tmp_path, stdout=write)
    for number in range(3000):
        log.feed(b"line %d %b\n" % (number, b"x" * 100))
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.extend(iter(lambda: os.read(read, 65536), b"")))
    reader.start()
    monkeypatch.setattr(lines_module, "CLOSE_TIMEOUT_S", 30.0)
    for number in range(3000, 3010):
        log.feed(b"line %d\n" % number)
    log.close()
    os.close(write)
    reader.join()
    os.close(read)
    seen = b"".join(taken).split(b"\n")
    everything = stored(tmp_path)
    assert seen.pop() == b""
    assert set(seen) <= set(everything), "a line was cut"
    assert len(texts(everything)) == 3011
    told = next(text for text in texts(seen) if b"lines are missing in stdout" in text)
    assert len(seen) + int(told.split()[2]) == len(everything)


@pytest.mark.parametrize("how", ["closed", "gone"])
def test_a_closed_reader_does_not_stop_the_log(tmp_path, how):
    read, write = os.pipe()
    os.close(read)
    if how == "closed":
        os.close(write)
    log = log_in(tmp_path, stdout=write)
    log.feed(b"one\ntwo\n")
    log.close()
    if how == "gone":
        os.close(write)
    assert texts(stored(tmp_path)) == [b"one", b"two"]


def test_events_are_also_written_apart_from_the_log_and_masked(tmp_path):
    log = log_in(tmp_path, secrets=["geheim"])
    log.feed(b'text\nftsdk {"event": "phase", "phase": "forged"}\n')
    log.event("phase", phase="training", note="geheim")
    log.feed_events(b'{"event": "metrics", "step": 1, "loss": 0.5}\n')
    log.close()
    lines = stored(tmp_path)
    assert len(lines) == 4
    events = (tmp_path / contract.events_key(1, 0, 0)).read_bytes().split(b"\n")[:-1]
    assert events == lines[2:]
    assert b"geheim" not in b"".join(events)
