"""The codes of findings are documented, and a report bounds what it lists."""

from pathlib import Path

from ftsdk.data.checks import report
from ftsdk.data.checks.report import CODES, Collector
from ftsdk.data.formats.catalog import FORMATS

PAGE = Path(__file__).parents[3] / "docs" / "data.md"


def test_every_code_and_format_is_documented():
    text = PAGE.read_text("utf-8")
    assert [name for name in (*CODES, *FORMATS) if f"`{name}`" not in text] == []


def test_everything_is_counted_and_dropped_but_not_everything_listed(monkeypatch):
    monkeypatch.setattr(report, "LISTED_MAX", 3)
    collector = Collector()
    for row in range(1, 6):
        collector.add("bad_json", "a", row, "is not valid JSON")
    collector.add("blank_line", "a", 9, "is empty")
    assert collector.counts == {"bad_json": 5, "blank_line": 1}
    assert [finding.row for finding in collector.findings()] == [1, 2, 3, 9]
    assert list(collector.drops["a"]) == [1, 2, 3, 4, 5]


def test_verdicts():
    collector = Collector()
    assert collector.verdict() == "pass"
    collector.add("blank_line", "a", 1, "is empty")
    assert collector.verdict() == "pass"
    collector.add("duplicate", "a", 2, "says the same")
    assert collector.verdict() == "warn"
    collector.add("bad_json", "a", 3, "is not valid JSON")
    assert collector.verdict() == "fail"
