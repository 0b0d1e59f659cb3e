"""Values that are allowed but unusual: one sentence with the reason for each, and no error. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import log10
from typing import TYPE_CHECKING

from ftsdk.spec import JobSpec, Lora
from ftsdk.spec.rewards import OwnFunction

if TYPE_CHECKING:
    from ftsdk.facts import Facts

BETA = (0.1, 0.5)
"""Range that PAI's Model Gallery guide gives for `dpo_beta`."""
ALPHA_PER_RANK = (0.5, 2.0)
"""Range of lora_alpha over lora_rank in PAI's guide; LLaMA-Factory's own default is 2."""
ROWS_AND_EPOCHS = ((100, 15.0), (1_000, 10.0), (10_000, 2.0))
"""PAI's guide: (rows, epochs that go well with them). A rule of thumb."""
EPOCHS_WITHOUT_ROWS = 3.0
MANY_TIMES_THE_RULE = 2


def epochs_for(num_rows: int) -> float:
    """Epochs by the number of rows, between the rule's points on a logarithmic scale, as a whole number."""
    (least, most), *_, (many, few) = ROWS_AND_EPOCHS
    if num_rows <= least or num_rows >= many:
        return most if num_rows <= least else few
    (low, above), (high, below) = next(pair for pair in pairwise(ROWS_AND_EPOCHS) if num_rows <= pair[1][0])
    share = (log10(num_rows) - log10(low)) / (log10(high) - log10(low))
    return float(round(above + share * (below - above)))


def rows_of(spec: JobSpec, facts: Facts) -> int | None:
    """Training rows that are used; None if they are not known."""
    counts = [source.num_rows for source in facts.train]
    if None in counts:
        return None
    return sum(min(count or 0, spec.dataset.max_samples or count or 0) for count in counts)


def with_epochs(spec: JobSpec, facts: Facts) -> tuple[JobSpec, tuple[str, ...]]:
    """The spec with `num_train_epochs: auto` made a number, and a sentence that says so."""
    if spec.hyperparameters.num_train_epochs != "auto":
        return spec, ()
    rows = rows_of(spec, facts)
    epochs = EPOCHS_WITHOUT_ROWS if rows is None else epochs_for(rows)
    why = "an unknown number of rows" if rows is None else f"{rows:,} rows"
    given = spec.hyperparameters.model_copy(update={"num_train_epochs": epochs})
    note = f"num_train_epochs: auto is {epochs:g} for {why}, by a rule of thumb; set a number to choose yourself."
    return spec.model_copy(update={"hyperparameters": given}), (note,)


def notes(spec: JobSpec, facts: Facts) -> Iterator[str]:
    """One sentence for each value that published guides advise against."""
    beta = spec.method.beta
    if spec.method.stage == "dpo" and beta is not None and not BETA[0] <= beta <= BETA[1]:
        effect = "the model may drift far from its reference" if beta < BETA[0] else "the model hardly moves"
        yield f"method.beta {beta:g} is outside {BETA[0]}–{BETA[1]}: {effect}."
    tuning = spec.tuning
    if isinstance(tuning, Lora) and tuning.alpha is not None:
        low, high = (limit * tuning.rank for limit in ALPHA_PER_RANK)
        if not low <= tuning.alpha <= high:
            yield (
                f"tuning.alpha {tuning.alpha} is outside {low:g}–{high:g} (half to twice the rank {tuning.rank}): "
                f"the adapters' learning rate is scaled by alpha / rank."
            )
    yield from _epochs(spec, facts)
    yield from _code(spec)
    for source in (*facts.train, *facts.eval):
        if source.unused:
            yield f"{source.name}: the training does not use {', '.join(source.unused)}."
    if spec.hyperparameters.passed_through.get("push_to_hub") and "HF_TOKEN" not in spec.secrets:
        yield "push_to_hub needs a token inside the job: name HF_TOKEN in `secrets`."


def _epochs(spec: JobSpec, facts: Facts) -> Iterator[str]:
    rows, epochs = rows_of(spec, facts), spec.hyperparameters.epochs
    if spec.hyperparameters.max_steps or spec.method.stage == "pt" or rows is None:
        return
    usual = epochs_for(rows)
    if epochs > MANY_TIMES_THE_RULE * usual:
        yield (
            f"num_train_epochs {epochs:g} is much for {rows:,} rows (a rule of thumb says {usual:g}): "
            f"the model may learn them by heart; hold some out with dataset.eval_fraction and watch eval_loss."
        )


def _code(spec: JobSpec) -> Iterator[str]:
    """What runs in the job besides the trainer: its authors' code runs with the job's permissions and secrets."""
    if spec.hyperparameters.passed_through.get("trust_remote_code"):
        yield f"trust_remote_code: Python code in the repository of {spec.model} runs in the job; it is off by default."
    for reward in spec.method.rewards:
        if isinstance(reward, OwnFunction):
            yield f"method.rewards: the file {reward.path} runs in the job."
