"""Tasks as SkyPilot takes them, and refusals without a call to SkyPilot."""

import dataclasses
import json
from pathlib import Path

import pytest

from ftsdk import backends
from ftsdk.backends.skypilot import SkyPilot, request
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.contract.release import __version__
from ftsdk.errors import AuthError, SpecError, UnsupportedError
from ftsdk.facts import ModelFacts
from ftsdk.facts.sources import inspect_sources
from tests import slurm
from tests.golden import plans

LOCKS = Path(__file__).parents[3] / "containers" / "locks"


def plan(spec_fields=None, **options):
    given = {"infra": ("aws/us-west-2",), "storage": "s3://bucket/jobs", **options}
    return SkyPilot(SkyPilotOptions(**given)).plan(plans.spec(**(spec_fields or {})), plans.facts())


READ = """
import json, sys, sky
read = {name: sky.Task.from_yaml_config(task) for name, task in json.load(sys.stdin).items()}
print(json.dumps({name: [task.num_nodes, [str(one) for one in task.resources]] for name, task in read.items()}))
"""


@pytest.mark.skypilot
def test_skypilot_takes_the_tasks():
    tasks = {name: plans.PLANS[name]().request["task"] for name in plans.SKYPILOT}
    for name, (num_nodes, taken) in json.loads(slurm.sky(READ, tasks)).items():
        resources = tasks[name]["resources"]
        choices = resources.get("ordered") or resources.get("any_of") or [resources]
        assert num_nodes == tasks[name]["num_nodes"]
        assert len(taken) == len(choices)
        for choice in choices:
            assert any(choice.get("accelerators", "").partition(":")[0] in one for one in taken)


def test_a_node_installs_the_locks_of_ftsdks_image():
    assert all((LOCKS / f"{name}.txt").is_file() for name in request.LOCKS)
    assert set(request.BUCKETS) <= set((LOCKS / "lf.txt").read_text("utf-8").splitlines())
    task = plan(infra=("slurm/lab",), storage="/nfs/jobs").request["task"]
    program = next(path for path, source in task["file_mounts"].items() if source.startswith(f"{plans.HOME}/cache/tr"))
    assert f"{program}/install.py lf rl" in task["setup"]
    assert "trainer" not in str(plan(infra=("slurm/lab",), storage="/nfs", python="/nfs/python").request["task"])


def test_spot_is_managed_and_the_rest_gets_a_cluster_of_its_own():
    spot = {"resources": {"spot": True, "accelerator": "H100"}}
    assert plan(spot).request["kind"] == request.MANAGED
    assert plan().request["kind"] == request.LAUNCHED
    assert plan(managed=True).request["kind"] == request.MANAGED
    assert plan(spot, managed=False).request["kind"] == request.LAUNCHED
    task = plan(spot).request["task"]["resources"]
    assert task["job_recovery"]["recover_on_exit_codes"] == [75]
    assert "autostop" not in task
    assert plan().request["task"]["resources"]["autostop"] == {"idle_minutes": 0, "down": True}


def test_on_demand_changes_use_spot_only():
    backend = SkyPilot(SkyPilotOptions(infra=("aws",), storage="s3://bucket/jobs"))
    before = backend.plan(plans.spec(resources={"spot": True, "accelerator": "H100"}), plans.facts())
    after = backend.on_demand(before)
    changed = json.loads(json.dumps(before.to_json()))
    del changed["request"]["task"]["resources"]["use_spot"]
    assert json.loads(json.dumps(after.to_json())) == changed


def test_slurm_says_that_it_has_no_spot():
    made = plan({"resources": {"spot": True}}, infra=("slurm/lab",), storage="/nfs/jobs")
    assert "use_spot" not in made.request["task"]["resources"]
    assert any("may be preempted" in warning for warning in made.warnings)


def test_inputs_on_shared_folders_are_not_copied():
    copied = plan(infra=("slurm/lab",), storage="/nfs/jobs").request["task"]["file_mounts"]
    assert set(copied.values()) == {
        f"{plans.WORK}/model/config.json",
        f"{plans.WORK}/model/model.safetensors",
        f"{plans.WORK}/train.jsonl",
        f"{plans.WORK}/eval.jsonl",
        f"{plans.HOME}/cache/runtime-0123456789ab.pyz",
        f"{plans.HOME}/cache/trainer-{__version__}",
    }
    shared = plan(infra=("slurm/lab",), storage="/nfs/jobs", shared=(plans.WORK, plans.HOME))
    assert "file_mounts" not in shared.request["task"]
    assert {file["path"] for file in shared.document["inputs"]} == {file.path for file in plans.facts().files}


