"""An endpoint of the SageMaker emulator: a container for each variant, called at /ping and /invocations."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from tests.emulators.sagemaker import SageMakerCloud

PORT, ROUND_S = 8080, 0.2
MODEL, MORE = "opt/ml/model", "opt/ml/additional-model-data-sources"


class Endpoint:
    """An endpoint; its containers have the port 8080 on a separate network."""

    def __init__(self, name: str, variants: list[tuple[dict[str, Any], dict[str, Any]]], cloud: SageMakerCloud) -> None:
        """`variants` are (production variant, model) as requested."""
        self.name, self.status, self.failure_reason = name, "Creating", ""
        self.created_at = time.time()
        self.answered: list[str] = []
        """Variants, one for each request."""
        self._variants = [
            (variant, Container(f"{name}-{variant['VariantName']}", model, cloud)) for variant, model in variants
        ]
        self._chance = random.Random(3)
        self._cloud = cloud
        threading.Thread(target=self._start, daemon=True).start()

    def invoke(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer of a variant, chosen by the weights."""
        weights = [variant["InitialVariantWeight"] for variant, _ in self._variants]
        ((variant, container),) = self._chance.choices(self._variants, weights)
        self.answered.append(variant["VariantName"])
        request = Request(f"{container.url}/invocations", body, {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=60) as response:
                return response.status, response.read()
        except HTTPError as problem:
            return problem.code, problem.read()

    def delete(self) -> None:
        """Stop the containers."""
        self.status = "Deleting"
        for _, container in self._variants:
            container.clear()

    def _start(self) -> None:
        try:
            for _, container in self._variants:
                container.start()
            while not all(container.is_healthy() for _, container in self._variants):
                time.sleep(ROUND_S)
            self.status = "InService"
        except Exception as problem:
            self.failure_reason, self.status = str(problem), "Failed"


class Container:
    """One machine of a variant."""

    def __init__(self, name: str, model: dict[str, Any], cloud: SageMakerCloud) -> None:
        self.url = ""
        self._name, self._model, self._cloud = f"sm-endpoint-{name}", model["PrimaryContainer"], cloud
        self._folder = Path(tempfile.mkdtemp(prefix="endpoint-"))

    def start(self) -> None:
        """Fetch the data sources and run the image with the word `serve`."""
        sources = {MODEL: self._model.get("ModelDataSource", {}).get("S3DataSource")}
        more = self._model.get("AdditionalModelDataSources", [])
        sources |= {f"{MORE}/{source['ChannelName']}": source["S3DataSource"] for source in more}
        for path, source in sources.items():
            self._fetch(source, self._folder / path)
        environment = [word for item in self._model["Environment"].items() for word in ("--env", "=".join(item))]
        argv = ["docker", "run", "--detach", "--name", self._name, "--publish", f"127.0.0.1::{PORT}"]
        mount = ["--volume", f"{self._folder}/opt/ml:/opt/ml"]
        subprocess.run([*argv, *mount, *environment, self._model["Image"], "serve"], check=True, capture_output=True)
        port = subprocess.run(["docker", "port", self._name, str(PORT)], check=True, capture_output=True, text=True)
        self.url = f"http://{port.stdout.split()[0]}"

    def is_healthy(self) -> bool:
        """Whether /ping answers. Raises RuntimeError if the container has ended."""
        state = subprocess.run(
            ["docker", "inspect", "-f", "{{.State.Running}}", self._name], capture_output=True, text=True
        )
        if state.stdout.strip() != "true":
            self._keep_log()
            raise RuntimeError("The primary container for production variant main did not pass the ping health check. "
                               "Please check CloudWatch logs for this endpoint.")  # fmt: skip
        try:
            with urlopen(f"{self.url}/ping", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def clear(self) -> None:
        """The machine is lost."""
        subprocess.run(["docker", "rm", "--force", self._name], capture_output=True, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fetch(self, source: dict[str, str] | None, target: Path) -> None:
        target.mkdir(parents=True)
        if source is None:
            return
        assert source["S3Uri"].endswith("/") and source["CompressionType"] == "None"
        bucket, _, prefix = source["S3Uri"].removeprefix("s3://").partition("/")
        s3 = self._cloud.client("s3")
        for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
            path = target / item["Key"].removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, item["Key"], str(path))

    def _keep_log(self) -> None:
        said = subprocess.run(["docker", "logs", self._name], capture_output=True, text=True, check=False)
        logs, place = self._cloud.client("logs"), self._name.removeprefix("sm-endpoint-").rpartition("-")
        group = f"/aws/sagemaker/Endpoints/{place[0]}"
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName=place[2])
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in (said.stdout + said.stderr).splitlines() if line]
        logs.put_log_events(logGroupName=group, logStreamName=place[2], logEvents=events)


def describe(endpoint: Endpoint, arn: str) -> dict[str, Any]:
    """DescribeEndpoint."""
    failure = {"FailureReason": endpoint.failure_reason} if endpoint.failure_reason else {}
    return {
        "EndpointName": endpoint.name, "EndpointArn": arn, "EndpointConfigName": endpoint.name,
        "EndpointStatus": endpoint.status, "CreationTime": endpoint.created_at, "LastModifiedTime": time.time(),
        **failure,
    }  # fmt: skip


def error(message: str) -> bytes:
    """An error answer of the runtime."""
    return json.dumps({"Message": message}).encode()
