"""What is refused before a job is started: what cannot fit, and data with errors."""

from __future__ import annotations

from ftsdk.errors import DataError, UnsupportedError
from ftsdk.facts import Facts
from ftsdk.plan import Plan
from ftsdk.spec import JobSpec


def refuse_what_cannot_fit(plan: Plan) -> None:
    """Better now than after twenty paid minutes. Raises UnsupportedError with the smallest change that helps."""
    estimate = plan.estimate
    if estimate.fits != "no" or estimate.memory is None:
        return
    helps = [", ".join(estimate.advice.changes)] if estimate.advice else []
    helps += [f"a larger accelerator ({' or '.join(estimate.next_cards)})"] if estimate.next_cards else []
    remedy = " or ".join(helps) or "more accelerators"
    basis = f" (the model is {estimate.guess})" if estimate.guess else ""
    raise UnsupportedError(
        f"It cannot fit{basis}: about {estimate.memory.total_gib:.1f} GiB are needed on each accelerator and "
        f"{estimate.card} has {estimate.usable_gib:.1f}; what helps: {remedy} "
        f"(`ftsdk plan` shows every term, --no-size-check submits all the same)."
    )


def refuse_bad_data(spec: JobSpec, facts: Facts) -> None:
    """Better now than on a paid GPU. Raises DataError with the first errors; data elsewhere cannot be looked at."""
    from ftsdk.data.cache import check_summary
    from ftsdk.data.checks.report import CODES, FEW_ROWS
    from ftsdk.facts.sources import hashed_files

    train, held_out = hashed_files(facts.train), hashed_files(facts.eval)
    if not train:
        return
    summary = check_summary(train, held_out, method=spec.rows_method)
    if summary.verdict != "fail":
        return
    total = sum(count for code, count in summary.counts.items() if CODES[code][0] == "error")
    remedy = ", with --fix it writes a clean copy" if total <= FEW_ROWS * summary.num_rows else (
        "; so many mean that the format was not understood: say it with dataset.format and dataset.columns"
    )  # fmt: skip
    raise DataError(
        f"The data has {total} error{'s' if total > 1 else ''}: {'; '.join(summary.first)}. `ftsdk data check` lists "
        f"all{remedy}; --no-data-check submits all the same."
    )
