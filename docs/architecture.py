"""Draws docs/architecture.svg from the imports in the sources: rooms as boxes, arrows to what they import.

python -m docs.architecture            write it
python -m docs.architecture --check    exit code 1 if it is stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from tests import house

PICTURE = Path(__file__).with_name("architecture.svg")

ROOMS = {
    "cli": "parse, one call, print",
    "demo": "a whole training from nothing",
    "testing": "conformance suites, faults",
    "recipes": "specs as files",
    "ftsdk": "the names that users import",
    "estimator": "the face for Python users",
    "studies": "many jobs as one document",
    "reports": "compare, HTML, model card",
    "page": "the local web page",
    "jobs": "start, watch, retry, list",
    "backends": "where a job runs",
    "models": "the handle on what was made",
    "preview": "rows as the trainer sees them",
    "plan": "all that a submit would do",
    "engines": "spec → trainer's configuration",
    "facts": "the only look at the world",
    "data": "formats, checks, statistics",
    "sizing": "memory, time, price",
    "terminal": "progress, charts, tables",
    "storage": "objects, staging, records",
    "spec": "what to train: pure values",
    "runtime": "supervises inside the job",
    "home": "where ftsdk keeps its files",
    "errors": "every error and exit code",
    "contract": "names, lines, JSON of a job",
}
"""Room -> what is in it, in at most 30 characters. A room is a folder or a module directly below ftsdk/."""

LEFT, MIDDLE, RIGHT = range(3)
COLUMNS = {
    "testing": LEFT, "models": LEFT, "terminal": LEFT, "home": LEFT,
    "recipes": RIGHT, "sizing": RIGHT, "spec": RIGHT, "errors": RIGHT,
}  # fmt: skip
"""Where a room stands in its row; the middle if it is not named here and nothing else stands there."""

IN_THE_JOB = {"runtime", "contract"}
WIDTH, BOX_WIDTH, BOX_HEIGHT, ROW_HEIGHT, TOP = 900, 236, 48, 84, 16
GAP = (WIDTH - 3 * BOX_WIDTH) // 4
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; text-anchor: middle }
.name { font-weight: 600; font-size: 15px }
.page { fill: #ffffff }
.box { fill: #f6f8fa; stroke: #59636e }
.job { fill: #dff0e2; stroke: #1a7f37 }
.arrow { fill: none; stroke: #59636e; stroke-width: 1.5; marker-end: url(#head) }
.head { fill: #59636e }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .page { fill: #0d1117 }
  .box { fill: #212830; stroke: #9198a1 }
  .job { fill: #12351f; stroke: #3fb950 }
  .arrow { stroke: #9198a1 }
  .head { fill: #9198a1 }
}
"""

Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Box:
    """A room's place in the picture, in pixels; x and y are its upper left corner."""

    row: int
    column: int

    @property
    def x(self) -> int:
        return GAP + self.column * (BOX_WIDTH + GAP)

    @property
    def y(self) -> int:
        return TOP + self.row * ROW_HEIGHT

    @property
    def centre(self) -> int:
        return self.x + BOX_WIDTH // 2


# --- what is drawn --------------------------------------------------------------------------------------------
def room_of(module: str) -> str:
    """`ftsdk.data.checks.check` -> `data`; `ftsdk` itself is a room too, and `python -m ftsdk` is the command line."""
    room = module.split(".")[1] if "." in module else module
    return "cli" if room == "__main__" else room


def rooms() -> Graph:
    """Room -> the rooms that its modules import, inside functions and for types too."""
    graph: dict[str, set[str]] = {}
    for module, targets in house.imports().items():
        graph.setdefault(room_of(module), set()).update(room_of(target) for target in targets)
    return {room: frozenset(targets - {room}) for room, targets in graph.items()}


def shortest(graph: Graph) -> Graph:
    """Without the arrows that a longer way implies (the transitive reduction). The graph must have no circle."""

    @cache
    def below(room: str) -> frozenset[str]:
        return graph[room].union(*(below(target) for target in graph[room]))

    return {
        room: frozenset(target for target in targets if not any(target in below(other) for other in targets - {target}))
        for room, targets in graph.items()
    }


def rows(graph: Graph) -> dict[str, int]:
    """Room -> its row: 0 for what nothing imports, else one below the lowest room that imports it."""

    @cache
    def row(room: str) -> int:
        return max((row(other) + 1 for other, targets in graph.items() if room in targets), default=0)

    return {room: row(room) for room in graph}


