"""The rows on which a converted model is compared with the one it was made from."""

from __future__ import annotations

from ftsdk.runtime.programs.trained.evaluator import read_rows, row_arguments
from ftsdk.runtime.worker_protocol import TrainJob

NUM_ROWS, MAX_TOKENS = 16, 1024
"""How many held-out rows are compared, and how many tokens of each at most."""


def compared_rows(job: TrainJob) -> list[list[int]] | None:
    """Token ids of the first held-out rows of the job's dataset; None if it has none."""
    if not job["document"]["config"].get("data"):
        return None
    _, rows = read_rows(row_arguments(job))
    return [row.input_ids[:MAX_TOKENS] for row in rows[:NUM_ROWS]]
