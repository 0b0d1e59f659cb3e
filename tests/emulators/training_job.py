"""One training job of the SageMaker emulator: its states, its machines as containers, its folder /opt/ml."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.emulators.sagemaker import SageMakerCloud

ACCOUNT, REGION = "123456789012", "us-west-2"
ROUND_S = 0.05
FAILURE_LETTERS = 1024
SIGKILLED = 137


def arn(name: str) -> str:
    """A training job's ARN."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name}"


class TrainingJob:
    """A job. `interrupt` takes the spot machines away; the job starts again on new ones with nothing but its inputs."""

    def __init__(self, request: dict[str, Any], cloud: SageMakerCloud) -> None:
        self.request, self.cloud = request, cloud
        self.name = request["TrainingJobName"]
        self.status, self.secondary = "InProgress", "Starting"
        self.transitions: list[dict[str, Any]] = []
        self.created_at = self.changed_at = time.time()
        self.began_at: float | None = None
        self.ended_at: float | None = None
        self.trained_s = 0.0
        self.failure_reason = ""
        self.starts = 0
        self._asked = ""
        self._nodes: list[Node] = []
        self._move("Pending" if self._waits else "Starting")

    @property
    def _waits(self) -> bool:
        """Jobs with reserved capacity, or with a limit on waiting, begin as Pending."""
        limited = "MaxPendingTimeInSeconds" in self.request["StoppingCondition"]
        return limited or "TrainingPlanArn" in self.request["ResourceConfig"]

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> bool:
        """StopTrainingJob; False if it is no more in progress."""
        if self.status != "InProgress":
            return False
        self.status, self._asked = "Stopping", "stop"
        return True

    def interrupt(self, *, notice: bool = True) -> None:
        """Take the machines back: SIGTERM and the platform's time, or nothing but a dead machine."""
        self._asked = "notice" if notice else "blackout"

    def kill(self) -> None:
        """The test is over."""
        self._asked = "blackout" if self.ended_at is None else ""
        self.request["EnableManagedSpotTraining"] = False
        for node in self._nodes:
            node.signal("kill")

    def describe(self) -> dict[str, Any]:
        """DescribeTrainingJob."""
        output = self.request["OutputDataConfig"]
        said = {key: value for key, value in self.request.items() if key != "Tags"}
        said |= self.summary()
        if self.began_at:
            said["TrainingStartTime"] = self.began_at
        if self.ended_at:
            billable = self.trained_s * (0.3 if self.request.get("EnableManagedSpotTraining") else 1)
            said |= {"TrainingTimeInSeconds": round(self.trained_s), "BillableTimeInSeconds": round(billable)}
            folder = "model/" if output.get("CompressionType") == "NONE" else "model.tar.gz"
            said["ModelArtifacts"] = {"S3ModelArtifacts": f"{self._output()}/{folder}"}
        if self.failure_reason:
            said["FailureReason"] = self.failure_reason
        return said | {"SecondaryStatusTransitions": self.transitions}

    def summary(self) -> dict[str, Any]:
        """A row of ListTrainingJobs."""
        ended = {"TrainingEndTime": self.ended_at} if self.ended_at else {}
        return {
            "TrainingJobName": self.name,
            "TrainingJobArn": arn(self.name),
            "CreationTime": self.created_at,
            "LastModifiedTime": self.changed_at,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            **ended,
        }

    # --- states --------------------------------------------------------------------------------------------
    def _move(self, secondary: str, message: str = "") -> None:
        now = time.time()
        if self.transitions:
            self.transitions[-1]["EndTime"] = now
        self.secondary, self.changed_at = secondary, now
        self.transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})

    def _end(self, status: str, secondary: str, reason: str = "") -> None:
        self.failure_reason = reason
        self.ended_at = time.time()
        self._move(secondary)
        self.status = status

    def _run(self) -> None:
        try:
            if not self._has_machines():
                reason = "CapacityError: Unable to provision requested ML compute capacity. Please retry using a "
                return self._end("Failed", "Failed", reason + "different ML instance type.")
            while again := self._once():
                self._move(again)
                time.sleep(ROUND_S)
        except Exception as problem:
            self._end("Failed", "Failed", f"InternalServerError: {problem!r}")
        return None

    def _has_machines(self) -> bool:
        machines = self.request["ResourceConfig"]
        wanted = [item["InstanceType"] for item in machines.get("InstancePreferences", ())] or [
            machines["InstanceType"]
        ]
        free = [name for name in wanted if name not in self.cloud.sold_out]
        if free and "InstancePreferences" in machines:
            machines |= {
                "SelectedInstanceType": free[0],
                "SelectedInstanceCount": machines["InstancePreferences"][0].get("InstanceCount", 1),
            }
        return bool(free)

    def _fails_internally(self) -> bool:
        """Whether the platform breaks this start, and may do so by the job's RetryStrategy."""
        allowed: int = self.request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
        if not self.cloud.internal_errors:
            return False
        self.cloud.internal_errors -= 1
        if self.starts > allowed:
            raise RuntimeError("no attempt is left")
        return True

    def _once(self) -> str:
        """One start of all machines; `Interrupted` or `Restarting` if there is another one."""
        self.starts += 1
        for secondary in ("Starting", "LaunchingMLInstances", "PreparingTrainingStack"):
            self._move(secondary)
            time.sleep(ROUND_S)
        if self._fails_internally():
            return "Restarting"
        self._move("Downloading")
        machines = self.request["ResourceConfig"]
        count = machines.get("InstanceCount") or machines["InstancePreferences"][0].get("InstanceCount", 1)
        self._nodes = [Node(self, number, count) for number in range(count)]
        try:
            missing = [name for node in self._nodes[:1] for name in node.download()]
            if missing:
                reason = f"ClientError: Data download failed: No S3 objects found under S3 URL {missing[0]!r}"
                self._end("Failed", "Failed", reason)
                return ""
            for node in self._nodes[1:]:
                node.copy_inputs(self._nodes[0])
            self._move("DownloadingTrainingImage")
            time.sleep(ROUND_S)
            return "Interrupted" if self._train() else ""
        finally:
            for node in self._nodes:
                node.clear()

    def _train(self) -> bool:
        if self._asked == "stop":
            self._end("Stopped", "Stopped")
            return False
        self._move("Training")
        began = time.time()
        self.began_at = self.began_at or began
        for node in self._nodes:
            node.start()
        why = self._wait(began + self.request["StoppingCondition"].get("MaxRuntimeInSeconds", 86400))
        self.trained_s += time.time() - began
        for node in self._nodes:
            node.upload_checkpoints()
        left_by_itself = why == "notice" and any(node.exit_code != SIGKILLED for node in self._nodes)
        if why in ("notice", "blackout") and self.request.get("EnableManagedSpotTraining") and not left_by_itself:
            self._asked = ""
            return True
        self._finish(why)
        return False

    def _wait(self, deadline: float) -> str:
        """Until all machines are done: returns who ended it, or an empty string."""
        why = ""
        while any(node.exit_code is None for node in self._nodes):
            asked = self._asked or ("runtime" if time.time() > deadline else "")
            failed = any(node.exit_code for node in self._nodes)
            if not why and (asked or failed):
                why = asked
                if asked in ("stop", "runtime"):
                    self._move("Stopping")
                for node in self._nodes:
                    node.signal("kill" if asked == "blackout" else "stop", self.cloud.grace_s)
            time.sleep(ROUND_S)
        return why

    def _finish(self, why: str) -> None:
        self._move("Uploading")
        for node in self._nodes:
            node.upload(self._output(), compressed=self.request["OutputDataConfig"].get("CompressionType") != "NONE")
        if why in ("stop", "runtime"):
            return self._end("Stopped", "MaxRuntimeExceeded" if why == "runtime" else "Stopped")
        failed = next((node for node in self._nodes if node.exit_code), None)
        if failed:
            return self._end("Failed", "Failed", f"AlgorithmError: {failed.failure()}, exit code: {failed.exit_code}")
        return self._end("Completed", "Completed")

    def _output(self) -> str:
        return f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"


