"""Limits on a job's time and cost: what is left of them, and whether an estimate exceeds them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.sizing import Estimate
from ftsdk.sizing.price.prices import over_budget
from ftsdk.spec import Budget


def price_of_job(
    budget: Budget, *, backend: str, num_nodes: int, options: Mapping[str, object], known: float | None
) -> float | None:
    """US dollars per hour for all machines: the option `price_usd_per_hour` for one, else the `known` price; None
    without both.

    Raises SpecError for a limit in US dollars without a price, UnsupportedError for a price above `max_usd_per_hour`.
    """
    given = options.get("price_usd_per_hour")
    machine = given if isinstance(given, int | float) else known
    limit = next((name for name in ("max_cost_usd", "max_usd_per_hour") if getattr(budget, name) is not None), None)
    if limit is not None and machine is None:
        raise SpecError(
            f"budget.{limit} needs a price, and none is known for these machines: give what one costs in an hour "
            f"(-o price_usd_per_hour=…, FTSDK_{backend.upper()}_PRICE_USD_PER_HOUR, or [{backend}] in ftsdk.toml), or "
            f"limit the hours with budget.max_hours."
        )
    price = None if machine is None else machine * num_nodes
    if price is not None and budget.max_usd_per_hour is not None and price > budget.max_usd_per_hour:
        raise UnsupportedError(
            f"budget.max_usd_per_hour {budget.max_usd_per_hour:g}: {num_nodes} × {machine:.4g} USD an hour is more; "
            f"take other machines (`ftsdk prices`), resources.spot, or another backend (`ftsdk plan --compare`)."
        )
    return price


def left_s(budget: Budget, usd_per_hour: float | None, *, hours: float = 0.0, cost_usd: float = 0.0) -> float | None:
    """Seconds that the next attempt may run after `hours` and `cost_usd` are used; at least 0, None without a limit."""
    left = []
    if budget.max_hours is not None:
        left.append(budget.max_hours - hours)
    if budget.max_cost_usd is not None and usd_per_hour:
        left.append((budget.max_cost_usd - cost_usd) / usd_per_hour)
    return 3600 * max(0.0, min(left)) if left else None


def warnings(budget: Budget, estimate: Estimate, usd_per_hour: float | None) -> tuple[str, ...]:
    """A sentence for each limit that the slow end of the estimate exceeds."""
    return tuple(f"budget: {sentence}" for sentence in _over(budget, estimate.hours_high, usd_per_hour))


def refuse_what_costs_more(budget: Budget, estimate: Estimate, usd_per_hour: float | None, *, now: float) -> None:
    """Raise UnsupportedError if even the fast end of the estimate exceeds a limit or ends after `finish_by`."""
    if (hours := estimate.hours_low) is None:
        return
    over = list(_over(budget, hours, usd_per_hour))
    if budget.finish_by is not None and now + 3600 * hours > budget.finish_by.timestamp():
        over.append(f"It takes {hours:.3g} h, longer than until budget.finish_by ({budget.finish_by.isoformat()}).")
    if over:
        raise UnsupportedError(
            f"Not within the budget, even if all goes fast: {' '.join(over)} Raise the limit, train on less, or submit "
            f"all the same with --no-size-check: it stops with a checkpoint when the budget is used."
        )


def _over(budget: Budget, hours: float | None, usd_per_hour: float | None) -> tuple[str, ...]:
    cost_usd = None if hours is None or usd_per_hour is None else hours * usd_per_hour
    return over_budget(hours=hours, cost_usd=cost_usd, max_hours=budget.max_hours, max_cost_usd=budget.max_cost_usd)
