"""Checks what `make release` has built: `python -m tests.release DIST` names each fault; exit code 1 if there is any.

DIST holds the sdist, the wheel that was built out of it, and in `from-tree/` the wheel built out of the working tree.
"""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

from tests.house import ROOT

IN_THE_WHEEL = ("ftsdk/py.typed", "ftsdk/__main__.py", "ftsdk/containers/Dockerfile", "ftsdk/containers/install.py")
TABLES = (".json", ".csv", ".gz", ".jsonl")
"""Suffixes of data files below ftsdk/; each must be in the wheel."""


def faults(dist: Path) -> Iterator[str]:
    """What is wrong with the files in a folder, one sentence each."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    yield from wheel_faults(contents)
    yield from (f"{sdist.name} lacks {name}" for name in _missing_sources(sdist))
    (direct,) = (dist / "from-tree").glob("*.whl")
    with zipfile.ZipFile(direct) as archive:
        other = {name: archive.read(name) for name in archive.namelist()}
    differing = sorted(name for name in contents.keys() | other.keys() if contents.get(name) != other.get(name))
    yield from (f"{name} differs between the sdist's wheel and the working tree's" for name in differing)


def wheel_faults(contents: dict[str, bytes]) -> Iterator[str]:
    """Faults of a wheel, by its files."""
    data = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ftsdk").rglob("*") if path.suffix in TABLES}
    recipes = {f"ftsdk/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "estimators").rglob("*.yaml")}
    locks = {f"ftsdk/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "containers" / "locks").glob("*.txt")}
    assert data
    assert recipes
    assert locks
    yield from (
        f"the wheel lacks {name}" for name in sorted({*IN_THE_WHEEL, *data, *recipes, *locks} - contents.keys())
    )
    roots = {name.partition("/")[0] for name in contents}
    yield from (
        f"the wheel holds {root}/" for root in sorted(roots) if not re.fullmatch(r"ftsdk(-.*\.dist-info)?", root)
    )
    yield from (f"the wheel holds {name}" for name in contents if "__pycache__" in name or name.endswith(".pyc"))
    yield from _metadata_faults(contents)


def _metadata_faults(contents: dict[str, bytes]) -> Iterator[str]:
    (metadata,) = (data for name, data in contents.items() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
    message = message_from_bytes(metadata)
    readme = message.get_payload()
    assert isinstance(readme, str)
    links = re.findall(r"\]\((?!https?://|#)([^)]+)\)", readme)
    yield from (f"the readme links to {link}, which an index page cannot find" for link in links)
    stated = re.search(r'__version__ = "(.+)"', (ROOT / "ftsdk" / "contract" / "release.py").read_text("utf-8"))
    if not stated or message["Version"] != stated[1]:
        yield f"the wheel says version {message['Version']}, ftsdk/contract/release.py another"


def _missing_sources(sdist: Path) -> list[str]:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "CHANGELOG.md", "tests/test_house.py"}
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "ftsdk").rglob("*.py")}
    return sorted(wanted - names)


if __name__ == "__main__":
    found = list(faults(Path(sys.argv[1])))
    sys.stderr.write("".join(f"{fault}\n" for fault in found))
    sys.exit(bool(found))