def test_inputs_in_buckets_are_fetched_by_the_nodes(spec_folder):
    fields = {"model": "s3://bucket/models/qwen/", "dataset": "gs://data/train.jsonl"}
    spec = plans.spec(**fields)
    facts = dataclasses.replace(
        plans.facts(local_model=False),
        model=ModelFacts(address=fields["model"], kind="remote", base=fields["model"], files=(), config=None),
        train=inspect_sources((fields["dataset"],), spec, spec_folder, tokenizer=None, measure_lengths=False)[0],
    )
    made = SkyPilot(SkyPilotOptions(infra=("aws",), storage="s3://bucket/jobs")).plan(spec, facts)
    mounts = {source: path for path, source in made.request["task"]["file_mounts"].items()}
    assert made.trainer_config["model_name_or_path"] == mounts["s3://bucket/models/qwen"]
    assert mounts["gs://data/train.jsonl"].endswith("/train.jsonl")
    assert mounts["gs://data/train.jsonl"] in json.dumps(made.document["dataset_info"])
    lies_in_oss = dataclasses.replace(facts, model=dataclasses.replace(facts.model, address="oss://bucket/model"))
    with pytest.raises(UnsupportedError, match="not from OSS"):
        SkyPilot(SkyPilotOptions(storage="s3://bucket/jobs")).plan(spec, lies_in_oss)


@pytest.mark.parametrize(
    ("ours", "theirs"), [("A100", "A100-80GB"), ("A100-40GB", "A100"), ("H100-80GB", "H100"), ("MI300X", "MI300X")]
)
def test_accelerators_have_skypilots_names(ours, theirs):
    made = plan({"resources": {"accelerator": ours}}, infra=("aws",), image="me/trainer:1")
    assert made.request["task"]["resources"]["accelerators"] == f"{theirs}:1"


def test_spot_on_kubernetes_is_refused_by_name():
    spot = {"resources": {"spot": True, "accelerator": "H100"}}
    with pytest.raises(UnsupportedError, match=r"k8s/team is Kubernetes.*request.resources.use_spot=true"):
        plan(spot, infra=("k8s/team",))
    assert plan(spot, infra=("k8s/team", "aws")).request["task"]["resources"]["use_spot"]
    labelled = plan(infra=("k8s/team",), managed=True, request={"resources.use_spot": True})
    assert labelled.request["task"]["resources"]["use_spot"]


def test_pods_run_as_root_because_skypilot_needs_sudo():
    task = plan(infra=("k8s/team",), image="me/ftsdk:1").request["task"]
    assert task["config"]["kubernetes"]["pod_config"]["spec"]["securityContext"]["runAsUser"] == 0
    assert "config" not in plan(infra=("aws",)).request["task"]


DICTATES = {
    "grpo": ({"method": {"stage": "grpo", "rewards": [{"name": "length", "max_tokens": 64}]}}, "no TRL 1.16 for grpo"),
    "liger": ({"hyperparameters": {"enable_liger_kernel": True}}, "no Liger kernels"),
    "blackwell": ({"resources": {"accelerator": "B200"}}, "no torch for B200"),
}


@pytest.mark.parametrize("what", DICTATES)
def test_jobs_that_the_default_image_cannot_run_are_refused(what):
    fields, words = DICTATES[what]
    with pytest.raises(UnsupportedError, match=f"{words}.*ftsdk image build"):
        plan(fields, infra=("aws",))
    assert plan(fields, infra=("aws",), image="me/ftsdk:1").request


def test_a_price_cap_and_fields_of_the_task_are_passed_on():
    made = plan(infra=("aws",), max_usd_per_hour=12.5, request={"resources.disk_tier": "high"})
    assert made.request["task"]["resources"]["max_hourly_cost"] == 12.5
    assert made.request["task"]["resources"]["disk_tier"] == "high"
    with pytest.raises(SpecError, match="SkyPilot's task has no such request field"):
        plan(infra=("aws",), request={"resources.disk_teir": "high"})


