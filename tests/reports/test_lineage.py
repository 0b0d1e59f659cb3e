"""What a published model says about where it comes from, and what reads it."""

import json
import subprocess
import uuid

import pytest

from ftsdk import Estimator, FtsdkError
from ftsdk.reports.ancestry import ancestry, openlineage_event
from ftsdk.reports.reproducing import compare_records, estimator_of, reproduce
from ftsdk.testing import tiny
from tests.cli.test_cli import ftsdk
from tests.reports.jobs import finished


def git(folder, *arguments):
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True)


def test_the_record_says_what_the_launcher_and_the_job_know(spec_folder):
    git(spec_folder, "init", "-q")
    git(spec_folder, "add", "train.jsonl")
    git(spec_folder, "commit", "-qm", "data")
    job = finished(spec_folder, name="first", hyperparameters={"seed": 11})
    record = json.loads((job.model().path / "ftsdk.json").read_text())
    assert record["job"] == job.uri
    assert record["spec"]["name"] == "first"
    assert (record["seed"], record["step"], record["metrics"]["loss"]) == (11, 10, 0.2)
    assert {(file["role"], file["name"]) for file in record["inputs"]} == {
        ("model", "config.json"),
        ("train", "train.jsonl"),
    }
    assert len(record["git"]["commit"]) == 40
    assert record["git"]["dirty"] is True  # the model's folder is not committed
    assert record["files"]["model.safetensors"]["bytes"] == 1000
    assert "ftsdk.json" not in record["files"]
    assert {"python", "ftsdk"} <= record["versions"].keys()
    assert record["machine"]["cpus"] > 0
    assert [attempt["number"] for attempt in record["attempts"]] == [1]
    assert record["cost_usd"] == pytest.approx(3.6 * record["hours"], abs=1e-4)


def test_lineage_shows_ancestors_and_descendants(spec_folder):
    first = finished(spec_folder, name="first")
    second = finished(spec_folder, name="second", model=first.uri, start=3.0)
    up = "\n".join(ancestry(second.model().lineage).lines())
    assert up.splitlines()[0].startswith(f"model {second.uri} (sft, lora rank 8, step 10)")
    assert f"└─ model {first.uri}" in up
    assert up.count("train train.jsonl") == 2
    assert "base model" in up
    shown = ftsdk("lineage", first.uri)
    assert f"used by {second.uri}" in shown.stdout
    assert "machine:" in shown.stdout
    data = json.loads(ftsdk("lineage", second.uri, "--json").stdout)
    assert data["record"]["parents"][0]["job"] == first.uri
    assert data["used_by"] == []


def test_the_lineage_of_a_base_model_does_not_change_the_digest(spec_folder):
    first = finished(spec_folder, name="first")
    fields = {"model": str(first.model().path), "dataset": "train.jsonl", "folder": spec_folder}
    before = Estimator(**fields).plan().digest
    record = first.model().path / "ftsdk.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "finished_at": 1.0}))
    assert Estimator(**fields).plan().digest == before


def test_an_openlineage_event_has_what_the_specification_requires(spec_folder):
    job = finished(spec_folder, name="first")
    event = openlineage_event(job.model().lineage)
    assert {"eventTime", "producer", "schemaURL", "run", "job"} <= event.keys()
    assert uuid.UUID(event["run"]["runId"]).version == 5
    assert event["outputs"] == [{"namespace": "ftsdk.local", "name": f"{job.uri}/model"}]
    assert json.loads(ftsdk("lineage", job.uri, "--openlineage").stdout) == event


def test_a_model_of_a_release_without_records_still_has_a_lineage(spec_folder):
    job = finished(spec_folder, name="first")
    (job.model().path / "ftsdk.json").unlink()
    document = json.loads(job.store.read("job.json"))
    del document["origin"]
    job.store.put("job.json", json.dumps(document).encode())
    old = type(job).attach(job.uri).model()
    assert old.lineage["name"] == job.name
    assert old.lineage["files"]["model.safetensors"]["bytes"] == 1000
    refused = ftsdk("reproduce", job.uri)
    assert (refused.returncode, "recorded no spec" in refused.stderr) == (2, True)


