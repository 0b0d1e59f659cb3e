"""The JSON of a preview: what the launcher sends to the trainer's interpreter, and what that answers.

This module travels inside the job, so it imports the standard library only.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from ftsdk.contract.documents import JobDocument


class PreviewRequest(TypedDict):
    """What to show."""

    document: JobDocument
    folder: str
    """Scratch folder."""
    first: int | None
    """How many rows; None for all."""
    only: int | None
    """Number of the only row, counted from 1."""


class Segment(TypedDict):
    """Neighbouring tokens of one kind, row and label."""

    kind: str
    """`system`, `prompt`, `tool`, `thought`, `answer` or `padding`."""
    learned: bool
    weight: float
    """Weight in the loss."""
    row: int
    ids: list[int]
    labels: list[int]
    """What the loss asks for at each token; -100 is nothing."""
    tokens: list[str]
    learned_as: NotRequired[str]
    """Text of the labels that are not the tokens themselves."""


class Side(TypedDict):
    """One sequence of tokens: a row, or its chosen or rejected answer."""

    name: str
    segments: list[Segment]
    num_tokens: int
    num_learned: int
    num_cut: int
    """Tokens that `cutoff_len` cuts off."""
    attention_crosses: NotRequired[bool]
    """Of packed rows: whether they see each other."""


class RowContents(TypedDict, total=False):
    """What a row holds before the template is applied."""

    has_system: bool
    has_tools: bool
    num_thoughts: list[int]
    """Of each side, the messages with thoughts in the template's words."""
    label: bool
    """KTO: whether the answer is desired."""


class PreviewedRow(RowContents):
    """A row, or what packing puts together."""

    rows: list[int]
    """Numbers of the rows, counted from 1."""
    sides: list[Side]
    dropped: bool


class PreviewAnswer(TypedDict):
    """Rows as the trainer sees them."""

    template: str | None
    """LLaMA-Factory's name of the chat template; None for the model's own."""
    num_rows: int
    """Rows of the data, before some are held out."""
    rows: list[PreviewedRow]
    findings: list[str]
    """What is unusual in these rows, a sentence each."""
    special: list[str]
    """Special tokens."""
    seconds: float
    """Time that the rows took once the trainer was imported and the data loaded."""
