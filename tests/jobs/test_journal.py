"""The journal: nothing that was started is lost, two clients at once are fine."""

import multiprocessing
import sqlite3

import pytest

from ftsdk.errors import FtsdkError
from ftsdk.jobs import journal
from ftsdk.plan import Plan


def plan(name="demo-12345678", attempt=1):
    made = Plan(
        backend="local",
        uri=f"local://{name}",
        name=name,
        digest="0" * 64,
        request={"argv": [f"{name}-a1"]},
        document={},
        trainer_config={},
        spec={"name": "demo"},
    )
    return made.for_attempt(attempt)


def test_an_intended_submit_is_in_the_journal_before_it_completes():
    journal.intend(plan())
    (entry,) = journal.entries()
    assert (entry.uri, entry.submitted_at) == ("local://demo-12345678", None)


def test_a_journal_entry_has_the_newest_attempt():
    for attempt in (1, 2):
        journal.intend(plan(attempt=attempt))
        journal.complete(plan(attempt=attempt))
    (entry,) = journal.entries("demo-12345678")
    assert entry.attempt == 2 and entry.submitted_at is not None
    assert journal.plan_of(entry.uri) == plan(attempt=2)


def test_a_refused_submit_leaves_nothing():
    journal.intend(plan())
    journal.forget(plan())
    assert journal.entries() == []


def _write(number):
    for i in range(20):
        journal.intend(plan(f"job{number}-{i:08d}"))


def test_concurrent_writers_of_the_journal_lose_no_entry():
    workers = [multiprocessing.get_context("fork").Process(target=_write, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(journal.entries()) == 80


def test_a_broken_journal_is_reported_in_one_sentence(own_home):
    own_home.mkdir(exist_ok=True)
    (own_home / "journal.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(FtsdkError, match="journal"):
        journal.entries()


def test_the_journal_is_a_sqlite_file(own_home):
    journal.intend(plan())
    rows = sqlite3.connect(own_home / "journal.db").execute("SELECT uri FROM job").fetchall()
    assert rows == [("local://demo-12345678",)]
