"""containers/install.py and the locks that it installs."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import pytest

from ftsdk.runtime import overlays

CONTAINERS = Path(__file__).parents[2] / "containers"
LOCKS = sorted((CONTAINERS / "locks").glob("*.txt"))
PINNED = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)==[0-9][A-Za-z0-9.+]*( ; .+)?")

install = runpy.run_path(str(CONTAINERS / "install.py"))


def names(lock: Path) -> set[str]:
    return {line.partition("==")[0] for line in lock.read_text().splitlines()}


def lines(lock: Path) -> list[str]:
    return [line for line in lock.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_line_of_a_lock_is_one_exact_version(lock: Path) -> None:
    assert [line for line in lines(lock) if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_asks_for_what_its_source_asks_for(lock: Path) -> None:
    source = re.sub(r"#.*|^-r .*|\[.*?\]", "", lock.with_suffix(".in").read_text(), flags=re.MULTILINE)
    asked = {re.split(r"[=<>]", line.strip())[0] for line in source.splitlines() if line.strip()}
    assert asked <= names(lock)


@pytest.mark.parametrize("torch", ["cuda", "cuda12"])
def test_a_cuda_lock_has_the_versions_of_the_cpu_lock(torch: str) -> None:
    assert set(lines(install["lock_file"]("lf", "cpu"))) <= set(lines(install["lock_file"]("lf", torch)))
    assert f"torch=={install['TORCH'][torch]}" in lines(install["lock_file"]("lf", torch))


def test_the_cpu_lock_has_no_cuda_packages() -> None:
    cuda = ("nvidia", "cuda", "triton", "torch")
    assert [name for name in names(CONTAINERS / "locks" / "lf.txt") if name.startswith(cuda)] == []


@pytest.mark.parametrize(("driver", "torch"), [(0, "cpu"), (11, "cpu"), (12, "cuda12"), (13, "cuda"), (14, "cuda")])
def test_auto_takes_the_newest_torch_that_the_driver_runs(driver: int, torch: str) -> None:
    assert install["choose_torch"]("auto", driver) == torch
    assert install["choose_torch"]("cpu", driver) == "cpu"


def test_missing_names_what_is_absent_or_of_another_version() -> None:
    pins = install["read_pins"]("a==1\nb-c==2.0\nd==3 ; sys_platform == 'win32'\ne==4+cpu\n")
    assert install["missing"](pins, {"a": "1", "b-c": "1.9"}) == ["b-c==2.0", "e==4+cpu"]


def test_installed_packages_have_normalised_names() -> None:
    present = install["installed"]()
    assert present["pydantic-core"] == metadata.version("pydantic_core")


def test_the_overlay_lock_has_no_package_of_the_environment_and_no_cuda() -> None:
    under, over = (install["read_pins"]((CONTAINERS / "locks" / f"{name}.txt").read_text()) for name in ("lf", "rl"))
    assert [name for name, version in over.items() if under.get(name) == version] == []
    assert [name for name in over if name.startswith(("nvidia", "cuda", "triton", "torch"))] == []
    assert over["trl"].startswith("1.")


def test_the_runtime_looks_for_overlays_where_they_are_installed() -> None:
    assert {*overlays.OVERLAYS.values()} == {*install["OVERLAYS"]}
    assert 'Path(sys.prefix, "overlays", lock.stem)' in (CONTAINERS / "install.py").read_text()
    assert overlays.overlay("rl") == Path(sys.prefix, "overlays", "rl")


def test_an_unknown_lock_is_refused_with_the_names_of_the_known() -> None:
    done = subprocess.run(
        [sys.executable, str(CONTAINERS / "install.py"), "lff"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "lf, lf-cuda, lf-cuda12, rl" in done.stderr


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """site-packages of a virtual environment without pip, in which the whole CPU lock seems to be installed."""
    venv.create(tmp_path, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(tmp_path)}))
    pins = install["read_pins"]((CONTAINERS / "locks" / "lf.txt").read_text()) | {"torch": install["TORCH"]["cpu"]}
    pretend(packages, pins)
    overlay = prefix(packages) / "overlays" / "rl"
    pretend(overlay, install["read_pins"]((CONTAINERS / "locks" / "rl.txt").read_text()))
    return packages


def pretend(folder: Path, pins: dict[str, str]) -> None:
    for name, version in pins.items():
        made = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        made.mkdir(parents=True)
        (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def prefix(packages: Path) -> Path:
    return next(path for path in packages.parents if (path / "pyvenv.cfg").exists())


def run_install(packages: Path) -> subprocess.CompletedProcess[str]:
    words = [str(prefix(packages) / "bin" / "python"), str(CONTAINERS / "install.py"), "lf", "rl", "--torch", "cpu"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_an_environment_that_meets_its_lock_needs_no_pip(environment: Path) -> None:
    done = run_install(environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (environment / "torchaudio" / "__init__.py").is_file()


def test_one_package_of_another_version_starts_pip(environment: Path) -> None:
    metadata_file = next(environment.glob("trl-*")) / "METADATA"
    metadata_file.write_text(metadata_file.read_text().replace("0.24.0", "0.23.0"))
    done = run_install(environment)
    assert done.returncode == 1
    assert "No module named pip" in done.stderr


def test_one_overlay_package_of_another_version_reinstalls_the_overlay(environment: Path) -> None:
    overlay = prefix(environment) / "overlays" / "rl"
    found = next(overlay.glob("trl-*")) / "METADATA"
    found.write_text(found.read_text().replace("Version: 1.", "Version: 0."))
    done = run_install(environment)
    assert done.returncode == 1
    assert "No module named pip" in done.stderr
    assert not overlay.exists()


def test_a_torchaudio_that_is_there_stays(environment: Path) -> None:
    (environment / "torchaudio").mkdir()
    assert run_install(environment).returncode == 0
    assert list((environment / "torchaudio").iterdir()) == []


def test_the_stub_imports_and_refuses_by_name() -> None:
    stub = runpy.run_path(str(CONTAINERS / "torchaudio_stub" / "torchaudio" / "__init__.py"))
    with pytest.raises(ImportError, match=r"torchaudio\.load is not here"):
        stub["__getattr__"]("load")
    with pytest.raises(AttributeError):
        stub["__getattr__"]("__path__")
