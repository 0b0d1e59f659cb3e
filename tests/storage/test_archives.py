"""A packed model is unpacked whole, and nothing else is."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from ftsdk.errors import DataError, JobNotFoundError
from ftsdk.storage import archives


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


HARM = {
    "above": ("../above", b"x"),
    "absolute": ("/tmp/ftsdk-absolute", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}),
    "a link that leads out": ("out", {"type": tarfile.SYMTYPE, "linkname": "../../secret"}),
    "an absolute link": ("out", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
    "a device": ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
}


@pytest.mark.parametrize("what", HARM)
def test_nothing_is_written_elsewhere(tmp_path, what):
    address = packed(tmp_path, HARM[what])
    with pytest.raises(DataError, match="made to do harm"):
        archives.unpack(address, tmp_path / "in" / "out")
    assert {path.name for path in tmp_path.rglob("*")} == {"model.tar.gz", "in", "out"}


def test_a_bomb_is_refused_before_it_is_written(tmp_path):
    header = tarfile.TarInfo("model.bin")
    header.size = 1 << 50
    (tmp_path / "model.tar.gz").write_bytes(gzip.compress(header.tobuf() + bytes(1 << 20)))
    with pytest.raises(DataError, match="no room"):
        archives.unpack(f"{tmp_path.as_uri()}/model.tar.gz", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_half_an_archive_is_broken(tmp_path):
    address = packed(tmp_path, ("model.bin", bytes(range(256)) * 100), cut=100)
    with pytest.raises(DataError, match="cannot be unpacked"):
        archives.unpack(address, tmp_path / "out")


def test_no_archive_is_said_so(tmp_path):
    with pytest.raises(JobNotFoundError, match="There is no file"):
        archives.unpack(f"{tmp_path.as_uri()}/model.tar.gz", tmp_path / "out")
