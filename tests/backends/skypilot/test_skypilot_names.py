"""Our tables of SkyPilot's names and task fields agree with the SkyPilot that is installed for the tests."""

from __future__ import annotations

import pytest

from ftsdk.backends import passthrough, skypilot
from ftsdk.sizing.catalogue import cards
from ftsdk.sizing.skypilot_names import card_in_skypilot, skypilot_name
from tests import slurm

pytestmark = pytest.mark.skypilot
THEIRS = """
import json
from sky import catalog
from sky.catalog.data_fetchers import fetch_lambda_cloud
from sky.utils import gpu_names
names = {*gpu_names.CANONICAL_GPU_NAMES, *catalog.get_common_gpus()}
mib = {name: size for name, size in fetch_lambda_cloud.GPU_TO_MEMORY.items() if size}
mib |= {name: 1024 * gib for name in names if (gib := gpu_names.get_gpu_device_memory_gib(name))}
print("\\n" + json.dumps({"names": sorted(names), "mib": mib}))
"""
FIELDS = """
import json
from sky.utils import schemas
KINDS = {"string": "str", "boolean": "bool", "number": "float", "integer": "int", "array": "list", "object": "object"}
def kinds(schema, prefix=""):
    shown = {name: one for name, one in schema["properties"].items() if not name.startswith("_")}
    def kind(one):
        return KINDS[one["type"]] if isinstance(one.get("type"), str) else "any"
    return {prefix + name: kind(one) for name, one in shown.items()}
print(json.dumps({**kinds(schemas.get_task_schema()), **kinds(schemas.get_resources_schema(), "resources.")}))
"""
NOT_A_TRAINING = {"service", "pool", "inputs", "outputs", "file_mounts_mapping", "resources", "secrets"}
"""Fields of a task that are of a serving, of SkyPilot itself, or written by ftsdk alone."""


def test_names_mean_the_same_card():
    theirs = slurm.ask_sky(THEIRS)
    shared = {card.name: skypilot_name(card.name) for card in cards().values()}
    shared = {ours: name for ours, name in shared.items() if name in theirs["names"]}
    assert {"A100-40GB", "A100-80GB", "H100-80GB", "H200", "L4", "T4", "V100-16GB", "V100-32GB"} <= shared.keys()
    for ours, name in shared.items():
        assert card_in_skypilot(name).name == ours
        if name in theirs["mib"]:
            assert cards()[ours.lower()].usable_gib == pytest.approx(theirs["mib"][name] / 1024, rel=0.15), name


def test_the_table_of_task_fields_is_skypilots():
    theirs = {name: kind for name, kind in slurm.ask_sky(FIELDS).items() if name not in NOT_A_TRAINING}
    assert theirs == dict(passthrough.fields_of(skypilot.__name__))
