"""A configuration that another user could have written is not used: it could name programs to run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftsdk import backends
from ftsdk.backends import config
from ftsdk.errors import SpecError

NOBODY = 65534
PROGRAM = '[local]\npython = "/tmp/shared/evil.sh"\n'
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")


@pytest.fixture(autouse=True)
def user_home(tmp_path, monkeypatch):
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder below one where others may leave files."""
    folder = tmp_path / "shared" / "work"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def written(path: Path, text: str = PROGRAM, *, mode: int = 0o644, owner: int | None = None) -> Path:
    path.write_text(text)
    path.chmod(mode)
    if owner is not None:
        os.chown(path, owner, owner)
    return path


def program() -> str | None:
    return backends.get("local").options.python


@needs_root
def test_a_file_of_another_user_above_is_refused_with_what_to_do(work):
    path = written(work.parent / "ftsdk.toml", owner=NOBODY)
    with pytest.raises(SpecError, match=rf"{path} belongs to another user .*`ftsdk config trust {path}`"):
        program()


@needs_root
def test_a_home_of_another_user_is_refused(work, tmp_path, monkeypatch):
    home = tmp_path / "theirs"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    monkeypatch.setenv("FTSDK_HOME", str(home))
    with pytest.raises(SpecError, match="FTSDK_HOME"):
        program()


@pytest.mark.parametrize(("mode", "who"), [(0o646, "everybody"), (0o666, "everybody")])
def test_a_file_that_others_can_write_is_refused(work, mode, who):
    written(work / "ftsdk.toml", mode=mode)
    with pytest.raises(SpecError, match=f"can be written by {who}"):
        program()


@needs_root
def test_a_file_that_a_group_can_write_is_refused(work):
    path = written(work / "ftsdk.toml", mode=0o664)
    os.chown(path, 0, NOBODY)
    with pytest.raises(SpecError, match="can be written by a group"):
        program()


def test_a_file_of_ones_own_counts_with_a_private_groups_write_permission_too(work):
    path = written(work / "ftsdk.toml")
    assert program() == "/tmp/shared/evil.sh"
    path.chmod(0o664)
    if os.getuid() == 0:
        assert program() == "/tmp/shared/evil.sh"


def test_options_of_other_backends_do_not_matter(work):
    written(work / "ftsdk.toml", '[docker]\nimage = "evil"\n', mode=0o666)
    assert program() is None


def test_trust_holds_for_the_content_that_was_looked_at(work):
    path = written(work / "ftsdk.toml", mode=0o666)
    argv = [sys.executable, "-m", "ftsdk", "config", "trust", "ftsdk.toml"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert program() == "/tmp/shared/evil.sh"
    path.write_text(PROGRAM.replace("evil", "worse"))
    with pytest.raises(SpecError, match="can be written by everybody"):
        program()


def test_a_folder_outside_of_the_project_can_be_trusted(work, tmp_path, monkeypatch):
    home = tmp_path / "team"
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setenv("FTSDK_HOME", str(home))
    with pytest.raises(SpecError, match="FTSDK_HOME"):
        program()
    config.trust(home)
    assert program() is None


def test_a_list_of_trusted_files_that_others_can_write_trusts_nothing(work, user_home):
    config.trust(written(work / "ftsdk.toml", mode=0o666))
    (user_home / ".ftsdk" / "trusted.json").chmod(0o666)
    with pytest.raises(SpecError, match="can be written by everybody"):
        program()


def test_trusting_a_missing_file_is_refused(work):
    with pytest.raises(SpecError, match="does not exist"):
        config.trust(work / "ftsdk.toml")


@pytest.mark.parametrize("border", ["home", "repository"])
def test_the_search_upward_stops(tmp_path, monkeypatch, border):
    outer, inner = tmp_path / "outer", tmp_path / "outer" / "inner"
    below = inner / "a" / "b"
    below.mkdir(parents=True)
    written(outer / "ftsdk.toml")
    assert config.nearest(below) == outer / "ftsdk.toml"
    if border == "home":
        monkeypatch.setenv("HOME", str(inner))
    else:
        (inner / ".git").mkdir()
    assert config.nearest(below) is None
    written(inner / "ftsdk.toml")
    assert config.nearest(below) == inner / "ftsdk.toml"
