"""Pieces of Markdown that the written pages are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def one_line(text: str | None) -> str:
    """Text without its line breaks."""
    return " ".join((text or "").split())


def slug(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def page(blocks: Iterable[str]) -> str:
    """Blocks of Markdown with an empty line between them."""
    return "\n\n".join(block for block in blocks if block) + "\n"
