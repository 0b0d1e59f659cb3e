"""Build and push the trainer's image through the docker command. `ftsdk image build` and `ftsdk image push` call it."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, NamedTuple

from ftsdk.backends import image_contents
from ftsdk.contract.release import __version__
from ftsdk.errors import AuthError, BackendError, NotInstalledError, UnavailableError

Torch = Literal["cpu", "cuda", "cuda12"]
"""Build of torch: `cpu`; `cuda`: CUDA 13.0 (driver R580 or newer); `cuda12`: torch 2.10, CUDA 12.8 (R525 or newer)."""

LOCK: Final = "lf"
OVERLAY: Final = "rl"
"""Lock that is laid over it for the methods that sample answers."""
CPU_WHEEL: Final = "torch==2.13.0+cpu"
CPU_INDEX: Final = "https://download.pytorch.org/whl/cpu"
CLOUD_PLATFORM: Final = "linux/amd64"
"""What the clouds' GPU machines run; the locks have no other CUDA wheels."""
COMPAT_IMAGE: Final = "nvidia/cuda:13.0.0-base-ubuntu24.04"
"""Where the CUDA 13 image takes NVIDIA's cuda-compat from. Rendered, not run: no registry was reached here."""
DEFAULT_BASE: Final = "python:3.11-slim"
NO_ATTESTATIONS: Final = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
"""As `--provenance=false`, but older builders ignore it: an attestation makes the image an OCI index, which SageMaker
has refused."""


class Mirror(NamedTuple):
    """Addresses that answer in mainland China."""

    pip: str
    apt: str
    registry: str
    """A registry that mirrors Docker Hub."""


MIRRORS: Final[Mapping[str, Mirror]] = {
    "aliyun": Mirror("https://mirrors.aliyun.com/pypi/simple/", "https://mirrors.aliyun.com", "docker.m.daocloud.io"),
    "tsinghua": Mirror(
        "https://pypi.tuna.tsinghua.edu.cn/simple", "https://mirrors.tuna.tsinghua.edu.cn", "docker.m.daocloud.io"
    ),
}
"""Their own pages name them: developer.aliyun.com/mirror, mirrors.tuna.tsinghua.edu.cn/help, DaoCloud's
public-image-mirror. AWS has no mirror of PyPI or Docker Hub in its China regions. None was reached here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """An image in the local daemon."""

    tag: str
    id: str
    """`sha256:…`"""
    bytes: int
    """Unpacked size."""


def _ignore(_line: str) -> None:
    pass


def default_tag(torch: Torch) -> str:
    """Tag that `build` gives and the docker backend looks for, e.g. `ftsdk:0.1.0-lf-cpu`."""
    return f"ftsdk:{__version__}-{LOCK}-{torch}"


def build(
    *,
    torch: Torch,
    tag: str | None = None,
    base_image: str | None = None,
    os_platform: str | None = None,
    mirror: str | None = None,
    on_line: Callable[[str], None] = _ignore,
) -> BuiltImage:
    """Build the image for one build of torch and return what the daemon then has.

    `os_platform` is Docker's name of the system to build for: linux/amd64 for CUDA, the daemon's own for a CPU if left
    out; an image for a cloud must be linux/amd64.
    `base_image` is a Debian image with Python 3.11 (default: `python:3.11-slim`); `mirror` is a name of `MIRRORS`, from
    which base image, Debian's and Python's packages come. `on_line` gets the builder's output line by line. A
    PIP_INDEX_URL in the environment is used, and not kept. What the image holds is kept for plans.
    Raises NotInstalledError without a docker command, UnavailableError without a daemon, BackendError if a step fails.
    """
    tag = tag or default_tag(torch)
    _docker("version", "--format", "{{.Server.Version}}")
    os_platform = os_platform or (None if torch == "cpu" else CLOUD_PLATFORM)
    with TemporaryDirectory(prefix="ftsdk-image-") as context:
        _stage(Path(context), torch, os_platform, on_line)
        options = [f"--build-arg={argument}" for argument in _build_arguments(torch, base_image, mirror)]
        options += [f"--platform={os_platform}"] if os_platform else []
        _docker("build", "--tag", tag, *options, context, on_line=on_line)
    image_id, size = _docker("image", "inspect", "--format", "{{.Id}} {{.Size}}", tag)[-1].split()
    image_contents.remember(tag, labels(tag))
    return BuiltImage(tag=tag, id=image_id, bytes=int(size))


def _build_arguments(torch: Torch, base_image: str | None, mirror: str | None) -> Iterator[str]:
    """`NAME=VALUE`, or a name whose value the builder takes from the environment."""
    at = MIRRORS[mirror] if mirror else None
    hub = f"{at.registry}/" if at else ""
    base = base_image or f"{hub}library/{DEFAULT_BASE}" if at else base_image
    yield from (f"TORCH={torch}", f"LOCK={LOCK}", f"VERSION={__version__}", f"PACKAGES={_packages(torch)}")
    if base:
        yield f"BASE_IMAGE={base}"
    compat = f"{hub}{COMPAT_IMAGE}" if torch == "cuda" else base
    if compat:
        yield f"COMPAT_IMAGE={compat}"
    if at:
        yield f"APT_MIRROR={at.apt}"
    if "PIP_INDEX_URL" in os.environ:
        yield "PIP_INDEX_URL"  # by name: its value may hold a password, and a command line can be seen
    elif at:
        yield f"PIP_INDEX_URL={at.pip}"


def _packages(torch: Torch) -> str:
    """What the label says of the packages in this build's locks."""
    pins = [(_containers() / "locks" / name).read_text("utf-8") for name in (_lock(torch), f"{OVERLAY}.txt")]
    return image_contents.checked_packages(re.findall(r"^([A-Za-z0-9._-]+)==", "\n".join(pins), re.MULTILINE))


