"""Models in buckets: what is seen of them, and how they come into another cloud."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner

from ftsdk.cli import cli
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.facts import ModelFacts, inspect, remote_model
from ftsdk.facts.remote_model import RemoteModel, inspect_remote_model
from ftsdk.plan import Copy
from ftsdk.spec.loading import parse
from ftsdk.storage import copying
from ftsdk.storage.store import open_store
from tests.emulators.buckets import KEY, SECRET, TOKEN, OssBuckets
from tests.emulators.sagemaker import BUCKET, KEYS, ROLE, SageMakerCloud
from tests.golden import plans
from tests.golden.sagemaker import backend

A10G = {"accelerator": "A10G"}


@pytest.fixture
def cloud(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    cloud = SageMakerCloud()
    cloud.make_account()
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
    yield cloud
    cloud.close()


@pytest.fixture
def store(cloud):
    return open_store(f"s3://{BUCKET}/jobs/bot-0a1b2c3d")


def test_a_model_in_a_bucket_has_a_size_and_a_shape(store):
    store.put("model/config.json", b'{"model_type": "qwen2"}')
    store.put("model/model.safetensors", bytes(1000))
    assert inspect_remote_model(f"{store.uri}/model") == RemoteModel(
        base=f"{store.uri}/model", bytes=1023, base_bytes=1023, config={"model_type": "qwen2"}
    )


def test_the_job_document_names_the_base_of_an_adapter(store):
    store.put("model/adapter_config.json", b'{"base_model_name_or_path": "/opt/ml/input/data/model"}')
    assert inspect_remote_model(f"{store.uri}/model").base == "/opt/ml/input/data/model"
    store.put("job.json", b'{"base_model": "Qwen/Qwen3-8B"}')
    assert inspect_remote_model(f"{store.uri}/model").base == "Qwen/Qwen3-8B"


def test_an_address_without_a_model_is_refused(store):
    with pytest.raises(SpecError, match="there is no such folder"):
        inspect_remote_model(f"{store.uri}/none")
    with pytest.raises(
        SpecError, match=r"is an archive: unpack it by `ftsdk model s3://x/model.tar.gz --download FOLDER`"
    ):
        inspect_remote_model("s3://x/model.tar.gz")


def test_a_bucket_that_does_not_answer_is_unknown(cloud, monkeypatch):
    monkeypatch.setattr(remote_model, "RETRY_S", 0.1)
    nothing = RemoteModel(base="s3://nobody/x")
    assert inspect_remote_model("s3://nobody/x") == nothing
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert inspect_remote_model("s3://nobody/x") == nothing


def test_inputs_in_s3_are_used_where_they_are(store, spec_folder):
    store.put("model/config.json", b'{"model_type": "qwen2"}')
    fields = {"model": f"{store.uri}/model", "dataset": f"{store.uri}/rows.jsonl", "resources": A10G}
    spec = parse(fields, where="test")
    plan = backend().plan(spec, inspect(spec, folder=spec_folder))
    channels = {c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in plan.request["InputDataConfig"]}
    assert channels["model"] == f"{store.uri}/model/"
    assert channels["train-0"] == f"{store.uri}/rows.jsonl"
    assert plan.trainer_config["model_name_or_path"] == "/opt/ml/input/data/model"
    assert "/opt/ml/input/data/train-0/rows.jsonl" in json.dumps(plan.document["dataset_info"])
    assert plan.copies == ()
    assert len(plan.uploads) == 1  # the runtime
    from ftsdk.backends.local import Local

    with pytest.raises(UnsupportedError, match="download it and give a path"):
        Local().plan(spec, inspect(spec, folder=spec_folder))


def planned(address, size):
    model = ModelFacts(address=address, kind="remote", base=address, files=(), config=None, bytes=size)
    return backend().plan(plans.spec(model=address, resources=A10G), replace(plans.facts(), model=model))


def test_the_base_of_an_adapter_in_a_bucket_may_be_a_folder_here(store, spec_folder):
    store.put("job.json", json.dumps({"base_model": str(spec_folder / "model")}).encode())
    store.put("model/adapter_config.json", b'{"base_model_name_or_path": "/opt/ml/input/data/model"}')
    spec = parse({"model": f"{store.uri}/model", "dataset": "train.jsonl", "resources": A10G}, where="test")
    plan = backend().plan(spec, inspect(spec, folder=spec_folder))
    channels = {c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in plan.request["InputDataConfig"]}
    assert channels["model"] == f"{store.uri}/model/"
    assert [u.source for u in plan.uploads if u.target.startswith(channels["base"])] == [
        str(spec_folder / "model" / "config.json")
    ]
    assert plan.trainer_config["model_name_or_path"] == "/opt/ml/input/data/base"
    assert plan.trainer_config["adapter_name_or_path"] == "/opt/ml/input/data/model"
    store.put("job.json", b'{"base_model": "/another/machine/model"}')
    with pytest.raises(SpecError, match="base model /another/machine/model is not on this machine"):
        inspect(spec, folder=spec_folder)


def test_a_model_in_another_cloud_is_a_copy_with_its_cost():
    plan = planned("gs://models/qwen", 16_000_000_000)
    (copy,) = plan.copies
    assert (copy.source, copy.bytes, copy.cost_usd) == ("gs://models/qwen", 16_000_000_000, 1.92)
    channel = next(c for c in plan.request["InputDataConfig"] if c["ChannelName"] == "model")
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == copy.target
    with pytest.raises(UnsupportedError, match=r"16\.00 GB, about 1\.92 USD of egress\)\. Say --copy"):
        copying.refuse(plan.copies)
    with pytest.raises(UnsupportedError, match="size unknown, cost unknown"):
        copying.refuse(planned("oss://models/qwen", None).copies)


def test_a_copy_is_made_once(cloud, store):
    store.put("model/config.json", b"{}")
    store.put("model/sub/weights.bin", bytes(5000))
    copy = Copy(source=f"{store.uri}/model", target=f"s3://{BUCKET}/copies/x/", bytes=None, cost_usd=None)
    storage = {"endpoint": cloud.url}
    assert copying.make_copy(copy, storage) == 5002
    assert open_store(copy.target, storage).read("sub/weights.bin") == bytes(5000)
    assert copying.make_copy(copy, storage) == 0
    with pytest.raises(SpecError, match="There is nothing at"):
        copying.make_copy(replace(copy, source=f"s3://{BUCKET}/nothing"), storage)


def test_a_submit_with_copy_copies_an_adapter_and_its_base(cloud, spec_folder, monkeypatch):
    """From Alibaba's OSS to S3, each under its real host's name."""
    oss = OssBuckets()
    oss.make_bucket()
    environ = {
        "http_proxy": oss.url,
        "no_proxy": "127.0.0.1",
        "OSS_ACCESS_KEY_ID": KEY,
        "OSS_ACCESS_KEY_SECRET": SECRET,
        "OSS_SESSION_TOKEN": TOKEN,
        "OSS_ENDPOINT": f"http://{OssBuckets.host}",
        "OSS_REGION": "cn-hangzhou",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    theirs = open_store("oss://bucket/copied")
    theirs.put("base/config.json", b'{"model_type": "qwen2"}')
    theirs.put("adapter/adapter_config.json", b'{"base_model_name_or_path": "oss://bucket/copied/base"}')
    (spec_folder / "job.yaml").write_text("{name: abroad, model: oss://bucket/copied/adapter, dataset: train.jsonl}")
    cloud.sold_out = {"ml.m5.xlarge"}
    options = (f"role={ROLE}", "region=us-west-2", f"endpoint_url={cloud.url}", "instance_type=ml.m5.xlarge")
    words = ["submit", str(spec_folder / "job.yaml"), "-b", "sagemaker", *(w for o in options for w in ("-o", o))]
    try:
        refused = CliRunner().invoke(cli, words)
        assert "oss://bucket/copied/adapter -> s3://" in str(refused.exception)
        assert re.search(r"oss://bucket/copied/base -> s3://\S+ \(0.00 GB, cost unknown\)", str(refused.exception))
        assert list(cloud.jobs) == []
        done = CliRunner().invoke(cli, [*words, "--copy"])
        assert done.exit_code == 0, done.output
    finally:
        oss.close()
    (job,) = cloud.jobs.values()
    places = {c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in job.request["InputDataConfig"]}
    storage = {"endpoint": cloud.url}
    assert [item.key for item in open_store(places["model"], storage).list()] == ["adapter_config.json"]
    assert [item.key for item in open_store(places["base"], storage).list()] == ["config.json"]