class Node:
    """A machine: a container with its folder /opt/ml."""

    def __init__(self, job: TrainingJob, number: int, count: int) -> None:
        self.exit_code: int | None = None
        self._job, self._number = job, number
        self._hosts = [f"algo-{i + 1}" for i in range(count)]
        self._container = f"sm-{job.name}-{job.starts}-{number}"
        self._folder = Path(tempfile.mkdtemp(prefix="sagemaker-"))
        for name in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (self._folder / name).mkdir(parents=True)
        self._s3 = job.cloud.client("s3")

    # --- /opt/ml -------------------------------------------------------------------------------------------
    def download(self) -> list[str]:
        """Inputs and synced checkpoints; returns addresses under which nothing lies."""
        missing = []
        for channel in self._job.request.get("InputDataConfig", []):
            if "S3DataSource" not in channel["DataSource"]:  # mounted
                continue
            address = channel["DataSource"]["S3DataSource"]["S3Uri"]
            if not self._fetch(address, self._folder / "input" / "data" / channel["ChannelName"]):
                missing.append(address)
        if synced := self._job.request.get("CheckpointConfig"):
            self._fetch(f"{synced['S3Uri'].rstrip('/')}/", self._folder / "checkpoints")
        return missing

    def copy_inputs(self, other: Node) -> None:
        """The same inputs as another node."""
        shutil.copytree(other._folder / "input", self._folder / "input", dirs_exist_ok=True)

    def upload_checkpoints(self) -> None:
        """The platform's own copy of the checkpoint folder."""
        if synced := self._job.request.get("CheckpointConfig"):
            self._put(self._folder / "checkpoints", synced["S3Uri"].rstrip("/"))

    def upload(self, address: str, *, compressed: bool) -> None:
        """What the first machine, or all of them, left in /opt/ml/model."""
        if not compressed:
            self._put(self._folder / "model", f"{address}/model")
        elif self._number == 0:
            made = shutil.make_archive(str(self._folder / "made"), "gztar", self._folder / "model")
            bucket, key = _split(f"{address}/model.tar.gz")
            self._s3.upload_file(made, bucket, key)

    def failure(self) -> str:
        """The first letters of /opt/ml/output/failure."""
        path = self._folder / "output" / "failure"
        return path.read_text("utf-8", "replace")[:FAILURE_LETTERS] if path.is_file() else ""

    def clear(self) -> None:
        """The machine is lost."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write_config(self) -> None:
        request, config = self._job.request, self._folder / "input" / "config"
        channels = {
            channel["ChannelName"]: {"TrainingInputMode": channel.get("InputMode", "File"), "RecordWrapperType": "None"}
            for channel in request.get("InputDataConfig", [])
        }
        files = {
            "hyperparameters": request.get("HyperParameters", {}),
            "inputdataconfig": channels,
            "resourceconfig": {
                "current_host": self._hosts[self._number],
                "hosts": self._hosts,
                "network_interface_name": "lo",
                "current_instance_type": request["ResourceConfig"].get("InstanceType", ""),
            },
        }
        for name, data in files.items():
            (config / f"{name}.json").write_text(json.dumps(data))

    def _fetch(self, address: str, target: Path) -> int:
        bucket, key = _split(address)
        target.mkdir(parents=True, exist_ok=True)
        count = 0
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
            for found in page.get("Contents", []):
                path = target / (found["Key"][len(key) :].lstrip("/") or Path(key).name)
                path.parent.mkdir(parents=True, exist_ok=True)
                self._s3.download_file(bucket, found["Key"], str(path))
                count += 1
        return count

    def _put(self, folder: Path, address: str) -> None:
        bucket, key = _split(address)
        for path in folder.rglob("*"):
            if path.is_file():
                self._s3.upload_file(str(path), bucket, f"{key}/{path.relative_to(folder).as_posix()}")

    # --- the container -------------------------------------------------------------------------------------
    def start(self) -> None:
        """Run the image; its output goes to a separate stream."""
        self._write_config()
        stream = f"{self._job.name}/algo-{self._number + 1}-{int(time.time() * 1000)}"
        self._job.cloud.logs.open(stream)
        threading.Thread(target=self._run, args=(stream,), daemon=True).start()

    def signal(self, word: str, grace_s: float = 0) -> None:
        """`stop` (SIGTERM, later SIGKILL) or `kill`; returns at once."""
        patience = ["-t", str(grace_s)] if word == "stop" else []
        argv = ["docker", word, *patience, self._container]
        subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _run(self, stream: str) -> None:
        with subprocess.Popen(self._argv(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            rest = b""
            while data := process.stdout.read1(1 << 20):
                *lines, rest = (rest + data).split(b"\n")
                if lines:
                    self._job.cloud.logs.put(stream, [line.decode("utf-8", "replace") for line in lines])
            if rest:
                self._job.cloud.logs.put(stream, [rest.decode("utf-8", "replace")])
        self.exit_code = process.returncode

    def _argv(self) -> list[str]:
        algorithm = self._job.request["AlgorithmSpecification"]
        entrypoint = algorithm.get("ContainerEntrypoint", [])
        words = [*entrypoint[1:], *algorithm.get("ContainerArguments", [] if entrypoint else ["train"])]
        isolated = self._job.request.get("EnableNetworkIsolation")
        return [
            *("docker", "run", "--rm", "--name", self._container, "--hostname", self._hosts[self._number]),
            *("--network", "none" if isolated else "host"),  # the host's network, because the emulator is on loopback
            *(word for i, host in enumerate(self._hosts) for word in ("--add-host", f"{host}:127.0.0.{i + 2}")),
            *("--volume", f"{self._folder}:/opt/ml", "--shm-size", "256m"),
            *(word for mount in self._file_systems() for word in ("--volume", mount)),
            *(word for key, value in self._environment().items() for word in ("--env", f"{key}={value}")),
            *(("--entrypoint", entrypoint[0]) if entrypoint else ()),
            algorithm["TrainingImage"],
            *words,
        ]

    def _file_systems(self) -> list[str]:
        """Folders of FSx and EFS, mounted as the request says."""
        mounts = []
        for channel in self._job.request.get("InputDataConfig", []):
            if source := channel["DataSource"].get("FileSystemDataSource"):
                here = self._job.cloud.file_systems[source["FileSystemId"]] / source["DirectoryPath"].lstrip("/")
                mounts.append(f"{here}:/opt/ml/input/data/{channel['ChannelName']}:{source['FileSystemAccessMode']}")
        return mounts

    def _environment(self) -> dict[str, str]:
        """The request's own, the two that the platform adds, and keys in the place of the role's credentials URL."""
        from tests.emulators.sagemaker import KEYS

        own = {"TRAINING_JOB_NAME": self._job.name, "TRAINING_JOB_ARN": arn(self._job.name)}
        role = self._job.cloud.role
        keys = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{role.url}/role"} if role else KEYS
        return {**keys, **self._job.request.get("Environment", {}), **own}


def _split(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key
