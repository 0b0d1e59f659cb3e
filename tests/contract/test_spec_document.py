"""The TypedDict of the spec as JSON has the fields of JobSpec, and its parts name fields that the parts have."""

import typing

from ftsdk.contract.spec_document import SpecDocument
from ftsdk.spec import JobSpec


def names(typed_dict):
    return typed_dict.__required_keys__ | typed_dict.__optional_keys__


def test_every_field_of_jobspec_is_in_spec_document():
    assert names(SpecDocument) == set(JobSpec.model_fields)


def test_json_of_a_spec_has_the_fields_of_each_part():
    spec = JobSpec(model="a/b", dataset="rows.jsonl", program={"type": "evaluate"}).to_json()
    parts = {name: part for name, part in typing.get_type_hints(SpecDocument).items() if typing.is_typeddict(part)}
    assert set(parts) == {"method", "dataset", "resources", "budget", "program"}
    assert {name: names(part) - set(spec[name]) for name, part in parts.items()} == {name: set() for name in parts}
