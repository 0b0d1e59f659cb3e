"""The house rules of CONTRIBUTING.md that a program can measure; `pytest -rP` on this file prints the figures."""

from __future__ import annotations

from statistics import median, quantiles

from tests import house

MAX_FILES_IN_A_FOLDER = 15
MAX_LINES_IN_A_FILE = 400
MAX_LINES_IN_A_FUNCTION = 60
MAX_LINES_WITH = {"Any": 145, "dict[str, Any]": 30, "JsonObject": 100}
"""Upper bounds, to be lowered and never raised: give JSON that ftsdk writes a TypedDict, and what is only passed on the
type `object`; `JsonObject` (`ftsdk.contract.foreign`) is for JSON that others define."""
REASON_FOR_MORE_FILES = "More than fifteen files:"
SOURCES = ("ftsdk", "tests", "bench", "docs", "containers", "examples")


def test_no_circle_between_modules_not_even_by_imports_inside_functions():
    circles = house.circles(house.imports())
    print(f"{len(house.modules())} modules, {len(circles)} circles: {circles}")
    assert circles == []


def test_a_circle_is_detected():
    assert house.circles({"a": ["b"], "b": ["c"], "c": ["b"], "d": ["a"]}) == [["b", "c"]]


def test_imports_inside_functions_and_for_types_only_count():
    assert "ftsdk.demo" in house.imports()["ftsdk.cli.demo"]
    assert "ftsdk.jobs.job" in house.imports()["ftsdk"]


def test_a_folder_of_more_than_fifteen_files_says_why():
    large = {folder: size for folder, size in house.folder_sizes().items() if size > MAX_FILES_IN_A_FOLDER}
    silent = {
        str(folder.relative_to(house.ROOT)): size
        for folder, size in large.items()
        if REASON_FOR_MORE_FILES not in (folder / "__init__.py").read_text("utf-8")
    }
    print(f"folders of more than {MAX_FILES_IN_A_FOLDER} files without a reason: {silent}")
    assert silent == {}


def test_functions_are_short():
    lengths = [function.num_lines for function in house.functions()]
    p90 = quantiles(lengths, n=10)[-1]
    print(f"{len(lengths)} functions: median {median(lengths)} lines, 90th percentile {p90:.0f}, most {max(lengths)}")
    assert median(lengths) <= 8
    assert p90 <= 25
    assert [function for function in house.functions() if function.num_lines > MAX_LINES_IN_A_FUNCTION] == []


def test_files_are_short():
    lengths = house.file_lengths(*SOURCES)
    print(f"{len(lengths)} files, the longest has {max(lengths.values())} lines")
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES_IN_A_FILE} == {}


def test_a_class_name_means_one_thing():
    double = {name: where for name, where in house.class_names().items() if len(where) > 1}
    print(f"{len(double)} class names stand for several things: {double}")
    assert double == {}


def test_types_stay_true():
    counts = {text: house.lines_with(text) for text in MAX_LINES_WITH}
    print(f"lines with {counts}")
    assert {text: count for text, count in counts.items() if count > MAX_LINES_WITH[text]} == {}
