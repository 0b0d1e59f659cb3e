"""A model that is published: what goes out, what stays here, and to where."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from ftsdk import AuthError, BackendError, FtsdkError, SpecError
from ftsdk.models.card import model_card
from ftsdk.models.licences import licence_of
from ftsdk.models.pushing import UNFINISHED, Publication, digest_of, public_contents
from ftsdk.storage.store import open_store
from tests.cli.test_cli import ftsdk
from tests.models.hub_server import TOKEN, Hub
from tests.reports.jobs import TRAINS, finished

ADAPTER = """
(output / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": config["model_name_or_path"]}))
(output / "adapter_model.safetensors").write_bytes(bytes(5000))
"""


@pytest.fixture
def model(spec_folder):
    """An adapter whose files name paths of this machine."""
    job = finished(spec_folder, name="shown", source=TRAINS + ADAPTER, env={"WHERE": "/srv/inside"}, output="runs")
    job.store.put("evaluations/held.json", b'{"metrics": {"perplexity": {"value": 3.5, "verdict": "better"}}}')
    return job.model()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub on loopback; its client reads the variables when it is imported, so a push is another process."""
    server = Hub()
    variables = {"HF_ENDPOINT": server.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf")}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


def test_a_folder_gets_the_model_a_card_and_no_private_path(model, spec_folder, tmp_path):
    assert model.push(str(tmp_path / "out")).endswith("/out")
    out = tmp_path / "out"
    names = {"README.md", "adapter_config.json", "adapter_model.safetensors", "ftsdk.json", "model.safetensors"}
    assert names <= {path.name for path in out.iterdir()}
    assert ".ftsdk-push" not in {path.name for path in out.iterdir()}
    for path in out.iterdir():
        for private in (str(spec_folder), os.environ["FTSDK_HOME"], "/srv/inside"):
            assert private.encode() not in path.read_bytes(), path.name
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == "model"
    record = json.loads((out / "ftsdk.json").read_text())
    assert record["spec"]["dataset"]["train"] == ["train.jsonl"]
    assert {"folder", "options", "job"}.isdisjoint(record)
    assert f"model {model.job_uri.rpartition('/')[2]}" in ftsdk("lineage", str(out)).stdout


def test_the_model_card_has_the_lineage(model):
    state = (model.path / "trainer_state.json").read_bytes()
    card = model_card(model.lineage, name="shown", adapter=True, state=state)
    header = yaml.safe_load(card.split("---")[1])
    assert header["library_name"] == "peft"
    assert header["tags"] == ["ftsdk", "sft"]
    assert "base_model" not in header  # it is a folder of this machine
    for part in ("Intended use", "author", "train.jsonl", "cutoff_len", "| 10 | 0.2 | 0.7 |", "perplexity", "USD"):
        assert part in card, part
    assert "made by the trainer" not in card


def test_a_push_does_not_overwrite_a_model(model, tmp_path):
    out = tmp_path / "out"
    model.push(str(out))
    with pytest.raises(FtsdkError, match="holds a model already"):
        model.push(str(out))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("my own")
    with pytest.raises(FtsdkError, match="is not empty"):
        model.push(str(mine))
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]
    model.push(str(mine), overwrite=True)
    assert (mine / "notes.txt").read_text() == "my own"


@pytest.mark.parametrize(
    ("to", "problem"), [("hf:", "names no place"), ("hf:just-a-name", "hf:ORG/NAME"), ("oci://x/y", "ftsdk pushes to")]
)
def test_an_invalid_push_target_is_reported_in_one_sentence(model, to, problem):
    with pytest.raises(SpecError, match=problem):
        model.push(to)


def test_secrets_are_not_published(model, tmp_path, monkeypatch):
    (model.path / "trainer_state.json").write_text(json.dumps({"log_history": [], "note": "hf_" + "a" * 34}))
    with pytest.raises(FtsdkError, match=r"trainer_state.json of the model holds a secret"):
        model.push(str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    (model.path / "trainer_state.json").write_text(json.dumps({"log_history": [], "note": "tell-nobody"}))
    monkeypatch.setenv("MY_SERVICE_TOKEN", "tell-nobody")
    with pytest.raises(FtsdkError, match="holds a secret"):
        model.push(str(tmp_path / "out"))


def test_a_bucket_gets_the_same_and_what_a_killed_push_left_is_not_sent_again(model, s3):
    place = f"{s3.address}/pushed"
    model.push(place)
    store = open_store(place)
    assert json.loads(store.read("ftsdk.json"))["name"] == model.job_uri.rpartition("/")[2]
    with pytest.raises(FtsdkError, match="holds a model already"):
        model.push(place)
    files = {name: model.path / name for name in model.files}
    contents = public_contents(Publication(model.lineage, files, model.adapter, model.base_model), "pushed")
    store.delete("README.md", "ftsdk.json")
    store.put(UNFINISHED, json.dumps({"digest": digest_of(contents)}).encode())  # what a kill after the weights leaves
    s3.requests.clear()
    model.push(place)
    assert {"README.md", "ftsdk.json", "adapter_model.safetensors"} <= {item.key for item in store.list()}
    assert not [request for request in s3.requests if "PUT" in str(request) and "safetensors" in str(request)]


def pushed(model, *arguments):
    """`ftsdk push` in another process."""
    command = [sys.executable, "-m", "ftsdk", "push", model.job_uri, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_hub_gets_a_private_repository_in_one_commit(model, hub):
    done = pushed(model, "--to", "hf:ada/shown")
    assert (done.returncode, done.stdout.strip()) == (0, f"{hub.url}/ada/shown"), done.stderr
    repository = hub.repositories["ada/shown"]
    assert repository["private"] is True
    assert repository["files"]["adapter_model.safetensors"] == bytes(5000)
    assert b"Intended use" in repository["files"]["README.md"]
    assert str(model.path).encode() not in b"".join(repository["files"].values())
    again = pushed(model, "--to", "hf:ada/shown")  # the same model, perhaps with a newer card
    assert again.returncode == 0, again.stderr
    assert len(hub.uploads) == len(set(hub.uploads)) == 2


def test_a_push_that_broke_off_sends_no_large_file_again(model, hub):
    hub.fail_commits = 1
    refused = pushed(model, "--to", "hf:ada/broken")
    assert (refused.returncode, "The commit was refused" in refused.stderr) == (BackendError.exit_code, True)
    assert pushed(model, "--to", "hf:ada/broken", "--public").returncode == 0
    assert len(hub.uploads) == 2
    assert hub.repositories["ada/broken"]["private"] is True  # one that exists stays what it is


def test_the_hub_refuses_without_rights_and_another_model_is_not_replaced(model, hub, monkeypatch):
    forbidden = pushed(model, "--to", "hf:forbidden/shown")
    assert (forbidden.returncode, "write access" in forbidden.stderr) == (AuthError.exit_code, True)
    hub.repositories["ada/theirs"] = {"private": False, "files": {"model.safetensors": b"theirs"}}
    taken = pushed(model, "--to", "hf:ada/theirs")
    assert (taken.returncode, "holds another model" in taken.stderr) == (1, True)
    assert hub.repositories["ada/theirs"]["files"] == {"model.safetensors": b"theirs"}
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert pushed(model, "--to", "hf:ada/shown").returncode == AuthError.exit_code
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    silent = pushed(model, "--to", "hf:ada/shown")
    assert (silent.returncode, "does not answer" in silent.stderr) == (15, True)


def test_licences_and_what_they_demand(tmp_path):
    assert "Built with Llama" in licence_of("meta-llama/Llama-3.1-8B-Instruct").demands
    assert licence_of("Qwen/Qwen3-8B").identifier == "apache-2.0"
    assert "research only" in licence_of("Qwen/Qwen2.5-3B-Instruct").demands
    assert licence_of("Qwen/Qwen2.5-32B-Instruct").identifier == "apache-2.0"
    assert licence_of("nobody/knows").identifier == ""
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    assert licence_of(str(tmp_path), tmp_path).identifier == "mit"