def test_the_task_has_names_of_secrets_only():
    task = plan({"secrets": ("HF_TOKEN",)}).request["task"]
    assert task["secrets"] == {"HF_TOKEN": None}
    assert task["envs"]["FTSDK_SECRETS"] == "HF_TOKEN"


def test_jobs_of_several_nodes_have_ports_of_their_own():
    ports = [
        plan({"name": name, "resources": {"num_nodes": 2}}).request["task"]["envs"]["FTSDK_MASTER_PORT"]
        for name in ("one", "two")
    ]
    assert len(set(ports)) == 2
    assert all(20000 <= int(port) < 30000 for port in ports)


def test_without_storage_there_is_a_sentence_on_how_to_give_it():
    with pytest.raises(SpecError, match="-o storage=VALUE, FTSDK_SKYPILOT_STORAGE"):
        plan(storage=None)
    with pytest.raises(SpecError, match="from / on"):
        plan(storage="jobs")


def test_options_come_as_text():
    resolved = backends.get(
        "skypilot", {"infra": "aws/us-west-2, gcp", "accelerators": "H100", "storage": "/nfs"}
    ).options
    assert resolved.infra == ("aws/us-west-2", "gcp")
    assert resolved.accelerators == ("H100",)
    with pytest.raises(SpecError, match="cannot be mixed"):
        backends.get("skypilot", {"infra": "slurm/lab,aws"})
    with pytest.raises(SpecError, match="leave infra and managed out"):
        backends.get("skypilot", {"cluster": "mine", "managed": "true"})


def test_spot_on_a_cluster_that_is_up_is_refused():
    with pytest.raises(UnsupportedError, match="leave one out"):
        plan({"resources": {"spot": True}}, infra=(), cluster="mine")


def test_another_machine_finds_the_job_in_the_storage(tmp_path, monkeypatch):
    from ftsdk.backends.skypilot import jobs

    options = SkyPilotOptions(infra=("slurm/lab",), storage=str(tmp_path / "shared"))
    made = SkyPilot(options).plan(plans.spec(), dataclasses.replace(plans.facts(), home=str(tmp_path / "one")))
    jobs.create(made)
    monkeypatch.setenv("FTSDK_HOME", str(tmp_path / "two"))
    assert jobs.find(made.name, options).plan == made


def test_the_login_of_a_registry_is_a_secret_and_in_no_plan(monkeypatch):
    given = {"infra": ("gcp",), "image_auth": "LOGIN"}
    made = plan(image="registry.example.com/me/t:1", **given)
    monkeypatch.delenv("LOGIN", raising=False)
    with pytest.raises(AuthError, match="export LOGIN=USER:PW"):
        request.registry_secrets(made, "skypilot")
    monkeypatch.setenv("LOGIN", "me:pass:word")
    assert request.registry_secrets(made, "skypilot") == {
        "SKYPILOT_DOCKER_USERNAME": "me",
        "SKYPILOT_DOCKER_PASSWORD": "pass:word",
        "SKYPILOT_DOCKER_SERVER": "registry.example.com",
    }
    assert "pass:word" not in json.dumps(made.to_json())
    hub = request.registry_secrets(plan(image="me/t:1", **given), "skypilot")
    assert hub["SKYPILOT_DOCKER_SERVER"] == "docker.io"
    assert request.registry_secrets(plan(infra=("gcp",)), "skypilot") == {}


LOGIN = """
import json, sys, sky
asked = json.load(sys.stdin)
task = sky.Task.from_yaml_config(asked["task"], secrets_overrides=list(asked["secrets"].items()))
print(json.dumps([[one._docker_login_config.server, one.extract_docker_image()] for one in task.resources]))
"""


@pytest.mark.skypilot
def test_skypilot_logs_in_to_the_registry_of_the_image(monkeypatch):
    monkeypatch.setenv("LOGIN", "me:word")
    made = plan(infra=("gcp",), image="host.example.com/t:1", image_auth="LOGIN")
    task = {**made.request["task"], "file_mounts": {}}
    given = {"task": task, "secrets": request.registry_secrets(made, "skypilot")}
    assert json.loads(slurm.sky(LOGIN, given)) == [["host.example.com", "host.example.com/t:1"]]
