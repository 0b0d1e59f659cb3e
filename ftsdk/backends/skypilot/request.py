"""Spec and facts -> SkyPilot's task, as the data of its YAML file. Pure.

Fields: https://docs.skypilot.co/en/latest/reference/yaml-spec.html (0.14).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from math import ceil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ftsdk import contract
from ftsdk.backends import passthrough
from ftsdk.backends.shared import registry_login
from ftsdk.backends.skypilot.options import IMAGE, is_kubernetes, runs_bare
from ftsdk.backends.skypilot.shapes import SkyRequest, SkyTask
from ftsdk.contract.release import __version__
from ftsdk.engines.base import Layout
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.home import jobs_dir
from ftsdk.plan import Plan, build
from ftsdk.sizing.skypilot_names import skypilot_name

if TYPE_CHECKING:
    from ftsdk.backends.skypilot.options import SkyPilotOptions
    from ftsdk.facts import Facts
    from ftsdk.spec import JobSpec

MANAGED, LAUNCHED, ON_CLUSTER = "managed", "launched", "on-cluster"
"""Kinds of jobs: of SkyPilot's jobs controller, on a cluster of its own, on an existing cluster."""
READ_FROM: Final = ("s3://", "gs://")
"""Where SkyPilot's nodes fetch inputs by themselves."""
RECOVERED: Final = [contract.EXIT_INTERRUPTED]
"""Exit codes after which the jobs controller starts the task again, without a limit: stopped, with the state saved.
A crash is not among them: the supervisor starts a crashed trainer again itself, and limits its retries."""
BUCKETS: Final = ("obstore==0.12.1", "boto3==1.44.5")
"""The runtime's client for buckets; off AWS, SkyPilot copies the user's AWS profile, which boto3 reads."""
AS_ROOT: Final = {"kubernetes": {"pod_config": {"spec": {"securityContext": {"runAsUser": 0, "runAsGroup": 0}}}}}
"""SkyPilot refuses pods whose user is not root and has no sudo (exit code 52), whatever image they run."""
LOCKS: Final = ("lf", "rl")
"""What a virtual environment on a node gets, of the locks in `containers`."""
FILES_MAX: Final = 200
"""Files of a folder that are copied one by one; SkyPilot calls rsync for each."""
FIRST_PORT, PORTS = 20000, 10000
"""Below Linux's ephemeral ports (32768 and up)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyPilotContext:
    """The inputs of the task."""

    spec: JobSpec
    facts: Facts
    options: SkyPilotOptions
    name: str
    digest: str
    durable: str

    @property
    def native_name(self) -> str:
        """Native name of the first attempt; `Plan.for_attempt` replaces it."""
        return contract.native_name(self.name, 1)

    @property
    def kind(self) -> str:
        """How SkyPilot runs it."""
        if self.options.cluster:
            return ON_CLUSTER
        managed = self.options.managed
        return MANAGED if (self.spec.resources.spot if managed is None else managed) else LAUNCHED

    @property
    def base(self) -> str:
        """The job's folder on a node's own disk."""
        return f"{self.options.scratch.rstrip('/')}/ftsdk-{self.name}"

    @property
    def has_default_image(self) -> bool:
        """Whether the job runs in LLaMA-Factory's own image."""
        return self.options.image is None and not self.options.bare and self.kind != ON_CLUSTER

    def is_shared(self, path: str) -> bool:
        """Whether the nodes see a path of this machine."""
        storage = self.spec.output or self.options.storage or ""
        folders = [*self.options.shared, *([storage] if storage.startswith("/") else [])]
        return any(PurePosixPath(path).is_relative_to(folder) for folder in folders)


def trainer_dir(home: str | Path) -> Path:
    """Where this machine keeps the program and the locks that make a node's virtual environment."""
    return Path(home, "cache", f"trainer-{__version__}")


