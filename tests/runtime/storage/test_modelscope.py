"""Addresses on ModelScope become folders, over a hub that fails now and then."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from ftsdk.estimator import Estimator
from ftsdk.facts import inspect
from ftsdk.plan import hubs
from ftsdk.runtime.retry import RetryPolicy
from ftsdk.runtime.storage import modelscope
from ftsdk.runtime.storage.modelscope import DownloadStopped, HubError, ModelScopeHub
from ftsdk.runtime.supervisor import hub_addresses
from ftsdk.spec.loading import parse
from ftsdk.testing import tiny
from ftsdk.testing.programs import TWELVE_STEPS, new_label
from tests.emulators.modelscope import TOKEN, ModelScope
from tests.golden import plans, sagemaker
from tests.golden.pai import backend


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = ModelScope()
    for name in ("model/nested", "data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "nested" / "weights.bin").write_bytes(bytes(range(256)) * 9000)
    rows = [{"instruction": f"Say {number}.", "output": str(number)} for number in range(9)]
    (tmp_path / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    hub.models = {"team/tiny": tmp_path / "model", "private/tiny": tmp_path / "model"}
    hub.datasets = {"team/rows": tmp_path / "data"}
    quick = RetryPolicy(attempts=8, first_pause_s=0.01, max_pause_s=0.02, is_final=modelscope.RETRY.is_final)
    monkeypatch.setattr(modelscope, "RETRY", quick)
    yield hub
    hub.close()


@pytest.fixture
def environ(hub, tmp_path):
    return {"MODELSCOPE_DOMAIN": hub.url, "MODELSCOPE_CACHE": str(tmp_path / "cache")}


def never():
    return False


def test_a_download_with_errors_is_completed_and_cached(hub, environ):
    folder = ModelScopeHub(environ, never).model("team/tiny")
    assert (folder / "nested" / "weights.bin").read_bytes() == bytes(range(256)) * 9000
    assert not list(folder.rglob("*.part"))
    asked = len(hub.requests)
    for _ in range(4):  # a 503 for the listing comes every third time
        assert ModelScopeHub(environ, never).model("team/tiny") == folder
    assert not [path for path in hub.requests[asked:] if "FilePath" in path]


def test_a_file_that_ends_early_is_continued(hub, environ, tmp_path):
    (tmp_path / "model" / "config.json").unlink()
    hub.requests.append("so that the file is the third answer")
    folder = ModelScopeHub(environ, never).model("team/tiny")
    assert hub.ranges == [f"bytes={256 * 9000 // 2}-"]
    assert (folder / "nested" / "weights.bin").stat().st_size == 256 * 9000


def test_a_changed_file_is_refused(hub, environ, tmp_path):
    listing = hub.answer
    wrong = listing("/api/v1/models/team/tiny/repo/files", "")[1].replace(b'"Sha256": "', b'"Sha256": "0')
    hub.answer = lambda target, cookie: (200, wrong) if "repo/files" in target else listing(target, cookie)
    with pytest.raises(OSError, match="arrived incomplete"):
        ModelScopeHub(environ, never).model("team/tiny")
    assert not list((tmp_path / "cache").rglob("weights.bin*"))


def test_a_path_out_of_the_folder_is_refused(hub, environ, tmp_path):
    listing = hub.answer
    wrong = listing("/api/v1/models/team/tiny/repo/files", "")[1].replace(b"nested/weights.bin", b"../../../x")
    hub.answer = lambda target, cookie: (200, wrong) if "repo/files" in target else listing(target, cookie)
    with pytest.raises(HubError, match="outside of its folder"):
        ModelScopeHub(environ, never).model("team/tiny")


def test_a_private_model_needs_the_token(hub, environ):
    with pytest.raises(HubError, match="403"):
        ModelScopeHub(environ, never).model("private/tiny")
    assert ModelScopeHub({**environ, "MODELSCOPE_API_TOKEN": TOKEN}, never).model("private/tiny").is_dir()


def test_a_stop_ends_a_download(hub, environ):
    with pytest.raises(DownloadStopped):
        ModelScopeHub(environ, lambda: True).model("team/tiny")


def test_every_kind_of_address_becomes_a_folder(hub, environ):
    given = {"model_name_or_path": "modelscope:team/tiny", "ref_model": "modelscope:team/tiny", "seed": 7,
             "reward_model": {"model_name_or_path": "modelscope:team/tiny"}}  # fmt: skip
    document = {"config": given, "dataset_info": {"rows": {"ms_hub_url": "team/rows", "split": "train"}}}
    hub_addresses.fetch(document, environ, never)
    config = document["config"]
    paths = {config["model_name_or_path"], config["ref_model"], config["reward_model"]["model_name_or_path"]}
    assert len(paths) == 1
    assert paths.pop().startswith(environ["MODELSCOPE_CACHE"])
    assert document["dataset_info"]["rows"].keys() == {"script_url", "split"}


def test_plans_name_the_hub_and_say_what_cannot_be_reached(spec_folder):
    fields = {"model": "modelscope:Qwen/Qwen3-0.6B", "dataset": "ms://team/rows", "name": "hub"}
    on_modelscope = inspect(parse(fields, where="test"), folder=spec_folder)
    spec = parse({**fields, "resources": {"accelerator": "A10"}}, where="test")
    plan = backend().plan(spec, on_modelscope)
    assert plan.trainer_config["model_name_or_path"] == "modelscope:Qwen/Qwen3-0.6B"
    assert not any("Hugging Face" in warning for warning in plan.warnings)
    facts = plans.facts(local_model=False)
    hugging_face = plans.spec(model="Qwen/Qwen3-8B", resources={"accelerator": "A10"})
    assert any("Qwen/Qwen3-8B: Hugging Face cannot be reached from cn-hangzhou" in warning
               for warning in backend().plan(hugging_face, facts).warnings)  # fmt: skip
    in_aws_china = sagemaker.backend("cn-northwest-1").plan(plans.spec(resources={"accelerator": "T4"}), facts)
    assert any("cannot be reached from cn-northwest-1" in warning for warning in in_aws_china.warnings)
    assert hubs.warnings(facts, "cn-hangzhou", {"HF_ENDPOINT": "https://mirror.example"}) == ()
    assert hubs.warnings(facts, "cn-hongkong", {}) == ()
    assert hubs.warnings(replace(facts, model=on_modelscope.model), "cn-hangzhou", {}) == ()


@pytest.mark.trainer
@pytest.mark.parametrize("method", ["sft", pytest.param("grpo", marks=pytest.mark.long)])
def test_engines_train_from_modelscope_alone(hub, environ, tiny_folder, method, tmp_path):
    """Model and data come from the hub, whatever the engine; the model's record names its base's hub."""
    hub.models["team/qwen"] = tiny_folder / "model"
    data = tmp_path / "tiny-rows"
    data.mkdir()
    shutil.copy(tiny_folder / "train.json", data / "train.json")
    hub.datasets["team/tiny-rows"] = data
    steps = {**TWELVE_STEPS, "max_steps": 2, **({"template": "qwen"} if method == "sft" else {})}
    if method == "grpo":
        del steps["cutoff_len"]
    methods = {"grpo": {"method": {"stage": "grpo", "rewards": [{"name": "length", "max_tokens": 8}],
                                   "num_generations": 2, "max_completion_length": 8}}}  # fmt: skip
    spec = {"model": "modelscope:team/qwen", "dataset": "ms://team/tiny-rows", "name": new_label(),
            "tuning": {"type": "lora", "rank": 4}, "hyperparameters": steps,
            "env": environ, **methods.get(method, {})}  # fmt: skip
    options = {"python": tiny.TRAINER_PYTHON}
    estimator = Estimator(parse(spec, where="test"), options=options, folder=tmp_path)
    job = estimator.fit(progress=False, on_warning=print)
    assert "adapter_model.safetensors" in job.model().files
    assert job.model().base_model == "modelscope:team/qwen"
