"""Spec and facts -> the exact docker commands, as data. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final, TypedDict

from ftsdk import contract
from ftsdk.backends import folders
from ftsdk.engines.base import Layout
from ftsdk.plan import build

if TYPE_CHECKING:
    from ftsdk.backends.docker.options import DockerOptions
    from ftsdk.facts import Facts, ModelFacts
    from ftsdk.spec import JobSpec

DURABLE: Final = "/ftsdk/job"
RUNTIME: Final = "/ftsdk/runtime.pyz"
INPUTS: Final = "/ftsdk/inputs"
SECRETS: Final = "/ftsdk/secrets"
HUB_CACHE: Final = "/ftsdk/hub"
SCRATCH: Final = "/tmp/ftsdk"
"""On the container's own disk; /tmp is the one folder that any user may write to in any image."""
SECRETS_FILE: Final = "secrets.json"
MASTER: Final = "node0"
"""Name of the first node on the job's network. A container's name can be too long for DNS (63 characters)."""
MASTER_PORT: Final = "29500"
STOP_MARGIN_S: Final = 5
"""Seconds for the supervisor, after the trainer's grace, to record the outcome."""
LOG_LIMIT: Final = "10m"
"""The whole log is in the durable folder; Docker's copy is for a supervisor that could not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerContext:
    """The inputs of the commands."""

    spec: JobSpec
    facts: Facts
    options: DockerOptions
    name: str
    digest: str
    folder: str
    image: str

    @property
    def native_name(self) -> str:
        """Native name of the first attempt; `Plan.for_attempt` replaces it."""
        return contract.native_name(self.name, 1)

    @property
    def nodes(self) -> range:
        """Node numbers."""
        return range(self.spec.resources.num_nodes)


class DockerRequest(TypedDict):
    """The commands in their order, and what must exist before."""

    home: str
    folder: str
    """The job's folder."""
    folders: list[str]
    """Folders that must exist."""
    containers: list[str]
    network: str | None
    """None for a single node."""
    secrets: list[str]
    """Folders that hold an attempt's secrets."""
    commands: list[list[str]]


def layout(facts: Facts) -> Layout:
    """Paths inside the job."""
    copied = {address: f"{INPUTS}/remote-model-{number}" for number, address in enumerate(facts.remote_models)}
    return Layout(durable=DURABLE, scratch=SCRATCH, inputs=build.staged(facts, INPUTS) | copied)


def request(context: DockerContext) -> DockerRequest:
    """The commands in their order, and the folders that must exist before."""
    containers = [container_name(context.native_name, node, len(context.nodes)) for node in context.nodes]
    network = f"ftsdk-{context.native_name}" if len(context.nodes) > 1 else None
    hub = _hub_cache(context)
    return {
        "home": context.facts.home,
        "folder": context.folder,
        "folders": [context.folder, *([hub] if hub else [])],
        "containers": containers,
        "network": network,
        "secrets": [_secrets_folder(context, name) for name in containers] if context.spec.secrets else [],
        "commands": [
            *([_network(context, network)] if network else []),
            *(_run(context, name, node, network) for node, name in enumerate(containers)),
        ],
    }


def container_name(native_name: str, node: int, num_nodes: int) -> str:
    """`NAME-aN`, with `-nK` behind it where there are several nodes."""
    return f"{native_name}-n{node}" if num_nodes > 1 else native_name


def _network(context: DockerContext, network: str) -> list[str]:
    return [context.options.program, "network", "create", *_labels(context), network]


def _run(context: DockerContext, name: str, node: int, network: str | None) -> list[str]:
    options = context.options
    restarts = min(options.restarts, context.spec.retry.retries)
    return [
        *(options.program, "run", "--detach", "--pull", "never", "--name", name),
        *_labels(context, node),
        *("--restart", f"on-failure:{restarts}" if restarts else "no"),
        *("--stop-timeout", str(ceil(options.grace_s) + STOP_MARGIN_S)),
        *("--log-driver", "json-file", "--log-opt", f"max-size={LOG_LIMIT}"),
        *("--shm-size", _bytes(options.shm_size_gb)),
        *(("--user", options.user) if options.user else ()),
        *limits(context, node),
        *(("--network", network, "--network-alias", f"node{node}") if network else ()),
        *(word for key, value in _environment(context, node).items() for word in ("--env", f"{key}={value}")),
        *(word for mount in _mounts(context, name) for word in ("--mount", mount)),
        *_image_and_command(context),
    ]


def _image_and_command(context: DockerContext) -> tuple[str, ...]:
    """Our image's own entrypoint checks the driver and starts the runtime; another image needs only a `python`."""
    if context.options.image is None:
        return (context.image,)
    return ("--entrypoint", "python", context.image, RUNTIME, "supervise")


