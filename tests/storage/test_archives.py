"""A packed model is unpacked whole, and nothing else is."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from ftsdk.errors import DataError, FtsdkError, JobNotFoundError
from ftsdk.storage import archives, tar


def packed(folder, *members, cut=0):
    """An archive of (name, data or what to change of the TarInfo); returns its address."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            for key, value in (content if isinstance(content, dict) else {}).items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    data = made.getvalue()
    (folder / "model.tar.gz").write_bytes(data[: len(data) - cut])
    return f"{folder.as_uri()}/model.tar.gz"


def test_a_model_is_unpacked_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "PIECE_BYTES", 1000)
    weights = bytes(range(256)) * 4000
    address = packed(tmp_path, ("config.json", b"{}"), ("sub/model.safetensors", weights), ("empty", b""))
    heard = []
    folder = archives.unpack(address, tmp_path / "out", on_bytes=heard.append)
    assert (folder / "sub" / "model.safetensors").read_bytes() == weights
    assert (folder / "config.json").read_bytes() == b"{}"
    assert sum(heard) == (tmp_path / "model.tar.gz").stat().st_size


LINK, SOFT = tarfile.LNKTYPE, tarfile.SYMTYPE
ONCE = b"x" * 600
HARM = {
    "a name above": [("../above", ONCE)],
    "a name above, further in": [("a/../../above", ONCE)],
    "an absolute name": [("/tmp/ftsdk-absolute", ONCE)],
    "an absolute name behind slashes": [("//tmp/ftsdk-absolute", ONCE)],
    "a folder above": [("../above", {"type": tarfile.DIRTYPE})],
    "a hard link": [("passwd", {"type": LINK, "linkname": "/etc/passwd"})],
    "a hard link inside": [("a", ONCE), ("b", {"type": LINK, "linkname": "a"})],
    "a link that leads out": [("out", {"type": SOFT, "linkname": "../../secret"}), ("out/file", ONCE)],
    "an absolute link": [("out", {"type": SOFT, "linkname": "/etc"}), ("out/file", ONCE)],
    "a link that stays inside": [("a", ONCE), ("b", {"type": SOFT, "linkname": "a"})],
    "a chain of links as in CVE-2025-4517": [
        *(("/".join("abcdefghijklmnop"[: i + 1]), {"type": SOFT, "linkname": "d" * 247}) for i in range(16)),
        ("escape", {"type": SOFT, "linkname": "a/" * 16 + "../" * 20}),
        ("escape/file", ONCE),
    ],
    "a device": [("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})],
    "a disk": [("disk", {"type": tarfile.BLKTYPE, "devmajor": 8})],
    "a pipe": [("pipe", {"type": tarfile.FIFOTYPE})],
    "an unknown kind": [("odd", {"type": b"Z"})],
    "a sparse file, old form": [("hole", {"type": tarfile.GNUTYPE_SPARSE})],
    "a sparse file in attributes": [("hole", {"pax_headers": {"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"}})],
    "a path in attributes": [("good", {"pax_headers": {"path": "../above"}})],
    "a size in attributes": [("good", {"pax_headers": {"size": "-5"}})],
    "a size that is no number": [("good", {"pax_headers": {"size": "9" * 5000}})],
    "attributes without end": [("good", {"pax_headers": {"comment": "c" * 200_000}})],
    "a name without end": [("n" * 300, ONCE)],
    "many folders in a name": [("a/" * 40 + "b", ONCE)],
    "names that differ in case": [("Model.bin", ONCE), ("model.bin", ONCE)],
    "folders that differ in case": [("sub/a", ONCE), ("SUB/b", ONCE)],
    "names that are one on macOS": [("caf\u00e9", ONCE), ("cafe\u0301", ONCE)],
    "one name twice": [("model.bin", ONCE), ("./model.bin", ONCE)],
    "a drive": [("C:file", ONCE)],
    "a name for Windows": [("..\\above", ONCE)],
    "a device of Windows": [("sub/nul.txt", ONCE)],
    "a name that Windows shortens": [("above. ", ONCE)],
    "a control character": [("a\x1b[2Jb", ONCE)],
    "no name": [("./", ONCE)],
}


@pytest.mark.parametrize("what", HARM)
def test_an_archive_cannot_write_outside_of_its_folder(tmp_path, what):
    target = tmp_path / "in" / "out"
    address = packed(tmp_path, *HARM[what])
    with pytest.raises(DataError, match="made to do harm"):
        archives.unpack(address, target)
    outside = {path for path in tmp_path.rglob("*") if not path.is_relative_to(target)}
    assert outside == {tmp_path / "model.tar.gz", tmp_path / "in"}
    assert not any(path.is_symlink() or path.name.startswith(".part-") for path in target.rglob("*"))
    assert not Path("/tmp/ftsdk-absolute").exists()


def test_a_link_that_is_there_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("s")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.bin").symlink_to(tmp_path / "secret")
    archives.unpack(packed(tmp_path, ("model.bin", b"new")), tmp_path / "out")
    assert (tmp_path / "secret").read_text() == "s"
    assert not (tmp_path / "out" / "model.bin").is_symlink()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FtsdkError, match="cannot be written"):
        archives.unpack(packed(tmp_path, ("sub/file", b"new")), tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_archives_of_other_programs_are_read(tmp_path):
    """Long names in GNU's and in the POSIX form, attributes, `./` in front, a size that only the attributes give."""
    name = "./" + "/".join(["long" * 20] * 3) + "/weights.bin"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "model.tar.gz", "w:gz", format=form, pax_headers={"comment": "global"}) as archive:
            folder = tarfile.TarInfo("./")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            for path, data in ((name, ONCE), ("sized", b"12345")):
                info = tarfile.TarInfo(path)
                info.size, info.mtime = len(data), 1.5
                info.pax_headers = {"size": str(len(data))} if form == tarfile.PAX_FORMAT else {}
                archive.addfile(info, io.BytesIO(data))
        folder = archives.unpack(f"{tmp_path.as_uri()}/model.tar.gz", tmp_path / f"out-{form}")
        assert (folder / name).read_bytes() == ONCE
        assert (folder / "sized").read_bytes() == b"12345"


def test_an_archive_bomb_is_refused_before_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "EXPECTED_BYTES", 1 << 60)
    header = tarfile.TarInfo("model.bin")
    header.size = 1 << 50
    (tmp_path / "model.tar.gz").write_bytes(gzip.compress(header.tobuf() + bytes(1 << 20)))
    with pytest.raises(DataError, match="no room"):
        archives.unpack(f"{tmp_path.as_uri()}/model.tar.gz", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_archive_bomb_of_any_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "EXPECTED_BYTES", 1 << 20)
    with pytest.raises(DataError, match="50 times its size"):
        archives.unpack(packed(tmp_path, *((f"{i}.bin", bytes(1 << 20)) for i in range(4))), tmp_path / "out")


def test_an_archive_bomb_of_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tar, "MAX_MEMBERS", 50)
    with pytest.raises(DataError, match="more than 50 members"):
        archives.unpack(packed(tmp_path, *((f"{i}", b"") for i in range(60))), tmp_path / "out")


def test_half_an_archive_is_broken(tmp_path):
    address = packed(tmp_path, ("model.bin", bytes(range(256)) * 100), cut=100)
    with pytest.raises(DataError, match="cannot be unpacked"):
        archives.unpack(address, tmp_path / "out")


def test_a_missing_archive_raises_job_not_found(tmp_path):
    with pytest.raises(JobNotFoundError, match="There is no file"):
        archives.unpack(f"{tmp_path.as_uri()}/model.tar.gz", tmp_path / "out")
