"""containers/Dockerfile, its entrypoint, and the image that comes out."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from ftsdk import contract
from ftsdk.backends import image, image_contents
from ftsdk.errors import AuthError, BackendError, NotInstalledError, UnavailableError

CONTAINERS = Path(__file__).parents[2] / "containers"
DOCKERFILE = (CONTAINERS / "Dockerfile").read_text()
CPU_IMAGE = image.default_tag("cpu")


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


def start(runtime: Path | str) -> subprocess.CompletedProcess[str]:
    """The entrypoint as a process of this machine."""
    return subprocess.run(
        [sys.executable, str(CONTAINERS / "entrypoint.py"), "--more"],
        env={**os.environ, "FTSDK_RUNTIME": str(runtime)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def runtime_that_says(path: Path, program: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__main__.py", program)
    return path


def test_the_entrypoint_is_a_program_and_no_shell() -> None:
    entry = re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)
    assert [json.loads(words) for words in entry] == [["/opt/ftsdk/bin/python", "/opt/ftsdk/entrypoint.py"]]


def test_the_dockerfile_keeps_no_secret_and_no_cache() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert not re.search(r"TOKEN|PASSWORD|API_KEY|PIP_INDEX_URL", final)
    assert "--mount=type=secret" not in DOCKERFILE
    assert "PIP_NO_CACHE_DIR=1" in DOCKERFILE


def test_the_tag_names_version_lock_and_torch() -> None:
    assert image.default_tag("cuda12") == f"ftsdk:{metadata.version('ftsdk')}-lf-cuda12"


def test_the_image_and_the_installer_pin_the_same_wheel() -> None:
    assert image.CPU_WHEEL.removeprefix("torch==") in (CONTAINERS / "install.py").read_text()


def test_the_entrypoint_has_the_contract_s_exit_code() -> None:
    assert runpy.run_path(str(CONTAINERS / "entrypoint.py"))["EXIT_CONTRACT"] == contract.EXIT_CONTRACT


def test_without_a_runtime_there_is_reported_in_one_sentence(tmp_path: Path) -> None:
    done = start(tmp_path / "none.pyz")
    assert done.returncode == contract.EXIT_CONTRACT
    assert re.fullmatch(r"ftsdk: there is no runtime at \S+none\.pyz; .+\.\n", done.stderr)


@pytest.mark.docker
def test_the_image_without_a_runtime_says_one_sentence() -> None:
    done = docker("run", "--rm", CPU_IMAGE)
    assert done.returncode == contract.EXIT_CONTRACT
    assert re.fullmatch(r"ftsdk: there is no runtime at /ftsdk/runtime\.pyz; .+\.\n", done.stderr)


@pytest.mark.docker
def test_the_runtime_becomes_process_one_of_any_user(tmp_path: Path) -> None:
    program = """
import json, os, pathlib, getpass, sys
(pathlib.Path.home() / "written").write_text("")
print(json.dumps([os.getpid(), os.getuid(), os.getgid(), getpass.getuser(), sys.argv[1:], sys.flags.isolated]))
"""
    runtime = runtime_that_says(tmp_path / "runtime.pyz", program)
    tmp_path.chmod(0o755)
    done = docker(
        "run", "--rm", "--user", "12345:777", "-v", f"{runtime}:/ftsdk/runtime.pyz:ro", CPU_IMAGE, "--grace", "5"
    )
    assert json.loads(done.stdout) == [1, 12345, 777, "ftsdk", ["supervise", "--grace", "5"], 1]


@pytest.mark.docker
def test_the_image_is_labelled_small_not_root_and_without_a_host_s_settings() -> None:
    [found] = json.loads(docker("image", "inspect", CPU_IMAGE).stdout)
    labels = found["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == metadata.version("ftsdk")
    assert (labels["ftsdk.lock"], labels["ftsdk.torch"]) == ("lf", "cpu")
    assert set(labels["ftsdk.packages"].split()) == image_contents.packages_of(CPU_IMAGE, {})
    assert found["Config"]["User"] == "ftsdk"
    assert found["Size"] < 2.5e9
    assert not re.search(r"(?i)token|password|find.links|index.url", " ".join(found["Config"]["Env"]))


@pytest.mark.docker
def test_the_image_holds_what_its_lock_says() -> None:
    program = "from importlib import metadata; print(*(f'{d.name}=={d.version}' for d in metadata.distributions()))"
    present = docker("run", "--rm", "--entrypoint", "python", CPU_IMAGE, "-c", program).stdout.lower()
    lock = (CONTAINERS / "locks" / "lf.txt").read_text().splitlines()
    wanted = {line.replace("-", "_") for line in lock if " ; " not in line} | {image.CPU_WHEEL}
    assert wanted - set(present.replace("-", "_").split()) == set()


@pytest.mark.docker
def test_the_image_holds_its_bill_of_materials() -> None:
    [found] = json.loads(docker("image", "inspect", CPU_IMAGE).stdout)
    file = found["Config"]["Labels"]["ftsdk.sbom"]
    document = json.loads(docker("run", "--rm", "--entrypoint", "cat", CPU_IMAGE, file).stdout)
    listed = {f"{part['name']}=={part['version']}" for part in document["components"]}
    wanted = [(CONTAINERS / "locks" / name).read_text().splitlines() for name in ("lf.txt", "rl.txt")]
    assert {line for lock in wanted for line in lock if " ; " not in line} <= listed


@pytest.mark.docker
def test_the_image_holds_the_overlay() -> None:
    program = """
from importlib import metadata
from pathlib import Path
import sys
print(*(f"{d.name}=={d.version}" for d in metadata.distributions(path=[str(Path(sys.prefix, "overlays", "rl"))])))
"""
    present = docker("run", "--rm", "--entrypoint", "python", CPU_IMAGE, "-c", program).stdout.lower()
    wanted = (CONTAINERS / "locks" / "rl.txt").read_text().splitlines()
    assert {line.replace("-", "_") for line in wanted} == set(present.replace("-", "_").split())


def test_a_machine_without_docker_is_reported_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalledError, match="no docker command"):
        image.build(torch="cpu", on_line=print)


@pytest.mark.docker
def test_a_stopped_daemon_is_reported_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(UnavailableError, match="daemon does not answer"):
        image.build(torch="cpu", on_line=print)


@pytest.mark.docker
def test_a_failed_build_shows_its_last_lines() -> None:
    lines: list[str] = []
    with pytest.raises(BackendError, match=r"(?s)`docker build` failed.*connection refused"):
        image.build(
            torch="cuda12", tag="ftsdk:never", base_image="localhost:1/ftsdk-no-such-base", on_line=lines.append
        )
    assert lines


@pytest.mark.docker
def test_a_push_to_a_registry_that_is_not_there_reports_it() -> None:
    target = "localhost:1/ftsdk:test"
    with pytest.raises(BackendError, match="`docker push` failed"):
        image.push(CPU_IMAGE, target, on_line=print)
    docker("rmi", target)


def test_dockers_message_selects_the_error_class() -> None:
    refused = "denied: requested access to the resource is denied"
    assert isinstance(image._failure("push", refused), AuthError)
    socket = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
    assert isinstance(image._failure("version", socket), UnavailableError)
