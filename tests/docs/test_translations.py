"""A page in another language says the same: the same commands, options and errors, headings and tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import blocks, is_translation, original, pages, prose

TRANSLATIONS = [page for page in pages() if is_translation(page)]
COMMENT = re.compile(r"\s+# .*")


def lines_of_blocks(page: Path) -> list[str]:
    found = (line for block in blocks(page, "bash", "toml", "text") for line in block.text.splitlines())
    return [COMMENT.sub("", line) for line in found]


def shape(page: Path) -> list[str]:
    """Headings by their level, rows of tables by their cells."""
    marked = (line for line in prose(page).splitlines() if line.startswith(("#", "|")))
    return [line.split()[0] if line[0] == "#" else "|" * line.count("|") for line in marked]


def code(page: Path) -> set[str]:
    """What stands between backticks."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"\n", " ", prose(page))))


@pytest.mark.parametrize("page", TRANSLATIONS, ids=lambda page: page.name)
def test_a_translation_has_the_same_structure_and_code(page):
    assert lines_of_blocks(page) == lines_of_blocks(original(page))
    assert shape(page) == shape(original(page))
    assert code(page) == code(original(page))