def labels(tag: str) -> dict[str, str]:
    """Labels of a local image. Raises as `build` does."""
    shown = _docker("image", "inspect", "--format", "{{json .Config.Labels}}", tag)[-1:]
    read: dict[str, str] | None = json.loads(shown[0]) if shown else None
    return read or {}


def push(tag: str, registry_ref: str, *, on_line: Callable[[str], None] = _ignore) -> None:
    """Give a local image the name that a registry knows, e.g. `registry.example.com/team/ftsdk:1`, and push it there.

    Raises AuthError if the registry refuses the login that docker has, BackendError for everything else.
    """
    _docker("tag", tag, registry_ref)
    _docker("push", registry_ref, on_line=on_line)
    image_contents.remember(registry_ref, labels(tag))


def derive(tag: str, new_tag: str, *lines: str) -> None:
    """Build an image from a local one with additional Dockerfile lines. Raises as `build` does."""
    with TemporaryDirectory(prefix="ftsdk-image-") as context:
        (Path(context) / "Dockerfile").write_text("\n".join((f"FROM {tag}", *lines, "")), encoding="utf-8")
        _docker("build", "--tag", new_tag, context)


def architecture(tag: str) -> str:
    """System and processor of a local image, such as linux/amd64. Raises as `build` does."""
    return _docker("image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", tag)[-1]


def login(registry: str, user: str, password: str) -> None:
    """Log the docker command in to a registry. Raises AuthError if that refuses, NotInstalledError without Docker."""
    _docker("login", "--username", user, "--password-stdin", registry, stdin=password)


def copy_installer(folder: Path) -> None:
    """Put the program that fills an environment into a folder, with the locks of every build of torch."""
    shutil.copytree(_containers(), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.in"))


def _stage(context: Path, torch: Torch, os_platform: str | None, on_line: Callable[[str], None]) -> None:
    """Fill the build context with this build's locks only, so that another lock's change leaves the cache alone."""
    source = _containers()
    stub = "torchaudio_stub/torchaudio/__init__.py"
    for name in ("Dockerfile", "install.py", "entrypoint.py", f"locks/{_lock(torch)}", f"locks/{OVERLAY}.txt", stub):
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
    wheels = context / "wheels"
    wheels.mkdir()
    if torch == "cpu":
        _fetch_cpu_wheel(wheels, os_platform, on_line)


def _lock(torch: Torch) -> str:
    return f"{LOCK}.txt" if torch == "cpu" else f"{LOCK}-{torch}.txt"


def _containers() -> Path:
    """The folder `containers`: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "containers"
    return inside if inside.is_dir() else package.parent / "containers"


def _fetch_cpu_wheel(wheels: Path, os_platform: str | None, on_line: Callable[[str], None]) -> None:
    """Download the wheel into the context: pip on the host may have indexes that a build cannot reach.

    A failure is ignored: the build then uses PyTorch's index.
    """
    name = (os_platform or platform.machine().lower()).rpartition("/")[2]
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries=1", "--no-deps", CPU_WHEEL]
    target = [
        "--only-binary=:all:",
        "--python-version=3.11",
        f"--platform=manylinux_2_28_{machine}",
        f"--dest={wheels}",
    ]
    on_line(f"fetching {CPU_WHEEL}")
    for index in ([], [f"--index-url={CPU_INDEX}"]):
        if subprocess.run(command + target + index, capture_output=True, check=False).returncode == 0:
            return


def _docker(*arguments: str, on_line: Callable[[str], None] = _ignore, stdin: str | None = None) -> list[str]:
    """Run one docker command, passing its lines on; returns the last of them."""
    last: deque[str] = deque(maxlen=8)
    try:
        process = subprocess.Popen(
            ["docker", *arguments],
            stdin=None if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **NO_ATTESTATIONS},
        )
    except FileNotFoundError:
        raise NotInstalledError(
            "There is no docker command on this machine; install Docker (https://docs.docker.com/engine/install/)."
        ) from None
    with process:
        if stdin is not None and process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        for line in process.stdout or ():
            last.append(line.rstrip())
            on_line(line.rstrip())
    if process.returncode:
        raise _failure(arguments[0], "\n".join(last))
    return list(last)


def _failure(verb: str, output: str) -> BackendError:
    lower = output.lower()
    if "permission denied" in lower and "daemon socket" in lower:
        return UnavailableError("This user may not talk to the Docker daemon; add it to the group docker, or use root.")
    if "cannot connect to the docker daemon" in lower or "is the docker daemon running" in lower:
        return UnavailableError("The Docker daemon does not answer; start Docker and try again.")
    if "unauthorized" in lower or "authentication required" in lower or "denied: " in lower:
        return AuthError(f"The registry refused `docker {verb}`; log in with `docker login REGISTRY`:\n{output}")
    return BackendError(f"`docker {verb}` failed; the reason is in its last lines:\n{output}")
