"""How long a job trains: its tokens over the machine's speed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from ftsdk.sizing.catalogue import Card
from ftsdk.sizing.time.throughput import RATES, Speed, speed_of
from ftsdk.sizing.training_step import TrainingStep
from ftsdk.spec import JobSpec
from ftsdk.spec.method import ONLINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """How much there is to train on."""

    rows: int
    """Rows of the training data, before packing."""
    steps: int
    """Optimizer steps of the whole job."""
    total: int
    """Tokens over all steps."""
    source: str


def tokens_of(spec: JobSpec, num_rows: int | None, mean_tokens: float | None) -> Tokens | None:
    """Tokens and steps of the whole job; None when the data's statistics are not known."""
    hp, resources = spec.hyperparameters, spec.resources
    if mean_tokens is None or (num_rows is None and hp.max_steps is None):
        return None
    a_row = min(mean_tokens, hp.cutoff_len)
    rows = num_rows or 0
    packed = bool(hp.packing or hp.neat_packing)
    sequences = ceil(rows * a_row / hp.cutoff_len) if packed else rows
    a_sequence = hp.cutoff_len if packed else a_row
    devices = resources.num_nodes * resources.accelerators_per_node
    batch = hp.per_device_train_batch_size * hp.gradient_accumulation_steps * devices
    steps = hp.max_steps or max(1, ceil(ceil(sequences / batch) * hp.epochs))
    if hp.max_steps:
        total = hp.max_steps * batch * a_sequence
        source = "max_steps x batch x mean length"
    else:
        total = rows * a_row * hp.epochs
        source = "rows x mean length x epochs"
    return Tokens(rows=rows, steps=steps, total=round(total), source=source)


def pace_of(
    spec: JobSpec,
    step: TrainingStep,
    card: Card,
    mean_tokens: float | None,
    nodes: int,
    network_gb_s: float | None = None,
) -> Speed | None:
    """Speed at the length that a micro-step really has: full rows when packed, the mean otherwise.

    `network_gb_s` is the traffic between machines per accelerator; the tables' own rate if left out.
    """
    hp = spec.hyperparameters
    packed = bool(hp.packing or hp.neat_packing)
    if spec.method.stage in ONLINE:
        return None
    if mean_tokens is not None and not packed:
        step = replace(step, seq_len=max(1, min(step.seq_len, round(mean_tokens))))
    rates = RATES._replace(network_gb_s=network_gb_s) if network_gb_s else RATES
    fp8, micro_steps = bool(hp.passed_through.get("fp8")), hp.gradient_accumulation_steps
    speed = speed_of(step, card, nodes=nodes, fp8=fp8, rates=rates, micro_steps=micro_steps)
    spread = step.shape.spread
    return None if speed is None else replace(speed, low=speed.low / spread, high=speed.high * spread)


def hours_of(tokens: Tokens | None, pace: Speed | None, ways: int) -> tuple[float | None, float | None, float | None]:
    if tokens is None or pace is None:
        return None, None, None
    middle, fast, slow = (tokens.total / (rate * ways) / 3600 for rate in (pace.tokens_per_s, pace.high, pace.low))
    return middle, fast, slow
