"""The docker commands, word by word, from made-up facts."""

import shlex
from dataclasses import replace

import pytest

from ftsdk.backends.docker import Docker, DockerOptions
from ftsdk.backends.docker.request import mount
from ftsdk.backends.options import resolve
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.facts import ModelFacts
from ftsdk.storage.fingerprints import Fingerprint
from tests.golden.plans import HOME, WORK, facts, spec

H100 = "NVIDIA H100"


def run_of(plan, node=-1):
    return plan.request["commands"][node]


def value(argv, flag):
    return argv[argv.index(flag) + 1]


def values(argv, flag):
    return [argv[at + 1] for at, word in enumerate(argv) if word == flag]


def made(options=None, found=None, **fields):
    return Docker(options or DockerOptions(user="7:7")).plan(spec(**fields), found or facts())


def test_the_docker_command_can_be_pasted_into_a_shell():
    argv = run_of(made(resources={"accelerators_per_node": 2}, found=facts(gpus=(H100, H100))))
    assert shlex.split(shlex.join(argv)) == argv
    assert argv[:2] == ["docker", "run"]


def test_the_default_image_is_ftsdks_for_this_machine():
    assert "ftsdk:0.1.0-lf-cpu" in run_of(made())
    assert "ftsdk:0.1.0-lf-cuda" in run_of(made(found=facts(gpus=(H100,))))
    assert "hiyouga/llamafactory:0.9.5" in run_of(made(DockerOptions(image="hiyouga/llamafactory:0.9.5")))


def test_docker_run_never_pulls_an_image():
    assert value(run_of(made()), "--pull") == "never"


def test_every_input_is_mounted_by_itself_and_read_only():
    argv = run_of(made())
    inputs = [entry for entry in values(argv, "--mount") if "/ftsdk/inputs/" in entry]
    assert len(inputs) == 4
    assert all(entry.endswith(",readonly") for entry in inputs)
    document = made().document
    assert [entry["path"] for entry in document["inputs"]] == [entry.split("target=")[1][:-9] for entry in inputs]


def test_an_adapter_and_its_base_lie_apart():
    files = (
        Fingerprint(f"{WORK}/adapter/adapter_config.json", 1, "a"),
        Fingerprint(f"{WORK}/base/config.json", 1, "b"),
    )
    model = ModelFacts(address=f"{WORK}/adapter", kind="path", base=f"{WORK}/base", files=files, config=None)
    plan = made(found=replace(facts(), model=model))
    assert plan.trainer_config["model_name_or_path"] == "/ftsdk/inputs/base"
    assert plan.trainer_config["adapter_name_or_path"] == "/ftsdk/inputs/model"
    assert not [entry for entry in values(run_of(plan), "--mount") if "/ftsdk/hub" in entry]


def test_a_reward_model_and_a_reward_function_are_mounted_too():
    base, judge = f"{WORK}/model", f"{WORK}/judge"
    shape = (Fingerprint(f"{base}/config.json", 1, "c"), Fingerprint(f"{base}/model.safetensors", 1, "d"))
    model = ModelFacts(address=base, kind="path", base=base, files=shape, config=None)
    files = (Fingerprint(f"{judge}/adapter_config.json", 1, "a"), *shape)
    found = replace(
        facts(),
        model=model,
        reward_model=ModelFacts(address=judge, kind="path", base=base, files=files, config=None),
        reward_files={"reward.py": Fingerprint(f"{WORK}/reward.py", 1, "b")},
        train=tuple(replace(source, num_rows=None) for source in facts().train),
    )
    method = {"stage": "ppo", "reward_model": "./judge", "rewards": ["reward.py:score"]}
    plan = made(method=method, hyperparameters={}, dataset={"train": ["train.jsonl"]}, found=replace(found, eval=()))
    assert plan.trainer_config["rewards"][0]["file"] == "/ftsdk/inputs/rewards/0/reward.py"
    judged = plan.trainer_config["reward_model"]
    assert (judged["model_name_or_path"], judged["adapter_name_or_path"]) == (
        "/ftsdk/inputs/model",
        "/ftsdk/inputs/reward-model",
    )
    targets = [entry.split("target=")[1] for entry in values(run_of(plan), "--mount")]
    assert "/ftsdk/inputs/rewards/0/reward.py,readonly" in targets
    assert "/ftsdk/inputs/reward-model/adapter_config.json,readonly" in targets
    assert len(targets) == len(set(targets))


