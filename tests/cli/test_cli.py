"""The command line, run in a shell as users do."""

import json
import subprocess
import sys

import pytest


def ftsdk(*arguments, cwd=None):
    command = [sys.executable, "-c", "from ftsdk.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60)


@pytest.fixture
def job_yaml(spec_folder):
    path = spec_folder / "job.yaml"
    path.write_text("model: ./model\nmethod: sft\ndataset: train.jsonl\nhyperparameters: {learning_rate: 1e-4}\n")
    return path


def test_help_lists_every_command():
    from ftsdk.cli import COMMANDS

    said = ftsdk("--help").stdout
    assert all(f"  {name} " in said for name in COMMANDS)


def test_every_command_has_help():
    from ftsdk.cli import COMMANDS, cli

    for name in COMMANDS:
        command = cli.get_command(None, name)
        assert command is not None
        assert command.help


def test_importing_the_package_and_showing_help_loads_nothing_heavy():
    heavy = ("pydantic", "yaml", "rich", "duckdb", "torch", "sqlite3", "matplotlib", "plotext")
    code = f"import sys, ftsdk, ftsdk.cli; print([m for m in {heavy!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_plan_has_what_machines_need(job_yaml):
    done = ftsdk("plan", str(job_yaml), "--json", "--set", "learning_rate=2e-4", "--set", "tuning.rank=4")
    plan = json.loads(done.stdout)
    wanted = {"backend", "name", "request", "uploads", "secrets", "trainer_config", "estimate", "warnings"}
    assert wanted <= set(plan)
    assert plan["trainer_config"]["learning_rate"] == 2e-4
    assert plan["trainer_config"]["lora_rank"] == 4


def test_plan_shows_every_script_as_it_is_written(job_yaml):
    assert "/结果/" in ftsdk("plan", str(job_yaml), "--set", "output=/结果").stdout
    on_slurm = ftsdk("plan", str(job_yaml), "-b", "skypilot", "-o", "infra=slurm/lab", "-o", "storage=/nfs/jobs").stdout
    assert "\n    setup: |-\n      set -e\n      exec 9>/nfs/jobs/" in on_slurm


def test_plan_creates_nothing_of_a_job(job_yaml, own_home):
    ftsdk("plan", str(job_yaml))
    assert not (own_home / "jobs").exists()
    assert not (own_home / "journal.db").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("plan", "nothing.yaml"), 2, "There is no file nothing.yaml"),
        (("plan", "qwen3-8b-stf"), 2, "did you mean 'qwen3-8b-sft'"),
        (("plan", "JOB", "--set", "learnin_rate=1"), 2, "did you mean 'learning_rate'"),
        (("plan", "JOB", "--set", "learning_rate"), 2, "key=value"),
        (("plan", "JOB", "--set", "learning_rate=[1"), 2, "is not valid YAML"),
        (("plan", "JOB", "--set", "model=https://huggingface.co/Qwen/Qwen3-8B/tree/main"), 2, "such as Qwen/Qwen3-8B."),
        (("watch", "nothing"), 20, "knows no job"),
        (("plan", "JOB", "--backend", "dokcer"), 2, "did you mean 'docker'"),
        (("plan", "JOB", "-o", "pyhton=x"), 2, "did you mean 'python'"),
        (("plan", "JOB", "--set", "dataset=none.jsonl"), 2, "no such file"),
        (("plan", "JOB", "--spot"), 4, "resources.spot"),
        (("plan", "JOB", "--set", "resources.num_nodes=2"), 4, "num_nodes"),
        (("status", "local://nothing-12345678"), 20, "no job"),
        (("status", "nothing"), 20, "knows no job"),
        (("logs", "nope://x"), 2, "no backend 'nope'"),
        (("jbos",), 2, "did you mean 'jobs'"),
        (("recipes", "qwen"), 2, "no recipe"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence_with_its_own_exit_code(job_yaml, arguments, code, says):
    done = ftsdk(*(str(job_yaml) if a == "JOB" else a for a in arguments))
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: [\n", "line 2"),
        ("- a\n- b\n", "mapping"),
        ("", "mapping"),
        ("model: x/y\n", "'dataset' is missing"),
        ("model: x/y\ndataset: {train: []}\n", "dataset.train: name at least one"),
        ("model: x/y\ndataset: d\nmodel: z/y\n", "line 3, column 1: the key 'model' appears twice"),
        ("model: x/y\ndataset: d\nhyperparamters: {}\n", "did you mean 'hyperparameters'"),
    ],
)
def test_a_broken_yaml_is_reported_in_one_sentence(tmp_path, text, says):
    (tmp_path / "job.yaml").write_text(text)
    done = ftsdk("plan", "job.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert "job.yaml" in done.stderr


def test_a_llamafactory_yaml_is_planned_unchanged(spec_folder):
    (spec_folder / "data").mkdir()
    (spec_folder / "train.jsonl").rename(spec_folder / "data" / "train.jsonl")
    (spec_folder / "data" / "dataset_info.json").write_text('{"mine": {"file_name": "train.jsonl"}}')
    (spec_folder / "examples").mkdir()
    (spec_folder / "examples" / "sft.yaml").write_text(
        f"model_name_or_path: {spec_folder / 'model'}\nstage: sft\ndo_train: true\nfinetuning_type: lora\n"
        "dataset: mine\noutput_dir: saves/x\noverwrite_output_dir: true\nlearning_rate: 1.0e-4\n"
    )
    done = ftsdk("plan", str(spec_folder / "examples" / "sft.yaml"), "--json")
    assert done.returncode == 0, done.stderr
    assert "output_dir" not in json.loads(done.stdout)["trainer_config"]
    assert "Note: output_dir is ignored" in done.stderr


def test_init_writes_a_recipe_and_never_over_a_file(tmp_path):
    assert ftsdk("init", "qwen3-8b-sft", cwd=tmp_path).stdout.strip() == "job.yaml"
    assert "Qwen/Qwen3-8B" in (tmp_path / "job.yaml").read_text()
    again = ftsdk("init", "qwen3-8b-sft", cwd=tmp_path)
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


def test_every_recipe_is_a_valid_spec():
    from ftsdk.recipes import catalogue, specfile

    names = [recipe.name for recipe in catalogue.each()]
    assert names
    assert all(specfile.load(name).spec.model for name in names)


def test_the_schema_accepts_what_people_write():
    schema = json.loads(ftsdk("schema").stdout)
    assert schema["properties"]["hyperparameters"]
    assert "sft" in schema["properties"]["method"]["anyOf"][0]["enum"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell):
    assert "_FTSDK_COMPLETE" in ftsdk("completion", shell).stdout


def test_the_schema_is_one_and_every_recipe_fits_it():
    import jsonschema

    from ftsdk.recipes import catalogue, specfile
    from ftsdk.spec.schema import json_schema

    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for recipe in catalogue.each():
        jsonschema.validate(specfile.read_yaml(recipe.path), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"model": "a/b", "dataset": "x", "modle": 1}, schema)


def test_a_recipes_files_are_read_from_where_the_user_is(spec_folder):
    done = ftsdk("plan", "qwen2.5-0.5b-instruct-sft", "--json", cwd=spec_folder)
    assert done.returncode == 0, done.stderr
    info = json.loads(done.stdout)["document"]["dataset_info"]
    assert info["train"]["file_name"] == str(spec_folder / "train.jsonl")
