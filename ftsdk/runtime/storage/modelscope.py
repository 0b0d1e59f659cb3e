"""Downloads from ModelScope's hub by its HTTP interface, so that any engine and any image can use its addresses.

Paths, fields and the token's cookie are those of ModelScope's own client (modelscope 1.30, `modelscope/hub/api.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path
from typing import NamedTuple, TypedDict
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from ftsdk.contract.foreign import JsonObject
from ftsdk.runtime.retry import RetryPolicy

PREFIX = "modelscope:"
DEFAULT_DOMAIN = "www.modelscope.cn"
DEFAULT_REVISION = "master"
COMPLETE = ".complete"
TIMEOUT_S = 60.0
PARALLEL = 4
PIECE_BYTES = 1 << 20
PAGE = 100


class HubError(OSError):
    """The hub has no such model or data set, or does not let this token read it."""


class DownloadStopped(OSError):  # noqa: N818 - no failure
    """The download ended because of a request to stop."""


RETRY = RetryPolicy(attempts=8, is_final=lambda problem: isinstance(problem, HubError | DownloadStopped))


class HubFile(NamedTuple):
    """One file of a repository."""

    path: str
    bytes: int
    sha256: str
    """Empty if the hub does not say."""


class RepositoryFile(TypedDict, total=False):
    """A file or folder, as the hub lists it."""

    Path: str
    Size: int | None
    Sha256: str | None
    Type: str
    """`tree` for a folder."""


class ModelScopeHub:
    """ModelScope as an environment names it: MODELSCOPE_DOMAIN, MODELSCOPE_API_TOKEN, MODELSCOPE_CACHE.

    `should_stop` is called between two pieces of a file; if it returns True, the download raises DownloadStopped.
    """

    def __init__(self, environ: Mapping[str, str], should_stop: Callable[[], bool]) -> None:
        domain = environ.get("MODELSCOPE_DOMAIN") or DEFAULT_DOMAIN
        self._endpoint = (domain if "://" in domain else f"https://{domain}").rstrip("/")
        self._token, self._should_stop = environ.get("MODELSCOPE_API_TOKEN", ""), should_stop
        self._cache = Path(environ.get("MODELSCOPE_CACHE") or "~/.cache/modelscope").expanduser() / "ftsdk"

    def model(self, name: str, revision: str | None = None) -> Path:
        """The folder with all files of the model `ORG/NAME`. Raises OSError."""
        revision = DEFAULT_REVISION if revision in (None, "main") else revision
        query = {"Revision": revision, "Recursive": "True"}
        data = self._json(f"models/{quote(name)}/repo/files", query)
        return self._download("models", name, str(revision), data.get("Files") or ())

    def dataset(self, name: str) -> Path:
        """The folder with all files of the data set `ORG/NAME`. Raises OSError."""
        number = self._json(f"datasets/{quote(name)}", {})["Id"]
        return self._download("datasets", name, DEFAULT_REVISION, list(self._tree(number)))

    def _tree(self, number: object) -> Iterator[RepositoryFile]:
        page = 1
        while True:
            query = {"Revision": DEFAULT_REVISION, "Root": "/", "Recursive": "True", "PageNumber": page,
                     "PageSize": PAGE}  # fmt: skip
            files = self._json(f"datasets/{number}/repo/tree", query).get("Files") or []
            yield from files
            if len(files) < PAGE:
                return
            page += 1

    def _download(self, kind: str, name: str, revision: str, rows: Iterable[RepositoryFile]) -> Path:
        folder = self._cache / kind / name / revision
        if (folder / COMPLETE).exists():
            return folder
        files = [HubFile(row["Path"], int(row.get("Size") or 0), row.get("Sha256") or "") for row in rows
                 if row.get("Type") != "tree"]  # fmt: skip
        if not files:
            raise HubError(f"modelscope:{name} has no files")
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(lambda file: self._fetch(kind, name, revision, file, folder), files))
        (folder / COMPLETE).touch()
        return folder

    def _fetch(self, kind: str, name: str, revision: str, file: HubFile, folder: Path) -> None:
        target = folder / file.path
        if not target.resolve().is_relative_to(folder.resolve()):
            raise HubError(f"modelscope:{name} names a file outside of its folder: {file.path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        query = urlencode({"Revision": revision, "FilePath": file.path})
        part = target.with_name(f"{target.name}.part")
        RETRY.call(lambda: self._fetch_rest(f"{kind}/{quote(name)}/repo?{query}", file, part))
        part.replace(target)

    def _fetch_rest(self, path: str, file: HubFile, part: Path) -> None:
        """Continue a file where an earlier try has ended, and check the whole."""
        start = part.stat().st_size if part.exists() else 0
        response = self._open(path, {"Range": f"bytes={start}-"} if start else {})
        with response, part.open("ab" if response.status == 206 else "wb") as out:
            while piece := response.read(PIECE_BYTES):
                out.write(piece)
                if self._should_stop():
                    raise DownloadStopped("the download was stopped")
        arrived = part.stat().st_size
        if arrived < file.bytes:
            raise OSError(f"{file.path} arrived incomplete: {arrived} of {file.bytes} bytes")
        if (file.bytes and arrived != file.bytes) or (file.sha256 and _sha256(part) != file.sha256):
            part.unlink()
            raise OSError(f"{file.path} arrived incomplete or changed")

    def _json(self, path: str, query: Mapping[str, object]) -> JsonObject:
        def ask() -> JsonObject:
            with self._open(f"{path}?{urlencode(query)}", {}) as response:
                data: JsonObject = json.load(response)["Data"]
                return data

        return RETRY.call(ask)

    def _open(self, path: str, headers: dict[str, str]) -> HTTPResponse:
        cookie = {"Cookie": f"m_session_id={self._token}"} if self._token else {}
        request = Request(f"{self._endpoint}/api/v1/{path}", headers={"User-Agent": "ftsdk", **cookie, **headers})
        try:
            response: HTTPResponse = urlopen(request, timeout=TIMEOUT_S)
            return response
        except HTTPError as problem:
            if problem.code in (401, 403, 404):
                raise HubError(f"ModelScope answers {problem.code} to {path.partition('?')[0]}") from None
            raise


def _sha256(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            state.update(piece)
    return state.hexdigest()