def durable_address(spec: JobSpec, options: SkyPilotOptions, name: str) -> str:
    """Folder or address in which a job keeps its results. Raises SpecError if none is given."""
    root = spec.output or options.storage
    if not root:
        raise SpecError(
            "The skypilot backend needs the option 'storage', an address such as s3://bucket/prefix or a folder that "
            "this machine and all nodes see: give it by -o storage=VALUE, FTSDK_SKYPILOT_STORAGE, or [skypilot] in "
            "ftsdk.toml; or set `output` in the spec."
        )
    if "://" not in root and not root.startswith("/"):
        raise SpecError(f"storage {root!r}: give the whole path, from / on, which is the same on every node.")
    return f"{root.rstrip('/')}/{name}"


def layout(context: SkyPilotContext) -> Layout:
    """Where the job's things lie on a node; `scratch` is below the folder that the run script goes to."""
    return Layout(durable=context.durable, scratch="scratch", inputs=_copied(context))


def _copied(context: SkyPilotContext) -> dict[str, str]:
    """Input on this machine, or in a bucket -> where SkyPilot copies it."""
    entries = build.staged(context.facts, f"{context.base}/inputs")
    return {path: target for path, target in entries.items() if not context.is_shared(path)} | _remote(context)


def _remote(context: SkyPilotContext) -> dict[str, str]:
    """Address in a bucket -> where SkyPilot copies it."""
    facts, folder = context.facts, f"{context.base}/inputs"
    entries = {address: f"{folder}/remote-model-{number}" for number, address in enumerate(facts.remote_models)}
    for number, source in enumerate((*facts.train, *facts.eval)):
        entries[source.address] = f"{folder}/remote-data-{number}/{PurePosixPath(source.address).name}"
    if oss := next((address for address in entries if address.startswith("oss://")), None):
        raise UnsupportedError(f"{oss}: SkyPilot reads from s3:// and gs://, not from OSS; copy it there, or here.")
    return {address: path for address, path in entries.items() if address.startswith(READ_FROM)}


def request(context: SkyPilotContext) -> SkyRequest:
    """The task, and how SkyPilot runs it."""
    known = passthrough.fields_of(__package__)
    return {
        "kind": context.kind,
        "cluster": context.options.cluster or context.native_name,
        "folder": context.durable,
        "task": passthrough.merged(task(context), context.options.request, known=known, service="SkyPilot's task"),
    }


def refuse_spot_on_kubernetes(context: SkyPilotContext) -> None:
    """Raise UnsupportedError for spot where SkyPilot finds a spot node only by the label of GKE or Karpenter."""
    infra = context.options.infra
    if context.spec.resources.spot and infra and all(map(is_kubernetes, infra)):
        raise UnsupportedError(
            f"resources.spot: {', '.join(infra)} is Kubernetes, where SkyPilot knows spot nodes only by the labels of "
            f"GKE and Karpenter; leave spot out, or, if yours has them, give -o request.resources.use_spot=true and "
            f"-o managed=true instead."
        )


def warnings(context: SkyPilotContext) -> tuple[str, ...]:
    """What SkyPilot cannot do as the spec says it."""
    if context.spec.resources.spot and any(map(runs_bare, context.options.infra)):
        where = context.options.infra[0]
        return (
            f"resources.spot: Slurm has no spot capacity; {where} is used as it is, so name a partition whose jobs may "
            f"be preempted (slurm/CLUSTER/PARTITION). The job is recovered all the same.",
        )
    return ()


def task(context: SkyPilotContext) -> SkyTask:
    """What `sky launch` and `sky jobs launch` take as a YAML file."""
    setup = _setup(context)
    mounts = file_mounts(context)
    secrets = dict.fromkeys(context.spec.secrets)
    pods = any(map(is_kubernetes, context.options.infra)) or not context.options.infra
    body: SkyTask = {
        "name": context.native_name,
        "num_nodes": context.spec.resources.num_nodes,
        "resources": resources(context),
    }
    if mounts:
        body["file_mounts"] = mounts
    body["envs"] = _environment(context)
    if secrets:
        body["secrets"] = secrets
    if setup:
        body["setup"] = setup
    if pods and context.kind != ON_CLUSTER:
        body["config"] = AS_ROOT
    body["run"] = _run(context)
    return body


