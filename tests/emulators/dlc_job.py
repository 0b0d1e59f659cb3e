"""One job of the DLC emulator: its states, its nodes as containers, its mounts."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.emulators.dlc import DlcCloud

TERMINAL = {"Succeeded", "Failed", "Stopped"}
STOPPABLE = {"Queuing", "Running"}
"""Where StopJob works (aliyun/alibabacloud-aiops-skills, alibabacloud-pai-dlc-job)."""
ROUND_S = 0.05


class DlcJob:
    """A job. `evict` takes its machines away, as spot does: the job fails, unless AIMaster starts it again.

    With AIMaster the job stays Running: the nodes get new pods of the same names, the old ones become HistoryPods.
    """

    def __init__(self, job_id: str, request: dict[str, Any], cloud: DlcCloud) -> None:
        self.id, self.request, self.cloud = job_id, request, cloud
        self.name = request["DisplayName"]
        self.created_at = _now()
        self.status, self.reason = "Creating", ("", "")
        self.history: list[dict[str, Any]] = [{"Status": "Creating", "StartTime": self.created_at}]
        self.finished_at = ""
        self.sub_status = "Normal"
        self.nodes: list[Node] = []
        """The pods of now."""
        self.history_pods: list[Node] = []
        """Those before them, oldest first."""
        self._asked = ""

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether StopJob was called."""
        return self._asked == "stop"

    def stop(self) -> None:
        """StopJob."""
        self._asked = self._asked or "stop"

    def evict(self, *, notice: bool = True) -> None:
        """Take the machines back: SIGTERM and the grace time, or nothing but dead machines."""
        self._asked = "notice" if notice else "blackout"

    @property
    def has_aimaster(self) -> bool:
        """Whether AIMaster starts the job again."""
        return bool(self.request["Settings"].get("EnableErrorMonitoringInAIMaster"))

    def kill(self) -> None:
        """The test is over."""
        self._asked = "over"
        for node in self.nodes:
            node.signal("kill")

    def describe(self) -> dict[str, Any]:
        """GetJob, and a row of ListJobs."""
        ended = {"GmtFinishTime": self.finished_at} if self.finished_at else {}
        return {
            **self.request,
            "JobId": self.id,
            "Status": self.status,
            "ReasonCode": self.reason[0],
            "ReasonMessage": self.reason[1],
            "GmtCreateTime": self.created_at,
            "StatusHistory": list(self.history),
            "Pods": [self._pod(node) for node in reversed(self.nodes)],  # no order is documented
            **ended,
        }

    def lines(self, pod: str, uid: str | None) -> list[str]:
        """The output of a pod: the newest of its name, or that with the uid."""
        there = [node for node in (*self.history_pods, *self.nodes) if node.pod == pod and uid in (None, node.uid)]
        return there[-1].said if there else []

    def _pod(self, node: Node) -> dict[str, Any]:
        said = {**node.describe(), "SubStatus": self.sub_status}
        earlier = [old.describe() for old in reversed(self.history_pods) if old.pod == node.pod]
        return {**said, "HistoryPods": earlier} if earlier else said

    # --- states --------------------------------------------------------------------------------------------
    def _move(self, status: str) -> None:
        self.history.append({"Status": status, "StartTime": _now()})
        self.status = status
        self._stay()

    def _stay(self) -> None:
        while self.cloud.held == self.status and not (self._asked and self.status in STOPPABLE):
            time.sleep(ROUND_S)

    def _end(self, status: str, code: str = "", message: str = "") -> None:
        """The end; `cloud.held` may keep the job in the state before it, with its pods."""
        self.reason = (code, message)
        if self.cloud.held == f"{status}Reserving":
            self._move(f"{status}Reserving")
        self.finished_at = _now()
        self._move(status)

    def _run(self) -> None:
        try:
            self._live()
        except Exception as problem:
            self._end("Failed", "InternalError", f"internal error: {problem!r}")
        finally:
            for node in (*self.history_pods, *self.nodes):
                node.clear()

    def _live(self) -> None:
        self._stay()
        self._move("Queuing")
        worker = self.request["JobSpecs"][0]
        while worker.get("EcsSpec") in self.cloud.sold_out and not self._asked:
            time.sleep(ROUND_S)
        if self._asked == "stop":
            return self._end("Stopped", "StoppedByUser")
        if "SpotSpec" in worker and worker.get("EcsSpec", "").startswith("ml."):
            self._move("Bidding")
        self._move("EnvPreparing")
        if self.request["Settings"].get("EnableSanityCheck"):
            self._move("SanityChecking")
        self._start_nodes()
        self._move("Running")
        while (why := self._wait()) in ("notice", "blackout") and self.has_aimaster:
            self._asked = ""
            self._start_nodes()
        return self._finish(why)

    def _start_nodes(self) -> None:
        count, port = self.request["JobSpecs"][0]["PodCount"], _free_port()
        self.history_pods += self.nodes
        self.nodes = [Node(self, number, count, port) for number in range(count)]
        for node in self.nodes:
            node.start()

    def _wait(self) -> str:
        """Until all nodes are done: returns who ended it, or an empty string."""
        why = ""
        while any(node.exit_code is None for node in self.nodes):
            failed = any(node.exit_code for node in self.nodes)
            if not why and (self._asked or failed):
                why = self._asked or "failed"
                grace_s = min(self.request["Settings"]["TerminationGracePeriodSeconds"], self.cloud.max_grace_s)
                for node in self.nodes:
                    node.signal("stop" if why in ("stop", "notice", "failed") else "kill", grace_s)
            time.sleep(ROUND_S)
        return why

    def _finish(self, why: str) -> None:
        if why == "stop":
            return self._end("Stopped", "StoppedByUser", "the job is stopped by a user")
        if why in ("notice", "blackout"):
            self.sub_status = "Evicted"
            return self._end("Failed", "JobFailed", "the pod is evicted: the spot instance was released")
        failed = next((node for node in self.nodes if node.exit_code), None)
        if failed:
            return self._end("Failed", "JobFailed", f"pod {failed.pod} failed, exit code: {failed.exit_code}")
        return self._end("Succeeded")


