"""What a job left on this machine or in its bucket, and its removal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ftsdk.errors import FtsdkError, JobNotFoundError
from ftsdk.home import home_dir, jobs_dir
from ftsdk.jobs import journal
from ftsdk.jobs.job import Job
from ftsdk.runtime.storage.base import ObjectInfo
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.storage.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Remains:
    """The folders of a job on this machine, and its objects."""

    uri: str
    folders: dict[Path, int]
    """Folder -> bytes of its files."""
    bucket: ObjectStore | None = None
    objects: tuple[ObjectInfo, ...] = ()
    """What lies below the job's own address. Staged inputs lie elsewhere: other jobs use them."""

    @property
    def places(self) -> dict[str, int]:
        """Every folder and address -> bytes."""
        kept = {self.bucket.uri: sum(item.bytes for item in self.objects)} if self.bucket and self.objects else {}
        return {**{str(folder): count for folder, count in self.folders.items()}, **kept}

    @property
    def bytes(self) -> int:
        """Size of all of it."""
        return sum(self.places.values())


def remains(job: str) -> Remains:
    """What a job that has ended left. Raises FtsdkError if it runs, JobNotFoundError if it is unknown."""
    try:
        attached = Job.attach(job)
        info = attached.info()
    except JobNotFoundError:
        if not (entries := journal.entries(job)):
            raise
        return Remains(entries[0].uri, _sizes(_own_folder(entries[0].uri)))
    if not info.state.terminal:
        raise FtsdkError(f"Job {attached.uri} is {info.state}: cancel it first (`ftsdk cancel {attached.uri}`).")
    folders, store = [_own_folder(attached.uri)], attached.store
    if isinstance(store, FolderStore) and store.root.name == attached.name:
        folders.append(store.root)
    if isinstance(store, ObjectStore) and store.uri.endswith(f"/{attached.name}"):
        return Remains(attached.uri, _sizes(*folders), store, tuple(store.list()))
    return Remains(attached.uri, _sizes(*folders))


def _own_folder(uri: str) -> Path:
    return jobs_dir(home_dir(), uri.partition("://")[0]) / uri.rpartition("/")[2]


def _sizes(*folders: Path) -> dict[Path, int]:
    return {folder.absolute(): _bytes(folder) for folder in folders if folder.is_dir()}


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def remove(remains: Remains) -> None:
    """Delete the folders, the objects and the journal's record."""
    import shutil

    if remains.bucket and remains.objects:
        remains.bucket.delete(*(item.key for item in remains.objects))

    for folder in remains.folders:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError as problem:
            raise FtsdkError(f"{problem.filename or folder} cannot be removed ({problem.strerror}).") from problem
    journal.remove(remains.uri)
