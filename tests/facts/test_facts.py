"""inspect(): facts of what exists, an error for what does not."""

import gzip
import json
from pathlib import Path

import pytest

from ftsdk.errors import DataError, SpecError
from ftsdk.facts import inspect
from ftsdk.plan.build import digest_of
from ftsdk.spec.loading import parse


def look(folder, **fields):
    spec = parse({"model": "./model", "dataset": "train.jsonl", **fields}, where="t")
    return spec, inspect(spec, folder=folder)


def test_facts_have_rows_format_and_config_of_files(spec_folder):
    _, facts = look(spec_folder)
    assert facts.train[0].num_rows == 5
    assert facts.train[0].format == "alpaca"
    assert facts.model.config == {"model_type": "qwen2"}
    assert {file.path for file in facts.files} == {
        str(spec_folder / "model" / "config.json"),
        str(spec_folder / "train.jsonl"),
    }
    assert facts.unknown == ()


def test_a_hub_model_that_is_not_cached_is_listed_as_unknown(spec_folder):
    _, facts = look(spec_folder, model="Qwen/Qwen3-8B")
    assert facts.model.kind == "hub"
    assert any("Qwen/Qwen3-8B" in sentence for sentence in facts.unknown)


def test_the_digest_follows_the_content_and_not_the_place(spec_folder, tmp_path_factory):
    digest = digest_of(*look(spec_folder))
    copy = tmp_path_factory.mktemp("copy")
    (copy / "model").mkdir()
    (copy / "model" / "config.json").write_bytes((spec_folder / "model" / "config.json").read_bytes())
    (copy / "train.jsonl").write_bytes((spec_folder / "train.jsonl").read_bytes())
    assert digest_of(*look(copy)) == digest
    with (copy / "train.jsonl").open("a") as file:
        file.write('{"instruction": "one", "input": "", "output": "more"}\n')
    assert digest_of(*look(copy)) != digest
    assert digest_of(*look(spec_folder, hyperparameters={"seed": 1})) != digest


@pytest.mark.parametrize(
    "change",
    [
        {"timeout_hours": 2.0},
        {"checkpoint": {"every_steps": 5}},
        {"resources": {"memory_gb": 8.0, "spot": True}},
        {"tracking": {"wandb": "p"}, "secrets": ["WANDB_API_KEY"]},
    ],
)
def test_fields_that_do_not_change_the_model_keep_the_digest(spec_folder, change):
    assert digest_of(*look(spec_folder, **change)) == digest_of(*look(spec_folder))


def test_again_changes_the_digest(spec_folder):
    spec, facts = look(spec_folder)
    assert digest_of(spec, inspect(spec, folder=spec_folder, again=True)) != digest_of(spec, facts)


@pytest.mark.parametrize(
    ("fields", "kind", "says"),
    [
        ({"model": "./modle"}, SpecError, "no such folder"),
        ({"model": "qwen"}, SpecError, "hub id"),
        ({"dataset": "trian.jsonl"}, SpecError, "did you mean 'train.jsonl'"),
        ({"dataset": "*.csv"}, SpecError, "no such file"),
        ({"dataset": "ftp://host/x"}, SpecError, "ftp://"),
        ({"dataset": {"train": ["alpaca"], "directory": "."}}, SpecError, "dataset_info.json"),
        ({"dataset": "empty.jsonl"}, DataError, "empty.jsonl"),
        ({"dataset": "broken.jsonl"}, DataError, "3"),
        ({"method": "dpo"}, DataError, "'preference' rows"),
        ({"method": "kto"}, DataError, "'kto' rows"),
    ],
)
def test_missing_files_are_reported_in_one_sentence(spec_folder, fields, kind, says):
    (spec_folder / "empty.jsonl").touch()
    (spec_folder / "broken.jsonl").write_text('{"instruction": "a", "output": "b"}\n' * 2 + '{"instruction": \n')
    with pytest.raises(kind) as caught:
        look(spec_folder, **fields)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def packed(folder, name, content):
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return name


FILES = {
    "rows.csv": b"instruction,output,id\n007,NA,1\n,b,2\n",
    "rows.tsv": b"instruction\toutput\tid\n007\tNA\t1\n",
    "rows.jsonl.gz": b'{"instruction": "007", "output": "NA", "id": "1"}\n',
    "rows.json.gz": b'[\n {"instruction": "007",\n "output": "NA", "id": "1"}\n]',
}


@pytest.mark.parametrize("name", ["rows.tsv", "rows.jsonl.gz", "rows.json.gz"])
def test_a_file_that_the_trainer_cannot_load_is_converted(spec_folder, name):
    spec, facts = look(spec_folder, dataset=packed(spec_folder, name, FILES[name]))
    (source,) = facts.train
    converted = Path(source.entry["file_name"])
    assert json.loads(converted.read_text()) == {"instruction": "007", "output": "NA", "id": "1"}
    assert source.address == str(spec_folder / name)
    assert source.unused == ("column 'id' (1 rows)",)
    converted.write_text(converted.read_text() + "\n")  # another conversion of the same file is the same job
    assert digest_of(*look(spec_folder, dataset=name)) == digest_of(spec, facts)
    packed(spec_folder, name, FILES[name].replace(b"007", b"008"))
    assert digest_of(*look(spec_folder, dataset=name)) != digest_of(spec, facts)


def test_tool_calls_and_pairs_as_lists_are_converted(spec_folder):
    call = {"function": {"name": "f", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "1"}, {"role": "assistant", "content": "One.", "weight": 1},
    ]  # fmt: skip
    (spec_folder / "calls.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    _, facts = look(spec_folder, dataset="calls.jsonl")
    assert facts.train[0].entry["columns"] == {"messages": "conversations"}
    sides = {s: [{"role": "user", "content": "?"}, {"role": "assistant", "content": s}] for s in ("chosen", "rejected")}
    (spec_folder / "pairs.jsonl").write_text(json.dumps({"prompt": "?", **sides}) + "\n")
    _, facts = look(spec_folder, dataset="pairs.jsonl", method="dpo")
    assert facts.train[0].entry["ranking"]


def test_a_faulty_row_of_such_a_file_is_reported_in_one_sentence(spec_folder):
    with pytest.raises(DataError, match=r"rows\.csv, row 1, is not valid CSV"):
        look(spec_folder, dataset=packed(spec_folder, "rows.csv", b'instruction,output\n"a,b\n'))


def test_empty_names_of_columns_mean_unset(spec_folder):
    columns = {"prompt": "instruction", "query": "", "history": None, "response": "output"}
    info = {"mine": {"file_name": "train.jsonl", "columns": columns, "subset": None}}
    (spec_folder / "dataset_info.json").write_text(json.dumps(info))
    _, facts = look(spec_folder, dataset={"train": ["mine"], "directory": "."})
    assert facts.train[0].entry["columns"] == {"prompt": "instruction", "response": "output"}


def test_names_in_dataset_info_are_resolved(spec_folder):
    info = {"mine": {"file_name": "train.jsonl"}, "hub": {"hf_hub_url": "org/name"}}
    (spec_folder / "dataset_info.json").write_text(json.dumps(info))
    _, facts = look(spec_folder, dataset={"train": ["mine", "hub"], "directory": "."})
    assert facts.train[0].entry["file_name"] == str(spec_folder / "train.jsonl")
    assert facts.train[1].file is None


def test_facts_of_an_adapter_have_its_base_model(spec_folder):
    adapter = spec_folder / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(spec_folder / "model")}))
    _, facts = look(spec_folder, model="./adapter")
    assert facts.model.base == str(spec_folder / "model")
    assert facts.model.config == {"model_type": "qwen2"}
