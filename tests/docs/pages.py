"""The Markdown pages and what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    kind: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every Markdown file of the project."""
    hidden = (path for path in ROOT.rglob("*.md") if not any(part[0] == "." for part in path.relative_to(ROOT).parts))
    return sorted(path for path in hidden if "build" not in path.parts)


def is_translation(page: Path) -> bool:
    """Whether it is another page in another language, e.g. `pai.zh.md`."""
    return page.stem != page.stem.partition(".")[0]


def original(page: Path) -> Path:
    """The page that a translation says the same as."""
    return page.with_name(f"{page.stem.partition('.')[0]}.md")


def blocks(page: Path, *kinds: str) -> Iterator[Block]:
    """The fenced blocks of these kinds, in their order."""
    text = page.read_text("utf-8")
    name = page.relative_to(ROOT).as_posix()
    for match in FENCE.finditer(text):
        if match["kind"] in kinds:
            yield Block(name, match["kind"], match["text"], text.count("\n", 0, match.start()) + 1)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text("utf-8"))
