"""Fewer processes than planned, with the same rows in each optimizer step."""

from __future__ import annotations

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.supervisor.node_checks import gpus
from ftsdk.runtime.supervisor.start import StartConfiguration

ACCUMULATION = "gradient_accumulation_steps"


def fitted(start: StartConfiguration) -> StartConfiguration:
    """The start for the GPUs that this machine has now, with a warning if they are fewer; else unchanged."""
    document = start.document
    planned, here = document["nproc_per_node"], gpus.count() if document.get("elastic") else None
    if not here or here >= planned or document["num_nodes"] > 1:
        return start
    fewer, processes = with_processes(document, here)
    warning = (
        f"{here} of {planned} GPUs are here: {processes} processes train with {fewer['config'][ACCUMULATION]} instead "
        f"of {document['config'].get(ACCUMULATION, 1)} accumulated micro-batches, so each step has the same rows."
    )
    return start._replace(document=fewer, warnings=(*start.warnings, warning))


def with_processes(document: JobDocument, at_most: int) -> tuple[JobDocument, int]:
    """The document with the most processes, up to a number, among which a step's micro-batches can be divided."""
    config = document["config"]
    micro_batches = config.get(ACCUMULATION, 1) * document["nproc_per_node"]
    processes = max(number for number in range(1, at_most + 1) if micro_batches % number == 0)
    changed = {**config, ACCUMULATION: micro_batches // processes}
    fewer: JobDocument = {**document, "nproc_per_node": processes, "config": changed}
    return fewer, processes
