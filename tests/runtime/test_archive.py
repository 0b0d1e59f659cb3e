"""The archive is the same everywhere, is built once, and runs on a Python that does not know its bytecode."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from ftsdk.facts import runtime_archive


def test_the_name_says_what_is_in_it(tmp_path):
    built = runtime_archive.build(tmp_path)
    data = Path(built.path).read_bytes()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (built.sha256, built.bytes)
    assert Path(built.path).name == f"runtime-{built.sha256[:12]}.pyz"


def test_every_process_builds_the_same(tmp_path):
    ours = runtime_archive.build(tmp_path / "ours")
    for seed in ("1", "2"):
        code = f"from ftsdk.facts import runtime_archive; print(runtime_archive.build({str(tmp_path / seed)!r}).sha256)"
        environ = {**os.environ, "PYTHONHASHSEED": seed}
        said = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True, text=True)
        assert said.stdout.strip() == ours.sha256


def test_the_archive_is_built_once_and_rebuilt_when_it_is_missing(tmp_path):
    built = Path(runtime_archive.build(tmp_path).path)
    first = built.stat()
    assert Path(runtime_archive.build(tmp_path).path).stat().st_ino == first.st_ino
    built.unlink()
    assert Path(runtime_archive.build(tmp_path).path).is_file()


def test_the_archive_holds_the_runtime_and_the_contract_only(tmp_path):
    names = zipfile.ZipFile(runtime_archive.build(tmp_path).path).namelist()
    packages = {name.split("/")[1] for name in names if name.startswith("ftsdk/")}
    assert packages == {
        "__init__.py",
        "__init__.pyc",
        "contract",
        "runtime",
    }


def test_the_supervisor_imports_the_standard_library_only(tmp_path):
    archive = runtime_archive.build(tmp_path).path
    code = (
        f"import sys; sys.path.insert(0, {archive!r}); import ftsdk.runtime.supervisor.supervisor; "
        "print([m for m in sys.modules if m.partition('.')[0] not in sys.stdlib_module_names | {'ftsdk', '__main__'}])"
    )
    said = subprocess.run([sys.executable, "-SEc", code], capture_output=True, check=True, text=True)
    assert said.stdout.strip() == "[]"


def test_bytecode_of_another_python_version_is_ignored(tmp_path):
    built = runtime_archive.build(tmp_path)
    foreign = tmp_path / "foreign.pyz"
    with zipfile.ZipFile(built.path) as source, zipfile.ZipFile(foreign, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, b"\0\0\r\n" + data[4:16] + b"no bytecode" if name.endswith(".pyc") else data)
    run = subprocess.run([sys.executable, foreign, "nonsense"], capture_output=True, check=False, text=True)
    assert (run.returncode, run.stderr) == (64, "usage: python runtime.pyz supervise | train | serve | preview\n")
