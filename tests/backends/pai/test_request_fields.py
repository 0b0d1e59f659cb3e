"""The table of request fields is that of Alibaba Cloud's own client, and what is passed through is checked by it."""

from __future__ import annotations

import inspect
import re

import pytest

from ftsdk.backends import pai, passthrough
from ftsdk.errors import SpecError
from tests.golden.pai import plan

A10 = {"accelerator": "A10"}


def client_fields(model, prefix=""):
    """Dotted path -> kind of every field of a class of the client; of lists of objects, those of the nodes only."""
    from alibabacloud_pai_dlc20201203 import models

    source = inspect.getsource(model.to_map)
    for attribute, annotation in model.__init__.__annotations__.items():
        if attribute == "return":
            continue
        name = re.search(rf"result\['(\w+)'\] = \[\]\s+if self\.{attribute}\b|result\['(\w+)'\].*self\.{attribute}\b",
                         source)  # fmt: skip
        path = prefix + next(filter(None, name.groups()))
        nested = re.search(r"main_models\.(\w+)", str(annotation))
        is_list = "List" in str(annotation)
        if is_list or not nested:
            kind = "list" if is_list else "object" if "Dict" in str(annotation) else annotation
            yield path, kind
        if nested and (not is_list or path == "JobSpecs"):
            yield from client_fields(getattr(models, nested[1]), f"{path}.")


def test_the_table_is_the_clients():
    from alibabacloud_pai_dlc20201203.models import CreateJobRequest

    assert dict(client_fields(CreateJobRequest)) == dict(passthrough.fields_of(pai.__name__))


def test_fields_are_passed_through():
    given = {
        "request.Settings.EnableOssAppend": "true",
        "request.JobSpecs.SystemDisk.Category": "cloud_essd",
        "request.JobSpecs.LocalMountSpecs": '[{"LocalPath": "/a", "MountPath": "/b"}]',
        "request.Settings.AdvancedSettings.any.thing": "7",
        "request.Description": "12",
    }
    options = passthrough.gathered({"priority": 2, **given})
    assert set(options) == {"priority", "request"}
    request = plan(A10, options=options).request
    assert request["Settings"]["EnableOssAppend"] is True
    assert request["Settings"]["AdvancedSettings"] == {"any": {"thing": 7}}
    assert request["Description"] == "12"
    (worker,) = request["JobSpecs"]
    assert worker["SystemDisk"] == {"Category": "cloud_essd"}
    assert worker["LocalMountSpecs"] == [{"LocalPath": "/a", "MountPath": "/b"}]


def test_a_table_of_the_configuration_is_the_same():
    nested = {"request": {"Settings": {"EnableOssAppend": True}}}
    assert plan(A10, options=nested).request["Settings"]["EnableOssAppend"] is True


REFUSED = {
    "a slip": ("Settings.EnableOssApend", "true", "no such request field (did you mean 'Settings.EnableOssAppend'"),
    "a kind": ("Settings.EnableOssAppend", "yes", "should be JSON of kind bool"),
    "a number": ("Settings.JobReservedMinutes", "true", "should be int, not True"),
    "ours": ("DisplayName", "x", "ftsdk sets this field itself"),
    "ours in a node": ("JobSpecs.Image", "x", "ftsdk sets this field itself"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_values_that_the_service_would_refuse_are_refused(what):
    path, value, words = REFUSED[what]
    with pytest.raises(SpecError, match=re.escape(words)):
        plan(A10, options={"request": {path: value}})
