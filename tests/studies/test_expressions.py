"""Conditions of steps: what they mean, and what is none."""

import pytest

from ftsdk import SpecError
from ftsdk.studies.pipelines.expressions import Condition, Measure, measure_of

VALUES = {Measure("evaluate", "exact_match"): 0.75, Measure("sft", "eval_loss"): 1.5}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("evaluate.exact_match > 0.7", True),
        ("evaluate.exact_match>=0.75 and sft.eval_loss<1.5", False),
        ("evaluate.exact_match > 0.9 or sft.eval_loss <= 1.5", True),
        ("not (evaluate.exact_match == 0.75)", False),
        ("not evaluate.exact_match > 0.9 and sft.eval_loss != 2", True),
        ("-1 < evaluate.exact_match < sft.eval_loss", True),
        ("evaluate.exact_match > -.5", True),
        ("0.5 < evaluate.exact_match < 0.7", False),
    ],
)
def test_a_condition_compares_metrics_and_numbers(text, holds):
    assert Condition(text).holds(VALUES) is holds


def test_the_metrics_of_a_condition_are_named_once():
    condition = Condition("a.x > 1 and (b.y < a.x or not a.x > 3)")
    assert condition.measures == (Measure("a", "x"), Measure("b", "y"))


@pytest.mark.parametrize(
    "text",
    [
        "", "evaluate.exact_match", "evaluate.exact_match >", "1 < 2", "a.x > 'text'", "a.x > True", "a.b.c > 1",
        "__import__('os').system('true') > 1", "a.x + 1 > 2", "(lambda: 1)() > a.x", "a.x in (1, 2)", "a.x > b",
        "f(a.x) > 1", "a.x if a.x > 1 else a.x", "a.x := 3", "a.x > 1; b.y", "a[0] > 1", "not a.x", "a.x > 1j",
        "a.x > 1 and True", "(" * 200 + "a.x > 1" + ")" * 200, "a.x > 1 and " * 40 + "a.x > 1", "\0", "-(a.x) > 1",
    ],
)  # fmt: skip
def test_an_invalid_condition_is_refused_in_one_sentence(text):
    with pytest.raises(SpecError, match="condition"):
        Condition(text)


def test_a_measure_is_a_step_and_a_metric():
    assert measure_of("evaluate.f1") == Measure("evaluate", "f1")
    for text in ("f1", "evaluate.", ".f1", "a.b.c", "a b.c"):
        with pytest.raises(SpecError, match=r"write STEP\.METRIC"):
            measure_of(text)
