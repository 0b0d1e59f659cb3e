"""Publishing on the Hugging Face Hub, by its own client: private by default, sent once, in one commit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ftsdk import contract
from ftsdk.contract.release import __version__
from ftsdk.errors import AuthError, BackendError, FtsdkError, NotInstalledError, SpecError, UnavailableError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
MADE_BY_THE_HUB = {".gitattributes"}


def push(contents: Mapping[str, Path | bytes], repository: str, *, private: bool, overwrite: bool) -> str:
    """Commit a model to a repository of the hub, which is created if there is none, and return its address.

    Large files that an interrupted push has already sent are not sent again. The hub's address and token are found as
    its own client finds them (HF_ENDPOINT, HF_TOKEN, `hf auth login`). Raises NotInstalledError without the client,
    AuthError where the token may not write, FtsdkError for a repository that holds something else.
    """
    if not REPOSITORY.fullmatch(repository):
        raise SpecError(f"hf:{repository} is no repository: write hf:ORG/NAME.")
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
    except ImportError:
        raise NotInstalledError("hf: needs the hub's client: pip install 'ftsdk[hub]'.") from None
    api = HfApi(library_name="ftsdk", library_version=__version__)
    with _errors(repository):
        api.create_repo(repository, private=private, exist_ok=True)
        if not overwrite:
            _refuse_what_is_there(api, repository, contents)
        operations = [CommitOperationAdd(name, content) for name, content in contents.items()]
        api.create_commit(repository, operations, commit_message="Model, card and lineage")
    return f"{api.endpoint}/{repository}"


def _refuse_what_is_there(api: HfApi, repository: str, contents: Mapping[str, Path | bytes]) -> None:
    """A repository with another model is left alone; the same model may be pushed again, with a newer card."""
    there = set(api.list_repo_files(repository)) - MADE_BY_THE_HUB
    if not there:
        return
    if contract.LINEAGE_FILE in there:
        recorded = Path(api.hf_hub_download(repository, contract.LINEAGE_FILE)).read_text("utf-8")
        ours = contents[contract.LINEAGE_FILE]
        if isinstance(ours, bytes) and json.loads(recorded).get("files") == json.loads(ours).get("files"):
            return
    raise FtsdkError(
        f"hf:{repository} holds another model: push to another name, or replace its files with --overwrite."
    )


@contextmanager
def _errors(repository: str) -> Iterator[None]:
    """The client's errors as ftsdk's."""
    import httpx
    from huggingface_hub import errors

    try:
        yield
    except errors.LocalTokenNotFoundError:
        raise AuthError("The hub needs a token: run `hf auth login`, or set HF_TOKEN.") from None
    except errors.HfHubHTTPError as problem:
        raise _http_error(problem, repository) from problem
    except (errors.OfflineModeIsEnabled, httpx.TransportError) as problem:
        raise UnavailableError(f"The hub does not answer ({problem}): check the network and HF_ENDPOINT.") from problem


def _http_error(problem: HfHubHTTPError, repository: str) -> BackendError:
    status = problem.response.status_code
    message = problem.server_message or str(problem).splitlines()[0]
    if status in (401, 403):
        return AuthError(
            f"The hub does not let you write to {repository} ({status}: {message}): use a token with write access "
            f"(`hf auth login`, or HF_TOKEN), or a name of your own."
        )
    return BackendError(f"The hub refused {repository} ({status}): {message}")
