"""Dataclasses are read from the JSON that `asdict` made of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import pytest

from ftsdk.contract.json_data import from_data


@dataclass(frozen=True)
class Part:
    name: str
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Whole:
    first: Part
    second: Part | None
    others: tuple[Part, ...] = ()
    by_name: Mapping[str, Part] = field(default_factory=dict)
    plain: Mapping[str, object] = field(default_factory=dict)
    hours: float = 0.5


WHOLE = Whole(
    first=Part("a", (1, 2)),
    second=Part("b"),
    others=(Part("c"), Part("d", (3,))),
    by_name={"e": Part("e", (4,))},
    plain={"list": [1, {"x": None}]},
    hours=2,
)


@pytest.mark.parametrize("whole", [WHOLE, Whole(first=Part("a"), second=None)])
def test_nested_dataclasses_are_read_back(whole):
    assert from_data(Whole, json.loads(json.dumps(asdict(whole)))) == whole


def test_an_integer_in_a_float_field_stays_an_integer():
    assert repr(from_data(Whole, asdict(WHOLE)).hours) == "2"


def test_an_absent_field_has_its_default_and_an_unknown_key_is_ignored():
    assert from_data(Part, {"name": "a", "written_by_a_later_release": 1}) == Part("a")


def test_an_absent_field_without_a_default_raises_type_error():
    with pytest.raises(TypeError, match="name"):
        from_data(Part, {})
