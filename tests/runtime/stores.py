"""What every durable store has to do, whether it is a folder or a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftsdk.runtime.storage.base import Store


def keys(store: Store, prefix: str = "") -> list[str]:
    """Keys below a prefix, in the order of the listing."""
    return [item.key for item in store.list(prefix)]


def check_objects_are_put_whole_and_once(durable: Store, tmp_path: Path) -> None:
    """An empty store keeps what was put, once, whole, under its own key, and no longer has deleted keys."""
    assert durable.put_if_absent("a/b", b"one")
    assert not durable.put_if_absent("a/b", b"two")
    assert durable.read("a/b") == b"one"
    durable.put("a/b", b"three")
    durable.put("a/bc/d", b"")
    durable.put("ab", b"")
    assert keys(durable, "a/") == ["a/b", "a/bc/d"] and durable.read("a/b") == b"three"
    assert keys(durable, "a/b") == ["a/b", "a/bc/d"] and durable.size("a/b") == 5
    durable.delete("a/b", "a/b/c", "nothing")
    assert keys(durable) == ["a/bc/d", "ab"]
    durable.delete_folder("a")
    durable.delete_folder("a")
    assert keys(durable) == ["ab"] and keys(durable, "a/") == []
    for act in (
        lambda: durable.read("a/b"),
        lambda: durable.size("ab/c"),
        lambda: durable.fetch("a/b", tmp_path / "x"),
    ):
        with pytest.raises(FileNotFoundError):
            act()
