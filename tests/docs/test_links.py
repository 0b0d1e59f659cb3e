"""Relative links in Markdown lead somewhere, headings included."""

import re

import pytest

from tests.docs.pages import ROOT, pages, prose

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
PATH = re.compile(r"`((?:ftsdk|tests|docs|bench|containers|estimators|examples)/[\w./-]*)`")
"""A path in the repository; one with a word in capitals is a pattern."""
PRESENT = [page for page in pages() if page.name != "CHANGELOG.md"]
"""Pages about what is there now."""
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def anchors(page):
    """The anchors that GitHub gives to a page's headings."""
    titles = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links(page):
    broken = []
    for match in LINK.finditer(prose(page)):
        path, _, anchor = match["target"].partition("#")
        if ":" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(match["target"])
    assert not broken


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_of_the_repository_exist(page):
    named = {path for path in PATH.findall(prose(page)) if not re.search(r"[A-Z]{3}", path.removesuffix("README.md"))}
    assert sorted(path for path in named if not (ROOT / path).exists()) == []