def _labels(context: DockerContext, node: int | None = None) -> Iterator[str]:
    labels = {
        "home": context.facts.home,
        "name": context.name,
        "attempt": context.native_name,
        "digest": context.digest,
    }
    for key, value in {**labels, **({} if node is None else {"node": node})}.items():
        yield from ("--label", f"ftsdk.{key}={value}")


def limits(context: DockerContext, node: int) -> Iterator[str]:
    """Options for memory and GPUs of a node."""
    resources = context.spec.resources
    if resources.memory_gb:
        limit = _bytes(resources.memory_gb)
        yield from ("--memory", limit, "--memory-swap", limit)  # equal: no swap, so that the limit is the limit
    if context.facts.machine.accelerators:
        first = node * resources.accelerators_per_node
        devices = ",".join(map(str, range(first, first + resources.accelerators_per_node)))
        yield from ("--gpus", f'"device={devices}"')  # Docker reads the value as CSV, hence the inner quotes


def _environment(context: DockerContext, node: int) -> dict[str, str]:
    variables = {
        contract.ENV_JOB: f"{DURABLE}/{contract.JOB_FILE}",
        contract.ENV_NATIVE_NAME: context.native_name,
    }
    if context.options.user:  # a user id that the image does not know has neither a home nor a name
        variables |= {"HOME": "/tmp", "USER": "ftsdk"}
    variables |= hub_environment(context)
    if context.spec.secrets:
        variables[contract.ENV_SECRETS_FILE] = f"{SECRETS}/{SECRETS_FILE}"
    if len(context.nodes) > 1:
        variables |= {
            contract.ENV_NUM_NODES: str(len(context.nodes)),
            contract.ENV_NODE_RANK: str(node),
            contract.ENV_MASTER_ADDR: MASTER,
            contract.ENV_MASTER_PORT: MASTER_PORT,
        }
    return variables


def hub_environment(context: DockerContext) -> dict[str, str]:
    """Where the hubs' own libraries keep what they download; empty if nothing comes from a hub."""
    if not _hub_cache(context):
        return {}
    return {"HF_HOME": f"{HUB_CACHE}/huggingface", "MODELSCOPE_CACHE": f"{HUB_CACHE}/modelscope"}


def _mounts(context: DockerContext, name: str) -> Iterator[str]:
    yield mount(context.folder, DURABLE)
    yield from input_mounts(context)
    if context.spec.secrets:
        yield mount(_secrets_folder(context, name), SECRETS)  # the folder, because a mounted file cannot be unlinked


def input_mounts(context: DockerContext) -> Iterator[str]:
    """The runtime, the inputs and the cache of hub downloads."""
    inside = layout(context.facts).inside
    yield mount(context.facts.runtime.path, RUNTIME, readonly=True)
    for path in dict.fromkeys(file.path for file in context.facts.files):
        yield mount(path, inside(path), readonly=True)  # one by one: a folder may contain links to files outside it
    for address, copy in folders.model_copies(context.facts).items():
        yield mount(copy.target.rstrip("/"), inside(address), readonly=True)
    if hub := _hub_cache(context):
        yield mount(hub, HUB_CACHE)


def mount(source: str, target: str, *, readonly: bool = False) -> str:
    """A value for --mount. Docker reads it as CSV, so a path with a comma needs quotes."""
    row = ["type=bind", f"source={source}", f"target={target}", *(["readonly"] if readonly else [])]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(row)
    return line.getvalue()


def _hub_cache(context: DockerContext) -> str | None:
    """Folder that caches hub downloads between jobs; None if nothing comes from a hub."""
    facts = context.facts
    from_hub = any(not source.is_here for source in (*facts.train, *facts.eval))
    from_hub = from_hub or not all(map(_is_given, facts.models.values()))
    return _join(context, facts.home, "cache", "hub") if from_hub else None


def _is_given(model: ModelFacts) -> bool:
    """Whether a model and its base come from this machine or from a bucket, and not from a hub."""
    return "://" in model.base or build.base_is_here(model)


def _secrets_folder(context: DockerContext, name: str) -> str:
    """In memory where the system has such a folder."""
    if context.facts.machine.platform == "linux":
        return f"/dev/shm/ftsdk-{name}"
    return _join(context, context.facts.home, "secrets", f"ftsdk-{name}")


def _join(context: DockerContext, *parts: str) -> str:
    kind = PureWindowsPath if context.facts.machine.platform == "win32" else PurePosixPath
    return str(kind(*parts))


def _bytes(gigabytes: float) -> str:
    return f"{round(gigabytes * 10**9)}b"
