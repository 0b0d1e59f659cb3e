"""Spec and facts -> SkyPilot's task, as the data of its YAML file. Pure.

Fields: https://docs.skypilot.co/en/latest/reference/yaml-spec.html (0.14).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from math import ceil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ftsdk import contract
from ftsdk.backends.skypilot.options import IMAGE, runs_bare
from ftsdk.contract.release import __version__
from ftsdk.engines.base import Layout
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.home import jobs_dir
from ftsdk.plan import build

if TYPE_CHECKING:
    from ftsdk.backends.skypilot.options import SkyPilotOptions
    from ftsdk.facts import Facts
    from ftsdk.spec import JobSpec

MANAGED, LAUNCHED, ON_CLUSTER = "managed", "launched", "on-cluster"
"""Kinds of jobs: of SkyPilot's jobs controller, on a cluster of its own, on a cluster that is up already."""
READ_FROM: Final = ("s3://", "gs://")
"""Where SkyPilot's nodes fetch inputs by themselves."""
RECOVERED: Final = [contract.EXIT_INTERRUPTED]
"""Exit codes after which the jobs controller starts the task again, without a limit: stopped, with the state saved.
A crash is not among them: the supervisor starts a crashed trainer again itself, and knows when to give up."""
BUCKETS: Final = "obstore==0.12.1"
"""What the runtime reaches buckets with."""
LOCKS: Final = ("lf", "rl")
"""What a virtual environment on a node gets, of the locks in `containers`."""
FIRST_PORT, PORTS = 20000, 10000
"""Below the ports that Linux gives out by itself (32768 and up)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the task is made from."""

    spec: JobSpec
    facts: Facts
    options: SkyPilotOptions
    name: str
    digest: str
    durable: str

    @property
    def native_name(self) -> str:
        """The first attempt; `Plan.for_attempt` renames it."""
        return contract.native_name(self.name, 1)

    @property
    def kind(self) -> str:
        """How SkyPilot is to run it."""
        if self.options.cluster:
            return ON_CLUSTER
        managed = self.options.managed
        return MANAGED if (self.spec.resources.spot if managed is None else managed) else LAUNCHED

    @property
    def base(self) -> str:
        """The job's folder on a node's own disk."""
        return f"{self.options.scratch.rstrip('/')}/ftsdk-{self.name}"

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


def layout(asked: Asked) -> Layout:
    """Where the job's things lie on a node; `scratch` is below the folder that the run script goes to."""
    return Layout(durable=asked.durable, scratch="scratch", inputs=_copied(asked))


def _copied(asked: Asked) -> dict[str, str]:
    """Input on this machine, or in a bucket -> where SkyPilot copies it."""
    found = build.staged(asked.facts, f"{asked.base}/inputs")
    return {path: target for path, target in found.items() if not asked.is_shared(path)} | _remote(asked)


def _remote(asked: Asked) -> dict[str, str]:
    """Address in a bucket -> where SkyPilot copies it."""
    facts, folder = asked.facts, f"{asked.base}/inputs"
    models = [facts.model, *([facts.reward_model] if facts.reward_model else [])]
    addresses = dict.fromkeys(address for model in models for address in (model.address, model.base))
    found = {address: f"{folder}/remote-model-{number}" for number, address in enumerate(addresses)}
    for number, source in enumerate((*facts.train, *facts.eval)):
        found[source.address] = f"{folder}/remote-data-{number}/{PurePosixPath(source.address).name}"
    if oss := next((address for address in found if address.startswith("oss://")), None):
        raise UnsupportedError(f"{oss}: SkyPilot reads from s3:// and gs://, not from OSS; copy it there, or here.")
    return {address: path for address, path in found.items() if address.startswith(READ_FROM)}


def request(asked: Asked) -> dict[str, Any]:
    """The task, and how SkyPilot is asked to run it."""
    return {
        "kind": asked.kind,
        "cluster": asked.options.cluster or asked.native_name,
        "folder": asked.durable,
        "task": task(asked),
    }


def warnings(asked: Asked) -> tuple[str, ...]:
    """What SkyPilot cannot do as the spec says it."""
    if asked.spec.resources.spot and any(map(runs_bare, asked.options.infra)):
        where = asked.options.infra[0]
        return (
            f"resources.spot: Slurm has no spot capacity; {where} is used as it is, so name a partition whose jobs may "
            f"be preempted (slurm/CLUSTER/PARTITION). The job is recovered all the same.",
        )
    return ()


def task(asked: Asked) -> dict[str, Any]:
    """What `sky launch` and `sky jobs launch` take as a YAML file."""
    setup = _setup(asked)
    mounts = _file_mounts(asked)
    secrets = dict.fromkeys(asked.spec.secrets)
    return {
        "name": asked.native_name,
        "num_nodes": asked.spec.resources.num_nodes,
        "resources": resources(asked),
        **({"file_mounts": mounts} if mounts else {}),
        "envs": _environment(asked),
        **({"secrets": secrets} if secrets else {}),
        **({"setup": setup} if setup else {}),
        "run": _run(asked),
    }


