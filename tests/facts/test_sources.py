"""dataset_info.json is honoured whole; what rows and arguments name travels with the job."""

from __future__ import annotations

import json

import pytest

from ftsdk.backends import get
from ftsdk.errors import DataError, SpecError, UnsupportedError
from ftsdk.facts import inspect
from ftsdk.spec.loading import parse

ROW = {"instruction": "Name a colour.", "input": "", "output": "Blue."}


@pytest.fixture
def registered(spec_folder):
    """Registers entries and files in `data/`, and plans on them."""
    data = spec_folder / "data"
    data.mkdir()

    def plan(entry, *, backend="docker", files=(), **fields):
        for name, rows in files or [("rows.json", [ROW] * 4)]:
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).write_text(json.dumps(rows) if isinstance(rows, list) else rows)
        (data / "dataset_info.json").write_text(json.dumps({"mine": entry}))
        given = {"model": "./model", "dataset": {"train": "mine", "directory": "data"}, **fields}
        spec = parse(given, where="t")
        return get(backend, {}).plan(spec, inspect(spec, folder=spec_folder))

    return plan


def test_every_field_of_an_entry_reaches_the_trainer(registered):
    said = {"subset": "en", "split": "validation", "num_samples": 3, "folder": "part",
            "columns": {"prompt": "instruction", "query": "input", "response": "output"}}  # fmt: skip
    made = registered({"file_name": "rows.json", **said}).document["dataset_info"]["mine"]
    assert made == {"file_name": "/ftsdk/inputs/data/0/rows.json", **said}


@pytest.mark.parametrize("key", ["hf_hub_url", "ms_hub_url", "om_hub_url"])
def test_an_entry_with_hub_and_file_uses_the_hub(registered, key):
    made = registered({key: "org/rows", "file_name": "not-here.json"}).document
    assert made["dataset_info"]["mine"][key] == "org/rows"
    assert not [file for file in made["inputs"] if "not-here" in file["path"]]


def test_a_folder_of_files_stays_a_folder(registered):
    files = [("many/a.json", [ROW]), ("many/b.json", [ROW, ROW])]
    plan = registered({"file_name": "many"}, files=files)
    inside = plan.document["dataset_info"]["mine"]["file_name"]
    staged = sorted(file["path"] for file in plan.document["inputs"] if "model" not in file["path"])
    assert staged == [f"{inside}/a.json", f"{inside}/b.json"]


def test_media_named_in_rows_become_inputs(registered, spec_folder):
    (spec_folder / "data" / "pictures").mkdir()
    (spec_folder / "data" / "pictures" / "1.jpg").write_bytes(b"jpeg")
    (spec_folder / "model" / "config.json").write_text('{"model_type": "qwen2_vl", "vision_config": {}}')
    rows = [{**ROW, "images": ["pictures/1.jpg"]}, {**ROW, "images": ["https://host/2.jpg"]}]
    columns = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
    plan = registered({"file_name": "rows.json", "columns": columns}, files=[("rows.json", rows)])
    folder = plan.trainer_config["media_dir"]
    assert f"{folder}/pictures/1.jpg" in [file["path"] for file in plan.document["inputs"]]
    assert registered(
        {"file_name": "rows.json", "columns": columns}, backend="local", files=[("rows.json", rows)]
    ).trainer_config["media_dir"] == str(spec_folder / "data")


def test_media_need_a_model_that_reads_them(registered, spec_folder):
    (spec_folder / "1.jpg").write_bytes(b"jpeg")
    columns = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
    (spec_folder / "data" / "1.jpg").write_bytes(b"jpeg")
    rows = [{**ROW, "images": ["1.jpg"]}, {**ROW, "images": None}]
    with pytest.raises(DataError, match=r"rows have images, and the model .* reads text only"):
        registered({"file_name": "rows.json", "columns": columns}, files=[("rows.json", rows)])
    registered({"file_name": "rows.json", "columns": columns}, files=[("rows.json", rows[1:])])


@pytest.mark.parametrize("name", ["../spec.key", "/etc/passwd", "pictures/../../spec.key"])
def test_files_outside_of_the_data_folder_are_refused(registered, spec_folder, name):
    """Data may come from elsewhere: it may name files of its own folder only."""
    (spec_folder / "spec.key").write_text("secret")
    refused = r"is outside of .*name it in `dataset.train` itself|the trainer cannot load /etc/passwd"
    with pytest.raises(SpecError, match=refused):
        registered({"file_name": name})
    rows = [{**ROW, "images": [name]}]
    columns = {"prompt": "instruction", "query": "input", "response": "output", "images": "images"}
    with pytest.raises(DataError, match=r"is outside of .*set media_dir"):
        registered({"file_name": "rows.json", "columns": columns}, files=[("rows.json", rows)])


def test_files_named_in_arguments_become_inputs(registered, spec_folder):
    (spec_folder / "tokens.yaml").write_text("'<x>': a new token\n")
    given = {"new_special_tokens_config": "tokens.yaml", "ref_model": "org/on-the-hub"}
    config = registered({"file_name": "rows.json"}, hyperparameters=given).trainer_config
    assert config["new_special_tokens_config"] == "/ftsdk/inputs/beside/0/tokens.yaml"
    assert config["ref_model"] == "org/on-the-hub"


@pytest.mark.parametrize(
    ("entry", "method", "kind", "says"),
    [
        ({"file_name": "gone.json"}, "sft", SpecError, "which is not there"),
        ({"file_name": "rows.gz"}, "sft", SpecError, "the trainer cannot load"),
        ({"file_name": "mixed"}, "sft", SpecError, "of several kinds"),
        ({"file_name": "rows.json", "formating": "sharegpt"}, "sft", SpecError, "did you mean 'formatting'"),
        ({"file_name": "rows.json", "columns": {"promt": "instruction"}}, "sft", SpecError, "did you mean 'prompt'"),
        ({"file_name": "rows.json", "formatting": "chatml"}, "sft", SpecError, "write alpaca, sharegpt or openai"),
        ({"file_name": "rows.json", "columns": {"prompt": "question"}}, "sft", DataError, "no column 'question'"),
        ({"file_name": "rows.json"}, "dpo", DataError, "needs preference pairs"),
        ({"file_name": "rows.json", "ranking": True}, "sft", DataError, "cannot train on preference pairs"),
        ({"file_name": "rows.json"}, "kto", DataError, "needs a column for kto_tag"),
        ({"script_url": "script"}, "sft", UnsupportedError, "runs no loading scripts"),
    ],
)
def test_files_that_the_trainer_cannot_load_are_refused(registered, entry, method, kind, says):
    files = [("rows.json", [ROW]), ("rows.gz", "x"), ("mixed/a.json", [ROW]), ("mixed/b.csv", "a,b\n1,2\n"),
             ("script/script.py", "pass\n")]  # fmt: skip
    with pytest.raises(kind, match=says):
        registered(entry, files=files, method=method)


def test_a_register_on_the_hub_is_read_in_the_job(registered):
    dataset = {"train": ["a", "b"], "directory": "REMOTE:org/register"}
    plan = registered({"file_name": "rows.json"}, dataset=dataset)
    assert plan.trainer_config["dataset_dir"] == "REMOTE:org/register"
    assert plan.trainer_config["dataset"] == "a,b"