def resources(context: SkyPilotContext) -> dict[str, object]:
    """One choice, or several in `ordered` or `any_of`."""
    options = context.options
    cards = _cards(context)
    choices = [
        {**({"infra": where} if where else {}), **({"accelerators": card} if card else {})}
        for card in cards
        for where in options.infra or (None,)
    ]
    shared = _same_everywhere(context)
    if len(choices) == 1:
        return {**choices[0], **shared}
    return {"ordered" if options.choose == "ordered" else "any_of": choices, **shared}


def _cards(context: SkyPilotContext) -> list[str | None]:
    wanted = context.spec.resources
    given = [*([wanted.accelerator] if wanted.accelerator else []), *context.options.accelerators]
    names = dict.fromkeys(map(skypilot_name, given))
    return [f"{name}:{wanted.accelerators_per_node}" for name in names] or [None]


def image_of(context: SkyPilotContext) -> str | None:
    """The container image that the job runs in; None on bare machines and on a cluster that is up."""
    if context.kind == ON_CLUSTER:
        return None
    return context.options.image or (IMAGE if context.has_default_image else None)


def registry_secrets(plan: Plan, backend: str) -> dict[str, str]:
    """Secrets by which SkyPilot logs in to the image's registry (its documentation, "Docker containers").

    Raises AuthError if the variable that the option names is not set.
    """
    variable = plan.options.get("image_auth")
    if not variable:
        return {}
    user, _, password = registry_login(backend, str(variable)).partition(":")
    host = str(plan.options.get("image")).partition("/")[0]
    server = host if "." in host or ":" in host else "docker.io"
    values = {"USERNAME": user, "PASSWORD": password, "SERVER": server}
    return {f"SKYPILOT_DOCKER_{name}": value for name, value in values.items()}


def _same_everywhere(context: SkyPilotContext) -> dict[str, object]:
    wanted, options = context.spec.resources, context.options
    image = image_of(context)
    entries = {
        "cpus": options.cpus,
        "memory": f"{ceil(wanted.memory_gb)}+" if wanted.memory_gb else None,
        "disk_size": wanted.disk_gb,
        "max_hourly_cost": options.max_usd_per_hour,
        "image_id": f"docker:{image}" if image else None,
        "use_spot": True if wanted.spot and not any(map(runs_bare, options.infra)) else None,
        "job_recovery": _recovery(context),
        "autostop": {"idle_minutes": options.autostop_minutes, "down": True} if context.kind == LAUNCHED else None,
    }
    return {name: value for name, value in entries.items() if value is not None}


def _recovery(context: SkyPilotContext) -> dict[str, object] | None:
    """Anywhere that the request allows. SkyPilot's other strategy, FAILOVER, first goes back to the same region with
    any zone, which is to Slurm any partition: out of the one that the user named."""
    if context.kind != MANAGED:
        return None
    return {"strategy": "EAGER_NEXT_REGION", "max_restarts_on_errors": 0, "recover_on_exit_codes": list(RECOVERED)}


def file_mounts(context: SkyPilotContext) -> dict[str, str]:
    """Path on the node -> what SkyPilot copies there: the runtime, the inputs, and the document of a bucket's job."""
    brought = {context.facts.runtime.path: "runtime.pyz"}
    if _needs_setup(context):
        brought[str(trainer_dir(context.facts.home))] = "trainer"
    mounts = _input_mounts(context)
    mounts |= {_node_path(context, path, name): path for path, name in brought.items() if not context.is_shared(path)}
    if "://" in context.durable:
        mounts[_document(context)] = str(jobs_dir(context.facts.home, "skypilot") / context.name / contract.JOB_FILE)
    return mounts


