"""Records of platforms stay complete under concurrent writers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ftsdk.facts import platforms


def test_concurrent_checks_keep_all_results(tmp_path):
    names = [f"check_{i}" for i in range(64)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: platforms.keep(tmp_path, "pai", "cn-hangzhou", **{name: True}), names))
    known = platforms.of(platforms.kept(tmp_path), "pai", "cn-hangzhou")
    assert set(names) <= set(known)