class Node:
    """A machine: a container with its mounts and what a PyTorchJob finds in its environment."""

    def __init__(self, job: DlcJob, number: int, count: int, port: int) -> None:
        self.exit_code: int | None = None
        self.pod, self.uid = pod_id(job.id, number), str(uuid.uuid4())
        self.said: list[str] = []
        self._job, self.number, self._count, self._port = job, number, count, port
        self._folder = Path(tempfile.mkdtemp(prefix="dlc-"))
        self._folder.chmod(0o755)
        self._created_at = _now()

    def describe(self) -> dict[str, Any]:
        """What GetJob says of it."""
        status = {None: "Running", 0: "Succeeded"}.get(self.exit_code, "Failed")
        kind = "Master" if self.number == 0 else "Worker"
        return {"PodId": self.pod, "PodUid": self.uid, "Type": kind, "Status": status,
                "GmtCreateTime": self._created_at}  # fmt: skip

    def start(self) -> None:
        """Mount and run."""
        mounts = [word for source in self._job.request["DataSources"] for word in self._mount(source)]
        threading.Thread(target=self._run, args=(mounts,), daemon=True).start()

    def signal(self, word: str, grace_s: float = 0) -> None:
        """`stop` (SIGTERM, later SIGKILL) or `kill`; returns at once."""
        patience = ["-t", str(grace_s)] if word == "stop" else []
        argv = ["docker", word, *patience, self._container]
        subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @property
    def _container(self) -> str:
        return f"{self.pod}-{self.uid[:8]}"

    def clear(self) -> None:
        """The machine is lost."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _mount(self, source: dict[str, Any]) -> list[str]:
        """The files at the address now, as a read-only folder; a mount by FUSE would show it when it is read."""
        target = self._folder / source["MountPath"].strip("/").replace("/", "_")
        target.mkdir()
        host, _, prefix = source["Uri"].removeprefix("oss://").partition("/")
        store = self._job.cloud.store(host.partition(".")[0])
        for item in store.list(prefix):
            path = target / item.key.removeprefix(prefix)
            store.fetch(item.key, path)
        mode = "ro" if source["MountAccess"] == "RO" else "rw"
        return ["--volume", f"{target}:{source['MountPath']}:{mode}"]

    def _run(self, mounts: list[str]) -> None:
        with subprocess.Popen(self._argv(mounts), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            readers = [threading.Thread(target=self._read, args=[each]) for each in (process.stdout, process.stderr)]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
        self.exit_code = process.returncode

    def _read(self, stream: IO[bytes]) -> None:
        """Collect the lines of one stream, as a container runtime does: half a line of another is never in between."""
        for line in stream:
            self.said.append(line.decode("utf-8", "replace").rstrip("\n"))

    def _argv(self, mounts: list[str]) -> list[str]:
        request = self._job.request
        masters = [pod_id(self._job.id, i) for i in range(self._count)]
        return [
            *("docker", "run", "--rm", "--name", self._container, "--hostname", self.pod),
            *("--network", "host", "--shm-size", "256m"),  # the host's network, because the cloud is on loopback
            *(word for i, host in enumerate(masters) for word in ("--add-host", f"{host}:127.0.0.{i + 2}")),
            *mounts,
            *(word for key, value in self._environment(masters[0]).items() for word in ("--env", f"{key}={value}")),
            *("--entrypoint", "/bin/sh", request["JobSpecs"][0]["Image"], "-c", request["UserCommand"]),
        ]

    def _environment(self, master: str) -> dict[str, str]:
        cloud = self._job.cloud
        injected = self._job.request["CredentialConfig"]["EnableCredentialInject"]
        return {
            **self._job.request["Envs"],
            "MASTER_ADDR": master,
            "MASTER_PORT": str(self._port),
            "WORLD_SIZE": str(self._count),
            "RANK": str(self.number),
            "NPROC_PER_NODE": "1",
            "all_proxy": cloud.oss.url,
            "no_proxy": "127.0.0.1,localhost",
            **({"ALIBABA_CLOUD_CREDENTIALS_URI": f"{cloud.url}/role/{self._job.id}"} if injected else {}),
        }


def pod_id(job_id: str, number: int) -> str:
    """`dlc…-master-0`, `dlc…-worker-0`, …"""
    return f"{job_id}-master-0" if number == 0 else f"{job_id}-worker-{number - 1}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
