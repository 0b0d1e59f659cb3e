"""What needs SkyPilot's own package: run by an interpreter that has it, which need not be ftsdk's.

One JSON object comes in by stdin, one goes out by stdout; what SkyPilot prints meanwhile goes to stderr. It imports
nothing of ftsdk, so that the interpreter needs SkyPilot only.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sky import Task

    from ftsdk.backends.skypilot.shapes import SdkRequest, SdkResponse, SkyTask


def launch(request: SdkRequest) -> SdkResponse:
    """Hand a task in; the answer is the request's id, by which anybody can ask how it went. Nothing is waited for."""
    import sky
    import sky.jobs

    task = sky.Task.from_yaml_config(
        _without_links(request["task"]), secrets_overrides=list(request["secrets"].items())
    )
    if request["kind"] == "on-cluster":
        return {"request_id": str(_on_cluster(task, request["cluster"]))}
    with sky.Dag() as dag:
        dag.add(task)
    sky.get(sky.optimize(dag))  # what is to be had nowhere is refused now, and not minutes later
    managed = request["kind"] == "managed"
    request_id = sky.jobs.launch(task, name=task.name) if managed else sky.launch(task, cluster_name=request["cluster"])
    return {"request_id": str(request_id)}


def _without_links(task: SkyTask) -> SkyTask:
    """The task with the files that links point to: rsync would copy a link into a hub's cache as a link."""
    mounts = task.get("file_mounts", {})
    real = {target: path if "://" in path else os.path.realpath(path) for target, path in mounts.items()}
    return {**task, "file_mounts": real} if mounts else task


def _on_cluster(task: Task, cluster: str) -> Task:
    """On a cluster that is up. `launch` would make one that is not; `exec` has no files and no setup."""
    import sky

    if not sky.get(sky.status([cluster])):
        raise sky.exceptions.ClusterDoesNotExist(f"there is no cluster '{cluster}'")
    if task.setup or task.file_mounts:
        return sky.launch(task, cluster_name=cluster, fast=not task.setup)
    return sky.exec(task, cluster_name=cluster)


def start(_request: SdkRequest) -> SdkResponse:
    """Bring the API server up if it is SkyPilot's own on this machine."""
    import sky

    sky.api_start()
    return {}


def check(_request: SdkRequest) -> SdkResponse:
    """SkyPilot's version, and where it may run."""
    import sky
    from sky.client import sdk  # `sky.check` is a module

    sky.get(sdk.check(None, verbose=False))
    return {"version": sky.__version__, "infra": [str(name) for name in sky.get(sdk.enabled_clouds(expand=True))]}


VERBS = {"launch": launch, "start": start, "check": check}


def main() -> int:
    """Answer one question."""
    request = json.load(sys.stdin)
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    response: SdkResponse
    try:
        response = VERBS[request["verb"]](request)
    except Exception as problem:
        response = {"error": {"type": type(problem).__name__, "message": str(problem)}}
    json.dump(response, output)
    output.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
