"""A preview as one HTML file without anything around it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ftsdk.contract.previews import PreviewedRow, Segment
from ftsdk.preview.preview import Preview
from ftsdk.preview.terminal import heading, measure

COLOURS = {
    "system": "#e9d8fd",
    "prompt": "#dbeafe",
    "tool": "#fef3c7",
    "thought": "#cffafe",
    "answer": "#dcfce7",
    "padding": "#e5e7eb",
}
STYLE = """
body { font: 15px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #111; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.9 ui-monospace, monospace; }
span { border-radius: 3px; } .learned { border-bottom: 2px solid #15803d; } .special { font-weight: 700; }
h2 { font-size: 1rem; margin: 2rem 0 0; } p { margin: .2rem 0; color: #444; } .cut { color: #b91c1c; }
"""


def as_html(made: Preview, title: str) -> str:
    """The page."""
    colours = "".join(f".{kind} {{ background: {colour}; }}\n" for kind, colour in COLOURS.items())
    legend = " ".join(f'<span class="{kind}">{kind}</span>' for kind in COLOURS)
    findings = "".join(f"<li>{escape(sentence)}</li>" for sentence in made.findings)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{STYLE}{colours}</style>\n<h1>{escape(title)}</h1>\n"
        f'<p>{legend} <span class="learned">learned</span></p>\n<ul>{findings}</ul>\n'
        f"{''.join(part for item in made.rows for part in _item(item, made.special))}</html>\n"
    )


def _item(item: PreviewedRow, special: frozenset[str]) -> Iterator[str]:
    yield f"<h2>{heading(item)}</h2>\n"
    if item["dropped"]:
        yield '<p class="cut">dropped: the trainer reads no question and answer in it</p>\n'
    for side in item["sides"]:
        name = "" if side["name"] == "row" else f"{escape(side['name'])}: "
        body = "".join(_segment(segment, special) for segment in side["segments"])
        cut = '<b class="cut">✂</b>' if side["num_cut"] else ""
        yield f"<p>{name}{measure(side)}</p>\n<pre>{body}{cut}</pre>\n"


def _segment(segment: Segment, special: frozenset[str]) -> str:
    classes = segment["kind"] + (" learned" if segment["learned"] else "")
    if segment["kind"] == "padding":
        return f'<span class="padding">{len(segment["ids"]):,} × padding</span>'
    tokens = "".join(
        f'<b class="special">{escape(token)}</b>' if token in special else escape(token) for token in segment["tokens"]
    )
    instead = f", learned as {segment['learned_as']}" if "learned_as" in segment else ""
    title = escape(f"{segment['kind']}, row {segment['row']}, weight {segment['weight']:g}{instead}")
    return f'<span class="{classes}" title="{title}">{tokens}</span>'
