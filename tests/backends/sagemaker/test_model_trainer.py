"""What the vendor's own SDK requests for the same work, over HTTP: every difference stands on the page.

`model_trainer.json` is what its ModelTrainer sent; `python -m tests.backends.sagemaker.test_model_trainer` records it
anew with the real one, and the `long` test checks that nothing has changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ftsdk import backends
from ftsdk.facts import inspect
from ftsdk.jobs.submit import submit
from ftsdk.spec.loading import parse
from tests.backends.sagemaker import sdk
from tests.backends.sagemaker.account import options
from tests.emulators.sagemaker import KEYS, SageMakerCloud

HERE = Path(__file__).parent
RECORDED = HERE / "model_trainer.json"
PAGE = HERE.parents[2] / "docs" / "backends" / "sagemaker.md"
IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/ours:1"
KMS_KEY = "arn:aws:kms:us-west-2:123456789012:key/0123abcd"
SOLD_OUT = {"ml.g5.2xlarge", "ml.g6.2xlarge", "ml.p3.16xlarge"}
"""So that the emulator runs nothing: the requests are what we want."""

WORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one-gpu": (
        {"timeout_hours": 12.0, "env": {"TOKENIZERS_PARALLELISM": "false"}},
        {"instance_type": "ml.g5.2xlarge", "tags": {"team": "nlp"}},
    ),
    "spot-nodes": (
        {
            "timeout_hours": 12.0,
            "resources": {"num_nodes": 2, "accelerators_per_node": 8, "spot": True, "disk_gb": 500},
        },
        {
            "instance_type": "ml.p3.16xlarge",
            "max_wait_hours": 36.0,
            "retries": 2,
            "subnets": ("subnet-0a1b2c3d",),
            "security_groups": ("sg-0a1b2c3d",),
            "encrypt_traffic": True,
            "kms_key": KMS_KEY,
        },
    ),
    "isolated-warm": (
        {"resources": {"disk_gb": 200}},
        {
            "instance_type": "ml.g6.2xlarge,ml.g5.2xlarge",
            "keep_alive_minutes": 30,
            "network_isolation": True,
            "input_mode": "FastFile",
        },
    ),
}
"""Name -> our spec's fields and options; sdk_model_trainer.py has the same works in its words."""


# --- what is sent --------------------------------------------------------------------------------------------
def opened() -> SageMakerCloud:
    cloud = SageMakerCloud()
    cloud.make_account()
    cloud.sold_out = set(SOLD_OUT)
    return cloud


def requests_of(cloud: SageMakerCloud) -> dict[str, dict[str, Any]]:
    """Work -> what came over HTTP, each job's own name in it as NAME."""
    found = {}
    for name, job in cloud.jobs.items():
        work = next(work for work in WORKS if name.startswith(work))
        own = re.escape(name.removesuffix("-a1"))
        found[work] = json.loads(re.sub(own, "NAME", json.dumps(job.request)))
    return found


def recording(folder: Path) -> dict[str, Any]:
    """What ModelTrainer sends, and its version."""
    for name, text in {"model/config.json": "{}", "data/train.jsonl": "{}", "code/train.yaml": "{}"}.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text, "utf-8")
    cloud = opened()
    try:
        said = "from importlib.metadata import version; print(version('sagemaker'))"
        version = sdk.run(cloud, folder, "-c", said).strip()
        sdk.run(cloud, folder, str(HERE / "sdk_model_trainer.py"), str(folder))
        return {"version": version, "requests": requests_of(cloud)}
    finally:
        cloud.close()


@pytest.fixture
def cloud(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    cloud = opened()
    yield cloud
    cloud.close()


# --- how they differ -----------------------------------------------------------------------------------------
def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(place, text) of everything in a request; what has a name or a key has its place by that, not by its number."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, item in enumerate(value):
            named = next((name for name in ("ChannelName", "Key", "Name") if name in item), None)
            rest = {key: said for key, said in item.items() if key != named}
            yield from leaves(rest, f"{path}[{item[named] if named else number}]")
    else:
        yield path, " ".join(value) if isinstance(value, list) else json.dumps(value).strip('"')


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> set[tuple[str, str, str]]:
    """(place, ours, theirs) where they are not the same; `–` is what is not there."""
    one, other = dict(leaves(ours)), dict(leaves(theirs))
    paths = [path for path in (*one, *other) if one.get(path) != other.get(path)]
    return {(path, one.get(path, "–"), other.get(path, "–")) for path in paths}


def rows() -> list[tuple[str, str, str]]:
    """The table on the page, its cells as patterns: `…` is anything."""
    _, _, behind = PAGE.read_text("utf-8").partition("<!-- differences -->")
    table = [line for line in behind.lstrip().partition("\n\n")[0].splitlines() if line.startswith("| `")]
    cells = ([cell.strip().strip("`") for cell in line.split(" | ")] for line in table)
    return [(row[0].removeprefix("| `"), row[1], row[2]) for row in cells]


def fits(row: tuple[str, str, str], difference: tuple[str, str, str]) -> bool:
    patterns = (re.escape(cell).replace("…", ".*") for cell in row)
    return all(re.fullmatch(pattern, text) for pattern, text in zip(patterns, difference, strict=True))


def test_the_page_explains_every_difference_from_model_trainer(cloud, spec_folder):
    for name, (fields, given) in WORKS.items():
        spec = parse({"name": name, "model": "model", "dataset": "train.jsonl", **fields}, where="test")
        place = backends.get("sagemaker", options(cloud, image=IMAGE, **given).model_dump())
        submit(place.plan(spec, inspect(spec, folder=spec_folder)), place, secrets={}, on_attach=print)
    ours, theirs = requests_of(cloud), json.loads(RECORDED.read_text("utf-8"))["requests"]
    assert ours.keys() == theirs.keys() == WORKS.keys()
    found = {difference for work in WORKS for difference in differences(ours[work], theirs[work])}
    table = rows()
    assert sorted(d for d in found if not any(fits(row, d) for row in table)) == []
    assert [row for row in table if not any(fits(row, d) for d in found)] == []


@pytest.mark.long
def test_model_trainer_still_sends_what_was_recorded(tmp_path):
    assert recording(tmp_path) == json.loads(RECORDED.read_text("utf-8"))


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        RECORDED.write_text(json.dumps(recording(Path(folder)), indent=1) + "\n", "utf-8")
