"""Prints how good the estimates are, by group. `python -m bench.sizing --help`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from bench.sizing.rows import DATA, Row
from bench.sizing.validate import (
    MemoryRow,
    SpeedRow,
    groups,
    leave_one_out,
    leave_one_out_speed,
    memory_rows,
    speed_rows,
    summary,
)

BEGIN, END = "<!-- python -m bench.sizing -->", "<!-- end -->"


def report(memory_path: Path, speed_path: Path) -> str:
    """All tables, as Markdown."""
    return "\n".join((*_memory_report(memory_path), "", *_speed_report(speed_path)))


def _memory_report(path: Path) -> Iterable[str]:
    exact, all_grades = memory_rows(path), memory_rows(path, grades="ABCD")
    yield "### Memory"
    yield ""
    yield from _head("grade A rows", "underestimated by > 10 %")
    yield from _memory_line("**all, as shipped**", exact)
    yield from _memory_line("without offload, allocated or reserved counter", [r for r in exact if _plain(r.row)])
    blind = leave_one_out(path)
    yield from _memory_line("**all, each source left out**", blind)
    for name, rows in groups(blind, lambda row: row["source_id"]).items():
        yield from _memory_line(f"left out: {name}", rows)
    for name, rows in groups(exact, _kind).items():
        yield from _memory_line(name, rows)
    yield ""
    yield from _head("grades B, C and D (something about the run is inferred)", "underestimated by > 10 %")
    rest = [row for row in all_grades if row.row["quality"] != "A" and row.measured_gib and row.row["micro_batch"]]
    for name, rows in groups(rest, lambda row: f"{row['quality']}: {_kind(row)}").items():
        yield from _memory_line(name, rows)
    yield ""
    yield from _fit_lines(all_grades)


def _fit_lines(rows: list[MemoryRow]) -> Iterable[str]:
    out = [row for row in rows if row.measured_gib is None and row.fits != "unknown"]
    ran = [row for row in rows if row.measured_gib and row.row["quality"] == "A" and row.fits != "unknown"]
    yield "| runs with a stated card | rows | called `no` | called `tight` | called `yes` |"
    yield "|---|---:|---:|---:|---:|"
    for name, some in (("out of memory, all grades", out), ("fitted, grade A", ran)):
        counts = " | ".join(str(sum(row.fits == fit for row in some)) for fit in ("no", "tight", "yes"))
        yield f"| {name} | {len(some)} | {counts} |"


def _speed_report(path: Path) -> Iterable[str]:
    rows, blind = speed_rows(path), leave_one_out_speed(path)
    yield "### Speed"
    yield ""
    yield from _head("grade A rows", "inside the stated range")
    yield from _speed_line("**all, as shipped**", rows)
    yield from _speed_line("**all, each source left out**", blind)
    for name, some in groups(blind, lambda row: row["source_id"]).items():
        yield from _speed_line(f"left out: {name}", some)
    for name, some in groups(rows, _speed_kind).items():
        yield from _speed_line(name, some)


def _head(what: str, last: str) -> Iterable[str]:
    yield f"| {what} | rows | median error | 90th percentile | mean error | {last} |"
    yield "|---|---:|---:|---:|---:|---:|"


def _memory_line(name: str, rows: list[MemoryRow]) -> Iterable[str]:
    measured = [row for row in rows if row.measured_gib]
    if measured:
        s = summary(measured)
        yield f"| {name} | {s.rows} | {s.median:.1%} | {s.p90:.1%} | {s.bias:+.1%} | {s.under:.1%} |"


def _speed_line(name: str, rows: list[SpeedRow]) -> Iterable[str]:
    if rows:
        s, covered = summary(rows), sum(row.covered for row in rows) / len(rows)
        yield f"| {name} | {s.rows} | {s.median:.1%} | {s.p90:.1%} | {s.bias:+.1%} | {covered:.0%} |"


def _plain(row: Row) -> bool:
    return "offload" not in row["parallelism"] and "torch" in row["mem_metric"]


def _kind(row: Row) -> str:
    quantised = "" if row["base_bits"] in ("16", "") else f" {row['base_bits']}-bit"
    gptq = " GPTQ" if quantised and "gptq" in (row["notes"] + row["precision"]).lower() else ""
    spread = "" if row["parallelism"].startswith("none") else f", {row['parallelism']}"
    return f"{row['source_id']}: {row['method']}{quantised}{gptq}{spread}"


def _speed_kind(row: Row) -> str:
    eight = " fp8" if "fp8" in row["precision"].lower() else ""
    return f"{row['source_id']}: {row['method']}{eight}, {row['gpu']}"


def updated(page: str, tables: str) -> str:
    """The page with its tables replaced."""
    before, rest = page.split(BEGIN, 1)
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{rest.split(END, 1)[1]}"


def main() -> None:
    """Print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description="Estimates beside published runs.")
    parser.add_argument("--memory", type=Path, default=DATA / "memory_measured.csv", help="another memory table")
    parser.add_argument("--throughput", type=Path, default=DATA / "throughput_measured.csv", help="another speed table")
    parser.add_argument("--update", type=Path, help="write the tables into this page (docs/sizing.md)")
    arguments = parser.parse_args()
    tables = report(arguments.memory, arguments.throughput)
    print(tables)
    if arguments.update:
        page = arguments.update.read_text(encoding="utf-8")
        arguments.update.write_text(updated(page, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
