"""Every way in which a checkpoint is found damaged: half written, partly missing, changed, or wrongly marked.

The first eight are what LLaMA-Factory's own resume meets after a crash while it saves: five of them stop it for good,
three (no optimizer, no random state, no scheduler) train another model without a word.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from ftsdk import contract

WEIGHTS = ("adapter_model.*", "model*.safetensors", "pytorch_model*.bin")
Way = Callable[[Path, Random], None]


def newest(durable: Path) -> Path | None:
    """Folder of the newest committed checkpoint."""
    commits = sorted(durable.glob(f"{contract.CHECKPOINTS_DIR}/*/{contract.COMMIT_FILE}"))
    return commits[-1].parent if commits else None


def damage(folder: Path, way: str, chance: Random) -> None:
    """Damage a checkpoint in one of the WAYS."""
    WAYS[way](folder, chance)


def _matching(folder: Path, *patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def _truncate(*patterns: str) -> Way:
    def way(folder: Path, chance: Random) -> None:
        for path in _matching(folder, *patterns):
            _write(path, path.read_bytes()[: chance.randrange(path.stat().st_size)])

    return way


def _remove(*patterns: str) -> Way:
    def way(folder: Path, _chance: Random) -> None:
        for path in _matching(folder, *patterns):
            path.unlink()

    return way


def _empty(folder: Path, _chance: Random) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _keep_weights_only(folder: Path, _chance: Random) -> None:
    kept = _matching(folder, *WEIGHTS)
    for path in folder.iterdir():
        if path not in kept:
            path.unlink()


def _flip_bit(folder: Path, chance: Random) -> None:
    """One bit in any file but our own two."""
    ours = (contract.COMMIT_FILE, contract.manifest_key(0))
    files = [path for path in sorted(folder.iterdir()) if path.name not in ours and path.stat().st_size]
    path = chance.choice(files)
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    _write(path, bytes(data))


def _change_commit(**fields: object) -> Way:
    def way(folder: Path, _chance: Random) -> None:
        path = folder / contract.COMMIT_FILE
        _write(path, json.dumps({**json.loads(path.read_bytes()), **fields}).encode())

    return way


def _forget_files(folder: Path, _chance: Random) -> None:
    """A manifest that lists nothing: a check against it finds no damage."""
    path = folder / contract.manifest_key(0)
    _write(path, json.dumps({**json.loads(path.read_bytes()), "files": {}}).encode())


def _write(path: Path, data: bytes) -> None:
    """In a new file: the old one may have a second name elsewhere (hard link), which must stay intact."""
    path.unlink()
    path.write_bytes(data)


WAYS: Mapping[str, Way] = {
    "truncated-optimizer": _truncate("optimizer.pt"),
    "truncated-weights": _truncate(*WEIGHTS),
    "no-trainer-state": _remove("trainer_state.json"),
    "no-optimizer": _remove("optimizer.pt"),
    "no-random-state": _remove("rng_state*"),
    "no-scheduler": _remove("scheduler.pt"),
    "empty-folder": _empty,
    "only-weights": _keep_weights_only,
    "flipped-bit": _flip_bit,
    "no-commit": _remove(contract.COMMIT_FILE),
    "torn-commit": _truncate(contract.COMMIT_FILE),
    "commit-of-another-job": _change_commit(digest="0" * 64),
    "commit-of-another-step": _change_commit(step=1_000_000),
    "commit-of-no-nodes": _change_commit(num_nodes=0),
    "no-manifest": _remove("manifest-n*.json"),
    "torn-manifest": _truncate("manifest-n*.json"),
    "empty-manifest": _forget_files,
}
