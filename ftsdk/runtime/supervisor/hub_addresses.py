"""Replaces addresses on ModelScope by folders of this machine, before the trainer starts: no engine knows them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.storage.modelscope import PREFIX, ModelScopeHub


def fetch(document: JobDocument, environ: Mapping[str, str], should_stop: Callable[[], bool]) -> None:
    """Download every model `modelscope:ORG/NAME` of the configuration, and the data sets on ModelScope.

    The document is changed: it then names the folders. Raises OSError.
    """
    hub, revision = ModelScopeHub(environ, should_stop), document["config"].get("model_revision")
    document["config"] = _resolved(document["config"], lambda name: str(hub.model(name, revision)))
    for name, entry in document["dataset_info"].items():
        if "ms_hub_url" in entry and "hf_hub_url" not in entry:
            fetched = entry.copy()
            fetched["script_url"] = str(hub.dataset(fetched.pop("ms_hub_url")))
            document["dataset_info"][name] = fetched


def _resolved(value: Any, folder_of: Callable[[str], str]) -> Any:
    if isinstance(value, str) and value.startswith(PREFIX):
        return folder_of(value.removeprefix(PREFIX))
    if isinstance(value, dict):
        return {key: _resolved(item, folder_of) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, folder_of) for item in value]
    return value
