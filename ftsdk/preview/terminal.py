"""A preview as coloured text."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ftsdk.contract.previews import PreviewedRow, Segment, Side
from ftsdk.preview.preview import Preview

STYLES = {
    "system": "magenta",
    "prompt": "blue",
    "tool": "yellow",
    "thought": "cyan",
    "answer": "green",
    "padding": "bright_black",
}
"""Kind of a token -> its style. What is learned is underlined."""
NEWLINE = "⏎\n"


def as_text(made: Preview) -> Text:
    """All rows, with a legend above and the findings below."""
    text = Text()
    for kind, style in STYLES.items():
        text.append(f" {kind} ", style=f"{style} reverse").append(" ")
    text.append("learned", style="underline bold").append(" (underlined)\n")
    for item in made.rows:
        for piece in _item(item, made.special):
            text.append_text(piece)
    for sentence in made.findings:
        text.append(f"\n{sentence}", style="bold")
    return text


def heading(item: PreviewedRow) -> str:
    """`row 3`, or `rows 1, 7, 9 together`; text for pretraining is joined before it is cut into blocks."""
    if not item["rows"]:
        return "a block of text"
    numbers = ", ".join(str(row) for row in item["rows"])
    label = "" if "label" not in item else f" ({'desired' if item['label'] else 'undesired'})"
    return f"rows {numbers} together" if len(item["rows"]) > 1 else f"row {numbers}{label}"


def measure(side: Side) -> str:
    """Number of tokens, how many are learned and cut, and whether packed rows see each other."""
    words = [f"{side['num_tokens']:,} tokens", f"{side['num_learned']:,} learned"]
    if side["num_cut"]:
        words.append(f"{side['num_cut']:,} cut by cutoff_len")
    if "attention_crosses" in side:
        words.append("rows see each other" if side["attention_crosses"] else "rows do not see each other")
    return ", ".join(words)


def _item(item: PreviewedRow, special: frozenset[str]) -> Iterator[Text]:
    yield Text(f"\n{heading(item)}", style="bold")
    if item["dropped"]:
        yield Text(": dropped, the trainer reads no question and answer in it\n", style="red")
        return
    for side in item["sides"]:
        name = "" if side["name"] == "row" else f"{side['name']}: "
        yield Text(f"\n{name}{measure(side)}\n", style="dim")
        for segment in side["segments"]:
            yield _segment(segment, special)
        if side["num_cut"]:
            yield Text("✂", style="red bold")
        yield Text("\n")


def _segment(segment: Segment, special: frozenset[str]) -> Text:
    style = STYLES[segment["kind"]] + (" underline" if segment["learned"] else "")
    text = Text()
    if segment["kind"] == "padding":
        return text.append(f"[{len(segment['ids']):,} × padding]", style=style)
    for token in segment["tokens"]:
        text.append(token.replace("\n", NEWLINE), style=f"{style} reverse" if token in special else style)
    if "learned_as" in segment:
        text.append(f"[learned as {segment['learned_as']}]", style="bold")
    return text