def test_a_downloaded_model_keeps_its_lineage(spec_folder, tmp_path):
    job = finished(spec_folder, name="first")
    folder = job.model().download(tmp_path / "mine")
    assert f"model {job.uri}" in ftsdk("lineage", str(folder)).stdout
    (folder / "ftsdk.json").write_text("{broken")
    refused = ftsdk("lineage", str(folder))
    assert (refused.returncode, "no readable ftsdk.json" in refused.stderr) == (2, True)


def test_evaluations_beside_the_model_are_part_of_its_lineage(spec_folder):
    job = finished(spec_folder, name="first")
    job.store.put("evaluations/held.json", b'{"metrics": {"perplexity": 3.5}}')
    assert job.model().lineage["evaluations"] == [{"name": "held", "metrics": {"perplexity": 3.5}}]


def test_differences_between_two_lineage_records_are_named(spec_folder):
    job = finished(spec_folder, name="first")
    record = job.model().lineage
    assert compare_records(record, record).equal
    changed = {
        **record,
        "seed": 5,
        "versions": {**record["versions"], "torch": "0.1"},
        "files": {"model.safetensors": {"bytes": 1000, "sha256": "0" * 64}},
    }
    found = compare_records(record, changed)
    assert found.explanation == "The weights are not equal; what differs: versions (torch); seed."
    assert found.versions["torch"] == (record["versions"].get("torch"), "0.1")
    (spec_folder / "train.jsonl").write_text('{"instruction": "a", "input": "", "output": "b"}\n')
    planned = estimator_of(record).plan()
    new = planned.document["origin"]["files"]
    assert compare_records(record, {**record, "inputs": new}).data.keys() == {"train/train.jsonl"}


def test_a_folder_with_files_is_no_place_for_a_download(spec_folder, tmp_path):
    model = finished(spec_folder, name="first").model()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("my own")
    with pytest.raises(FtsdkError, match="is not empty"):
        model.download(mine)
    assert [path.name for path in mine.iterdir()] == ["README.md"]
    (mine / "README.md").rename(mine / "notes.txt")
    other = finished(spec_folder, name="other", source="(output / 'adapter_model.safetensors').write_bytes(b'new')")
    model.download(mine, overwrite=True)
    other.model().download(mine, overwrite=True)
    assert sorted(path.name for path in mine.iterdir()) == ["adapter_model.safetensors", "ftsdk.json", "notes.txt"]
    refused = ftsdk("model", other.uri, "--download", str(mine))
    assert (refused.returncode, "--overwrite" in refused.stderr) == (1, True)
    assert ftsdk("model", other.uri, "--download", str(mine), "--overwrite").returncode == 0


def test_a_damaged_model_is_not_downloaded(spec_folder, tmp_path):
    model = finished(spec_folder, name="first").model()
    (model.path / "model.safetensors").write_bytes(b"x" * 1000)
    with pytest.raises(FtsdkError, match="SHA-256 differs"):
        model.download(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    assert not list(tmp_path.glob(".ftsdk*"))


@pytest.mark.trainer
def test_a_training_that_is_done_again_makes_the_same_weights(tiny_folder):
    steps = {"max_steps": 3, "logging_steps": 1, "cutoff_len": 32, "per_device_train_batch_size": 1}
    fields = {**tiny.spec_fields(tiny_folder), "hyperparameters": steps, "options": {"python": tiny.TRAINER_PYTHON}}
    job = Estimator(name="again", **fields).fit()
    done = reproduce(job.model().lineage)
    assert done.again != job.uri
    assert done.files == {"adapter_model.safetensors": True}
    assert "bit for bit" in done.explanation
    assert (done.versions, done.machine, done.data, done.seed, done.metrics) == ({}, {}, {}, None, {})
