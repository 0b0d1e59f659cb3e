"""Conditions of steps, such as `evaluate.exact_match > 0.8 and sft.eval_loss < 2`. Pure; nothing is executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from ftsdk.errors import SpecError

MAX_CHARACTERS: Final = 300
COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[float, float], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class Measure(NamedTuple):
    """A metric of a step, written `STEP.METRIC`."""

    step: str
    metric: str

    def __str__(self) -> str:
        return f"{self.step}.{self.metric}"


class Condition:
    """A comparison of metrics and numbers, or several joined by `and`, `or`, `not` and parentheses.

    Raises SpecError for anything else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._tree = _parsed(text)
        self.measures = tuple(dict.fromkeys(_measures(self._tree, text)))
        if not self.measures:
            raise SpecError(f"The condition {text!r} names no metric: write STEP.METRIC, such as {_EXAMPLE}.")

    def holds(self, values: Mapping[Measure, float]) -> bool:
        """Whether it is true for these values, of which it needs all that it names."""
        return _truth(self._tree, values)


_EXAMPLE: Final = "evaluate.exact_match > 0.8"


def measure_of(text: str) -> Measure:
    """Read `STEP.METRIC`. Raises SpecError."""
    step, mark, metric = text.partition(".")
    if not (mark and step.isidentifier() and metric.isidentifier()):
        raise SpecError(f"{text!r} is no metric of a step: write STEP.METRIC, such as evaluate.exact_match.")
    return Measure(step, metric)


def _parsed(text: str) -> ast.expr:
    if len(text) > MAX_CHARACTERS:
        raise SpecError(f"A condition has at most {MAX_CHARACTERS} characters (got {len(text)}).")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SpecError(f"The condition {text!r} cannot be read: write one such as {_EXAMPLE}.") from None


def _measures(node: ast.expr, text: str) -> Iterator[Measure]:
    """The metrics of a condition, which is checked on the way: it must compare."""
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                yield from _measures(value, text)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _measures(operand, text)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARISONS for op in ops):
            for side in (left, *others):
                yield from _operand(side, text)
        case _:
            raise _refusal(node, text)


def _operand(node: ast.expr, text: str) -> Iterator[Measure]:
    match node:
        case ast.Attribute(value=ast.Name(id=step), attr=metric):
            yield Measure(step, metric)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=inner) if isinstance(inner, ast.Constant):
            yield from _operand(inner, text)
        case ast.Constant(value=bool()):
            raise _refusal(node, text)
        case ast.Constant(value=int() | float()):
            pass
        case _:
            raise _refusal(node, text)


def _refusal(node: ast.expr, text: str) -> SpecError:
    return SpecError(
        f"The condition {text!r}: {ast.unparse(node)!r} is no comparison of metrics and numbers; write one such as "
        f"{_EXAMPLE}, joined by and, or, not."
    )


def _truth(node: ast.expr, values: Mapping[Measure, float]) -> bool:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_truth(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_truth(part, values) for part in parts)
        case ast.UnaryOp(operand=operand):
            return not _truth(operand, values)
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_number(side, values) for side in (left, *others)]
            pairs = zip(ops, sides, sides[1:], strict=False)
            return all(COMPARISONS[type(op)](before, after) for op, before, after in pairs)
    raise AssertionError(ast.dump(node))  # _measures has refused everything else


def _number(node: ast.expr, values: Mapping[Measure, float]) -> float:
    match node:
        case ast.Attribute(value=ast.Name(id=step), attr=metric):
            return values[Measure(step, metric)]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, values)
        case ast.UnaryOp(operand=operand):
            return _number(operand, values)
        case ast.Constant(value=int() | float() as number):
            return float(number)
    raise AssertionError(ast.dump(node))
