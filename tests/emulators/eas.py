"""A service of the EAS emulator: a container with its mounts, behind a gateway that asks for the service's token."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from tests.emulators.dlc import DlcCloud

ROUND_S = 0.2


class EasService:
    """A service with one server; the number of others is only written down."""

    def __init__(self, config: dict[str, Any], labels: dict[str, str], cloud: DlcCloud) -> None:
        self.name, self.config, self.labels = config["metadata"]["name"], config, labels
        self.status, self.message = "Creating", ""
        self.token = uuid.uuid4().hex
        self.autoscaler: dict[str, Any] = {}
        self._cloud, self._url = cloud, ""
        self._folder = Path(tempfile.mkdtemp(prefix="eas-"))
        threading.Thread(target=self._run, daemon=True).start()

    def describe(self) -> dict[str, Any]:
        """DescribeService."""
        return {
            "ServiceName": self.name, "Status": self.status, "Message": self.message, "AccessToken": self.token,
            "InternetEndpoint": f"{self._cloud.url}/api/predict/{self.name}",
            "Labels": [{"LabelKey": key, "LabelValue": value} for key, value in self.labels.items()],
        }  # fmt: skip

    def forward(self, path: str, token: str, body: bytes) -> tuple[int, bytes]:
        """A request of the gateway to the server."""
        if token != self.token:
            return 401, b'{"message": "Unauthorized"}'
        try:
            with urlopen(Request(f"{self._url}{path}", body), timeout=60) as response:
                return response.status, response.read()
        except HTTPError as problem:
            return problem.code, problem.read()

    def logs(self) -> list[str]:
        """What the server has written."""
        run = subprocess.run(["docker", "logs", self._container], capture_output=True, text=True, check=False)
        return (run.stdout + run.stderr).splitlines()

    def delete(self) -> None:
        """The machine is lost."""
        subprocess.run(["docker", "rm", "--force", self._container], capture_output=True, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _container(self) -> str:
        return f"eas-{self.name}-{self.token[:6]}"

    def _run(self) -> None:
        try:
            self._start()
            while not self._is_up():
                time.sleep(ROUND_S)
            self.status = "Running"
        except Exception as problem:
            self.status, self.message = "Failed", str(problem)

    def _start(self) -> None:
        (container,) = self.config["containers"]
        mounts = [word for number, source in enumerate(self.config["storage"]) for word in self._mount(number, source)]
        variables = [word for pair in container["env"] for word in ("--env", f"{pair['name']}={pair['value']}")]
        argv = ["docker", "run", "--detach", "--name", self._container, "--publish", f"127.0.0.1::{container['port']}"]
        command = ["--entrypoint", "/bin/sh", container["image"], "-c", container["script"]]
        subprocess.run([*argv, *mounts, *variables, *command], check=True, capture_output=True)
        port = ["docker", "port", self._container, str(container["port"])]
        self._url = f"http://{subprocess.run(port, check=True, capture_output=True, text=True).stdout.split()[0]}"

    def _mount(self, number: int, source: dict[str, Any]) -> list[str]:
        folder = self._folder / str(number)
        folder.mkdir()
        bucket, _, prefix = source["oss"]["path"].removeprefix("oss://").partition("/")
        store = self._cloud.store(bucket)
        for item in store.list(prefix):
            path = folder / item.key.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            store.fetch(item.key, path)
        return ["--volume", f"{folder}:{source['mount_path']}:ro"]

    def _is_up(self) -> bool:
        argv = ["docker", "inspect", "-f", "{{.State.Running}}", self._container]
        if subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() != "true":
            raise RuntimeError("container exited")
        check = self.config["containers"][0]["startup_check"]["http_get"]
        try:
            with urlopen(f"{self._url}{check['path']}", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False