def resources(asked: Asked) -> dict[str, Any]:
    """One choice, or several in `ordered` or `any_of`."""
    options = asked.options
    cards = _cards(asked)
    choices = [
        {**({"infra": where} if where else {}), **({"accelerators": card} if card else {})}
        for card in cards
        for where in options.infra or (None,)
    ]
    shared = _same_everywhere(asked)
    if len(choices) == 1:
        return {**choices[0], **shared}
    return {"ordered" if options.choose == "ordered" else "any_of": choices, **shared}


def _cards(asked: Asked) -> list[str | None]:
    wanted = asked.spec.resources
    names = dict.fromkeys([*([wanted.accelerator] if wanted.accelerator else []), *asked.options.accelerators])
    return [f"{name}:{wanted.accelerators_per_node}" for name in names] or [None]


def _same_everywhere(asked: Asked) -> dict[str, Any]:
    wanted, options = asked.spec.resources, asked.options
    image = options.image or (None if options.bare or asked.kind == ON_CLUSTER else IMAGE)
    found: dict[str, Any] = {
        "cpus": options.cpus,
        "memory": f"{ceil(wanted.memory_gb)}+" if wanted.memory_gb else None,
        "disk_size": wanted.disk_gb,
        "image_id": f"docker:{image}" if image and asked.kind != ON_CLUSTER else None,
        "use_spot": True if wanted.spot and not any(map(runs_bare, options.infra)) else None,
        "job_recovery": _recovery(asked),
        "autostop": {"idle_minutes": options.autostop_minutes, "down": True} if asked.kind == LAUNCHED else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _recovery(asked: Asked) -> dict[str, Any] | None:
    """Anywhere that the request allows. SkyPilot's other strategy, FAILOVER, first goes back to the same region with
    any zone, which is to Slurm any partition: out of the one that the user named."""
    if asked.kind != MANAGED:
        return None
    return {"strategy": "EAGER_NEXT_REGION", "max_restarts_on_errors": 0, "recover_on_exit_codes": list(RECOVERED)}


def _file_mounts(asked: Asked) -> dict[str, str]:
    """Path on the node -> what SkyPilot copies there: the runtime, the inputs, and the document of a bucket's job."""
    brought = {asked.facts.runtime.path: "runtime.pyz"}
    if _needs_setup(asked):
        brought[str(trainer_dir(asked.facts.home))] = "trainer"
    mounts = {target: path.rstrip("/") for path, target in _copied(asked).items()}
    mounts |= {_there(asked, path, name): path for path, name in brought.items() if not asked.is_shared(path)}
    if "://" in asked.durable:
        mounts[_document(asked)] = str(jobs_dir(asked.facts.home, "skypilot") / asked.name / contract.JOB_FILE)
    return mounts


def _there(asked: Asked, path: str, name: str) -> str:
    """Where a node finds something of this machine."""
    return path if asked.is_shared(path) else f"{asked.base}/{name}"


def _document(asked: Asked) -> str:
    folder = asked.base if "://" in asked.durable else asked.durable
    return f"{folder}/{contract.JOB_FILE}"


def _environment(asked: Asked) -> dict[str, str]:
    found = {contract.ENV_JOB: _document(asked), contract.ENV_NATIVE_NAME: asked.native_name}
    if asked.spec.resources.num_nodes > 1:  # a port of its own: two jobs may share a node
        found[contract.ENV_MASTER_PORT] = str(FIRST_PORT + int(asked.digest[:8], 16) % PORTS)
    if asked.spec.secrets:
        found[contract.ENV_SECRETS] = ",".join(asked.spec.secrets)
    return found


def _venv(asked: Asked) -> str:
    """On shared storage one for all jobs and nodes, else one on each node; as a word of a shell."""
    root = shlex.quote(asked.durable.rpartition("/")[0]) if "://" not in asked.durable else "~"
    return f"{root}/.ftsdk-trainer-{__version__}"


def _python(asked: Asked) -> str:
    options = asked.options
    if options.python or not _needs_setup(asked):
        return shlex.quote(options.python or "python")
    return f"{_venv(asked)}/bin/python"


def _needs_setup(asked: Asked) -> bool:
    options = asked.options
    return (options.bare or asked.kind == ON_CLUSTER) and not (options.python or options.setup or options.image)


def _setup(asked: Asked) -> str | None:
    """The user's own lines; else a virtual environment where there is no image, and what a bucket needs."""
    if asked.options.setup:
        return asked.options.setup
    if _needs_setup(asked):
        folder = _there(asked, str(trainer_dir(asked.facts.home)), "trainer")
        return _make_venv(_venv(asked), shlex.quote(f"{folder}/install.py"))
    if "://" in asked.durable:
        python = _python(asked)
        return f"{python} -c 'import obstore' 2>/dev/null || {python} -m pip install --quiet {BUCKETS}"
    return None


def _make_venv(venv: str, program: str) -> str:
    """Made by one node at a time, since several may share the folder; what was broken off is made anew."""
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


def _run(asked: Asked) -> str:
    """A folder for each node by itself, since two of them may share a disk; `exec`, so that signals come through."""
    here = f"{shlex.quote(asked.base)}/node$SKYPILOT_NODE_RANK"
    program = _there(asked, asked.facts.runtime.path, "runtime.pyz")
    return "\n".join(
        [f"mkdir -p {here} && cd {here} || exit {contract.EXIT_CRASHED}",
         f"exec {_python(asked)} {shlex.quote(program)} supervise"]
    )  # fmt: skip