def boxes(graph: Graph) -> dict[str, Box]:
    """Every room's place. Raises ValueError if four rooms stand in one row."""
    placed: dict[str, Box] = {}
    for room, row in sorted(rows(graph).items(), key=lambda item: (item[0] not in COLUMNS, item)):
        free = [column for column in (MIDDLE, RIGHT, LEFT) if Box(row, column) not in placed.values()]
        wanted = COLUMNS.get(room, MIDDLE)
        if not free:
            raise ValueError(f"{room}: its row holds three rooms already; give the picture a fourth column.")
        placed[room] = Box(row, wanted if wanted in free else free[0])
    return placed


# --- how it is drawn ------------------------------------------------------------------------------------------
def picture() -> str:
    """The whole SVG. Raises KeyError for a room that ROOMS does not describe."""
    graph = shortest(rooms())
    placed = boxes(graph)
    height = TOP + (max(box.row for box in placed.values()) + 1) * ROW_HEIGHT
    arrows = [(source, target) for source in sorted(graph) for target in sorted(graph[source])]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        "<title>The rooms of ftsdk and what they import</title>",
        f"<style>{STYLE}</style>",
        '<rect class="page" width="100%" height="100%"/>',
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0 8 4 0 8Z"/></marker>',
        *(_arrow(placed, graph, source, target) for source, target in arrows),
        *(_box(room, box) for room, box in sorted(placed.items())),
        "</svg>",
        "",
    ])  # fmt: skip


def _box(room: str, box: Box) -> str:
    name = "ftsdk/__init__" if room == "ftsdk" else room
    kind = "job" if room in IN_THE_JOB else "box"
    return (
        f'<rect class="{kind}" x="{box.x}" y="{box.y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
        f'<text class="name" x="{box.centre}" y="{box.y + 20}">{name}</text>'
        f'<text x="{box.centre}" y="{box.y + 38}">{escape(ROOMS[room])}</text>'
    )


def _arrow(placed: Mapping[str, Box], graph: Graph, source: str, target: str) -> str:
    """Straight down to the next row; past rows between in the lane beside the source's column."""
    start, end = placed[source], placed[target]
    x1 = _port(placed, source, target, graph[source])
    x2 = _port(placed, target, source, [room for room in graph if target in graph[room]])
    y1, y2 = start.y + BOX_HEIGHT, end.y - 1
    if end.row == start.row + 1:
        return _path(f"M{x1} {y1}{_curve(x1, y1, x2, y2)}")
    side = -1 if (end.column, start.column) < (start.column, MIDDLE) else 1
    lane = start.centre + side * (BOX_WIDTH + GAP) // 2 + (x1 - start.centre) // 12
    top, bottom = y1 + ROW_HEIGHT - BOX_HEIGHT, y2 - (ROW_HEIGHT - BOX_HEIGHT)
    return _path(f"M{x1} {y1}{_curve(x1, y1, lane, top)} V{bottom}{_curve(lane, bottom, x2, y2)}")


def _port(placed: Mapping[str, Box], room: str, other: str, others: frozenset[str] | list[str]) -> int:
    """Where on a box's edge an arrow ends: all of an edge are spread over it in the order of their other ends."""
    ordered = sorted(others, key=lambda one: (placed[one].column, placed[one].row))
    return placed[room].x + BOX_WIDTH * (ordered.index(other) + 1) // (len(ordered) + 1)


def _curve(x1: int, y1: int, x2: int, y2: int) -> str:
    middle = (y1 + y2) // 2
    return f" C{x1} {middle} {x2} {middle} {x2} {y2}"


def _path(line: str) -> str:
    return f'<path class="arrow" d="{line}"/>'


def main() -> int:
    """Write the picture, or with --check say whether it is stale."""
    parser = argparse.ArgumentParser(prog="python -m docs.architecture", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the picture is stale")
    check = parser.parse_args().check
    drawn = picture()
    if not check:
        PICTURE.write_text(drawn, "utf-8")
    elif not PICTURE.is_file() or PICTURE.read_text("utf-8") != drawn:
        sys.stderr.write(f"docs/{PICTURE.name} is stale: run python -m docs.architecture\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
