"""Storage in a folder, as launcher and runtime use it."""

import pytest

from ftsdk.runtime.storage.base import ObjectInfo
from ftsdk.runtime.storage.durable import DurableFolder
from ftsdk.runtime.storage.folder import TEMPORARY, FolderStore
from ftsdk.storage.store import download, open_store


@pytest.fixture
def store(tmp_path):
    store = open_store((tmp_path / "store").as_uri())
    store.put("model/weights", b"w" * 3_000_000)
    return store


def test_a_download_is_the_users_own(store, tmp_path):
    seen = []
    download(store, "model/weights", tmp_path / "mine", seen.append)
    (tmp_path / "mine").write_bytes(b"changed")
    assert store.read("model/weights") == b"w" * 3_000_000
    assert sum(seen) == 3_000_000 and len(seen) > 1


def test_a_runtime_links_what_it_only_reads(store, tmp_path):
    stored = DurableFolder(store.root).fetch("model/weights", tmp_path / "restored")
    assert (tmp_path / "restored").samefile(store.path("model/weights"))
    assert stored == FolderStore(store.root).fetch("model/weights", tmp_path / "copy")
    assert not (tmp_path / "copy").samefile(store.path("model/weights"))


def test_a_missing_object_leaves_no_file(store, tmp_path):
    for key in ("model/none", "model/weights/none", "none/none"):
        with pytest.raises(FileNotFoundError):
            download(store, key, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_listing_has_the_order_of_keys_and_no_temporaries(store):
    store.put("model-card", b"1")
    store.path(f"model/{TEMPORARY}weights-00").write_bytes(b"half")
    assert list(store.list()) == [ObjectInfo("model-card", 1), ObjectInfo("model/weights", 3_000_000)]
    assert [item.key for item in store.list("model/")] == ["model/weights"]
    assert list(store.list("none/")) == []
