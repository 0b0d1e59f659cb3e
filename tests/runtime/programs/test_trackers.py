"""MLflow, SwanLab and Trackio: the real packages, offline, see one run over a restart."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ftsdk import contract
from ftsdk.runtime.programs import trackers
from ftsdk.runtime.supervisor.trainer import trackers as variables
from ftsdk.testing import tiny
from tests.runtime.harness import document
from tests.runtime.programs.test_training import STEPS, train

PACKAGES = ("mlflow-skinny>=3", "sqlalchemy>=2", "alembic", "swanlab>=0.10", "trackio>=0.21")
RUNS = {
    "mlflow": {"run_id": "job-run", "uri": None, "experiment": "tries"},
    "swanlab": {"run_id": "job-run", "project": "tries", "workspace": None, "mode": "auto"},
    "trackio": {"run_id": "job-run"},
}
READ = """
import json, sqlite3, sys
import mlflow
folder = sys.argv[1]
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow/mlflow.db")
client = mlflow.MlflowClient()
found = mlflow.search_runs(experiment_names=["tries"], output_format="list")
losses = [[m.step for m in client.get_metric_history(run.info.run_id, "loss")] for run in found]
from trackio.sqlite_storage import SQLiteStorage
runs = SQLiteStorage.get_runs("tries")
rows = [SQLiteStorage.get_logs("tries", name) for name in runs]
print("FOUND" + json.dumps({
    "mlflow": [sorted(steps) for steps in losses], "statuses": [run.info.status for run in found],
    "trackio": runs, "trackio_steps": [[r["train/global_step"] for r in log if "train/loss" in r] for log in rows],
}))
"""


def test_without_addresses_runs_are_kept_beside_the_model(tmp_path):
    made = variables.environment(document(tmp_path, "llamafactory", trackers=RUNS), {"MLFLOW_TAGS": '{"a": "b"}'})
    reports = tmp_path / "durable"
    assert made["MLFLOW_TRACKING_URI"] == f"sqlite:///{reports / 'mlflow' / 'mlflow.db'}"
    assert json.loads(made["MLFLOW_TAGS"]) == {"a": "b", "ftsdk.run": "job-run"}
    assert made["SWANLAB_MODE"] == "offline" and made["SWANLAB_LOG_DIR"] == str(reports / "swanlab")
    assert made["TRACKIO_DIR"] == str(reports / "trackio")


def test_a_key_or_a_server_puts_runs_online(tmp_path):
    runs = {**RUNS, "mlflow": {**RUNS["mlflow"], "uri": "http://mlflow:5000"}}
    made = variables.environment(document(tmp_path, "llamafactory", trackers=runs), {"SWANLAB_API_KEY": "key"})
    assert made["MLFLOW_TRACKING_URI"] == "http://mlflow:5000" and made["SWANLAB_MODE"] == "online"


def test_a_document_of_an_earlier_launcher_has_only_wandb(tmp_path):
    given = document(tmp_path, "llamafactory")
    assert set(variables.environment(given, {})) == {"WANDB_MODE"} and trackers.arguments(given) == {}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Environment in which the trainer finds the trackers behind its own packages."""
    folder = tmp_path_factory.mktemp("packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder / "lib"), *PACKAGES]
    subprocess.run(install, check=True, capture_output=True)
    (folder / "sitecustomize.py").write_text(f"import sys; sys.path.append({str(folder / 'lib')!r})")
    return {"PYTHONPATH": str(folder), "SWANLAB_API_KEY": "", "HF_HUB_OFFLINE": "1"}


@pytest.mark.trainer
@pytest.mark.long
def test_a_restart_continues_one_run_of_each(tmp_path, tiny_folder, packages):
    names = ["mlflow", "swanlab", "trackio"]
    options = {"trackers": RUNS, "config": {"report_to": names, "project": "tries"}, "environ": packages}
    first = train(tmp_path, tiny_folder, **options)
    first.wait_for('"step": 7,')
    assert first.terminate() == contract.EXIT_INTERRUPTED, first.lines()[-5:]
    second = train(tmp_path, tiny_folder, attempt=2, **options)
    assert second.wait() == contract.EXIT_SUCCEEDED, second.lines()[-5:]

    environ = {
        **packages,
        "PATH": "/usr/bin:/bin",
        "TRACKIO_DIR": str(second.durable / "trackio"),
        "HOME": str(tmp_path),
    }
    argv = [tiny.TRAINER_PYTHON, "-c", READ, str(second.durable)]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.partition("FOUND")[2])
    assert found["mlflow"] == [STEPS] and found["statuses"] == ["FINISHED"]
    assert found["trackio"] == ["job-run"] and found["trackio_steps"] == [STEPS]
    files = sorted((second.durable / "swanlab").glob("run-*/*.swanlab"))
    assert [file.name for file in files] == ["run-job_run.swanlab"] * 2