def test_an_adapter_of_a_hub_model_needs_the_hub():
    files = (Fingerprint(f"{WORK}/adapter/adapter_config.json", 1, "a"),)
    model = ModelFacts(address=f"{WORK}/adapter", kind="path", base="Qwen/Qwen3-8B", files=files, config=None)
    plan = made(found=replace(facts(), model=model))
    assert plan.trainer_config["model_name_or_path"] == "Qwen/Qwen3-8B"
    assert f"type=bind,source={HOME}/cache/hub,target=/ftsdk/hub" in values(run_of(plan), "--mount")
    assert "HF_HOME=/ftsdk/hub/huggingface" in values(run_of(plan), "--env")
    assert f"{HOME}/cache/hub" in plan.request["folders"]


def test_a_path_with_a_comma_is_quoted():
    assert mount("/a,b", "/x", readonly=True) == 'type=bind,"source=/a,b",target=/x,readonly'
    assert mount('/a"b', "/x") == 'type=bind,"source=/a""b",target=/x'


def test_limits():
    argv = run_of(made(DockerOptions(shm_size_gb=0.5, grace_s=10, restarts=0), resources={"memory_gb": 1.5}))
    assert value(argv, "--memory") == value(argv, "--memory-swap") == "1500000000b"
    assert value(argv, "--shm-size") == "500000000b"
    assert value(argv, "--restart") == "no"
    assert int(value(argv, "--stop-timeout")) > 10
    assert "--memory" not in run_of(made())


def test_nodes_share_a_machine_without_sharing_gpus():
    plan = made(found=facts(gpus=(H100,) * 4), resources={"num_nodes": 2, "accelerators_per_node": 2})
    assert [value(run_of(plan, node), "--gpus") for node in (1, 2)] == ['"device=0,1"', '"device=2,3"']
    assert "--gpus" not in run_of(made())


@pytest.mark.parametrize(
    ("resources", "gpus"),
    [
        ({"accelerators_per_node": 2}, (H100,)),
        ({"num_nodes": 2}, (H100,)),
        ({"accelerator": "H100"}, ()),
    ],
)
def test_more_gpus_than_there_are_is_refused(resources, gpus):
    with pytest.raises(UnsupportedError, match="machine has"):
        made(found=facts(gpus=gpus), resources=resources)


def test_the_users_own_id_is_the_default_and_can_be_left_to_the_image():
    assert ":" in DockerOptions().user
    assert value(run_of(made()), "--user") == "7:7"
    images_own = run_of(made(DockerOptions(user="")))
    assert "--user" not in images_own
    assert not [entry for entry in values(images_own, "--env") if entry.startswith("HOME=")]


def test_secrets_lie_in_memory_and_a_folder_is_mounted():
    plan = made(secrets=("HF_TOKEN",))
    assert plan.request["secrets"] == [f"/dev/shm/ftsdk-{plan.native_name}"]
    assert "FTSDK_SECRETS_FILE=/ftsdk/secrets/secrets.json" in values(run_of(plan), "--env")
    assert not [word for word in run_of(plan) if "HF_TOKEN" in word]


def test_on_windows_paths_are_windows_paths():
    found = replace(facts(platform="win32", local_model=False), home="C:\\Users\\ada\\.ftsdk")
    plan = made(found=found, secrets=("HF_TOKEN",))
    assert plan.request["secrets"] == [f"C:\\Users\\ada\\.ftsdk\\secrets\\ftsdk-{plan.native_name}"]
    assert "type=bind,source=C:\\Users\\ada\\.ftsdk\\cache\\hub,target=/ftsdk/hub" in values(run_of(plan), "--mount")


def test_the_option_program_replaces_docker():
    assert run_of(made(DockerOptions(program="podman")))[0] == "podman"


@pytest.mark.parametrize("wrong", [{"shm_size_gb": "0"}, {"restarts": "-1"}, {"grace_s": "soon"}, {"imag": "x"}])
def test_wrong_options_are_reported_in_one_sentence(wrong):
    with pytest.raises(SpecError, match=next(iter(wrong))):
        resolve("docker", DockerOptions, wrong)