def _input_mounts(context: SkyPilotContext) -> dict[str, str]:
    """Path on the node -> input. A folder is copied as its single files: SkyPilot's rsync leaves out what a folder's
    .gitignore names, weights for example, and takes along what the job does not need."""
    mounts: dict[str, str] = {}
    for path, target in _copied(context).items():
        folder = f"{path.rstrip('/')}/"
        below = [file.path for file in context.facts.files if file.path.startswith(folder)]
        if 0 < len(below) <= FILES_MAX:
            mounts |= {f"{target}/{file.removeprefix(folder)}": file for file in below}
        else:
            mounts[target] = path.rstrip("/")
    return mounts


def _node_path(context: SkyPilotContext, path: str, name: str) -> str:
    """Where a node finds something of this machine."""
    return path if context.is_shared(path) else f"{context.base}/{name}"


def _document(context: SkyPilotContext) -> str:
    folder = context.base if "://" in context.durable else context.durable
    return f"{folder}/{contract.JOB_FILE}"


def _environment(context: SkyPilotContext) -> dict[str, str]:
    entries = {contract.ENV_JOB: _document(context), contract.ENV_NATIVE_NAME: context.native_name}
    if context.spec.resources.num_nodes > 1:  # a port of its own: two jobs may share a node
        entries[contract.ENV_MASTER_PORT] = str(FIRST_PORT + int(context.digest[:8], 16) % PORTS)
    if context.spec.secrets:
        entries[contract.ENV_SECRETS] = ",".join(context.spec.secrets)
    return entries


def _venv(context: SkyPilotContext) -> str:
    """On shared storage one for all jobs and nodes, else one on each node; as a word of a shell."""
    root = shlex.quote(context.durable.rpartition("/")[0]) if "://" not in context.durable else "~"
    return f"{root}/.ftsdk-trainer-{__version__}"


def _python(context: SkyPilotContext) -> str:
    options = context.options
    if options.python or not _needs_setup(context):
        return shlex.quote(options.python or "python")
    return f"{_venv(context)}/bin/python"


def _needs_setup(context: SkyPilotContext) -> bool:
    options = context.options
    return (options.bare or context.kind == ON_CLUSTER) and not (options.python or options.setup or options.image)


def _setup(context: SkyPilotContext) -> str | None:
    """The user's own lines; else a virtual environment where there is no image, and what a bucket needs."""
    if context.options.setup:
        return context.options.setup
    if _needs_setup(context):
        folder = _node_path(context, str(trainer_dir(context.facts.home)), "trainer")
        return _make_venv(_venv(context), shlex.quote(f"{folder}/install.py"))
    if "://" in context.durable:
        python = _python(context)
        names = ", ".join(package.partition("=")[0] for package in BUCKETS)
        return f"{python} -c 'import {names}' 2>/dev/null || {python} -m pip install --quiet {' '.join(BUCKETS)}"
    return None


def _make_venv(venv: str, program: str) -> str:
    """One node at a time, since several may share the folder; an incomplete environment is created again."""
    return "\n".join(
        [
            "set -e",
            f"exec 9>{venv}.lock && flock 9",
            f"if [ ! -e {venv}/ready ]; then",
            "  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {",
            "    echo 'ftsdk: python3 is older than 3.11 on this node: name another by -o python or -o setup.'",
            "    exit 1",
            "  }",
            f"  python3 -m venv --clear {venv}",
            f"  {venv}/bin/python {program} {' '.join(LOCKS)}",
            f"  touch {venv}/ready",
            "fi",
        ]
    )


def runtime_path(context: SkyPilotContext) -> str:
    """Where a node finds the runtime, as a word of a shell."""
    return shlex.quote(_node_path(context, context.facts.runtime.path, "runtime.pyz"))


def _run(context: SkyPilotContext) -> str:
    """A folder for each node by itself, since two of them may share a disk; `exec`, so that signals come through."""
    here = f"{shlex.quote(context.base)}/node$SKYPILOT_NODE_RANK"
    return "\n".join(
        [f"mkdir -p {here} && cd {here} || exit {contract.EXIT_CRASHED}",
         f"exec {_python(context)} {runtime_path(context)} supervise"]
    )  # fmt: skip
