from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RuntimeArchive:
    path: str
    sha256: str
    bytes: int


def build(target_dir: Path) -> RuntimeArchive:
    return RuntimeArchive(str(target_dir / "runtime-x.pyz"), "x", 1)
