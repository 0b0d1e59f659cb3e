"""What the launcher knows of a model before it exists, for the lineage record. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

from ftsdk.contract.documents import JobDocument
from ftsdk.contract.lineage import Origin, OriginFile
from ftsdk.contract.release import __version__
from ftsdk.facts import Facts, ModelFacts
from ftsdk.spec import JobSpec
from ftsdk.storage.fingerprints import Fingerprint


def origin_of(spec: JobSpec, facts: Facts) -> Origin:
    """The origin of the model that a training will make; `placed` adds where it runs."""
    return Origin(
        job="",
        spec=spec.to_json(),
        options={},
        folder=facts.folder,
        base_model=facts.model.base,
        revision=spec.revision,
        files=[*_files(facts)],
        image=None,
        git=facts.git,
        ftsdk=__version__,
        parents=[model.lineage for model in facts.models.values() if model.lineage],
    )


def placed(document: JobDocument, uri: str, options: Mapping[str, object], image: str | None) -> JobDocument:
    """The job document whose origin names the job, its backend's options and its image."""
    origin = document.get("origin")
    if origin is None:
        return document
    return {**document, "origin": {**origin, "job": uri, "options": options, "image": image}}


def _files(facts: Facts) -> Iterator[OriginFile]:
    yield from _model_files("model", facts.model)
    for role, sources in (("train", facts.train), ("eval", facts.eval)):
        for source in sources:
            yield from _named(role, (source.file,) if source.file else ())
    if facts.reward_model:
        yield from _model_files("reward_model", facts.reward_model)
    yield from _named("reward", facts.reward_files.values())
    for item in facts.attached:
        yield from _named("attached", item.files)


def _model_files(role: str, model: ModelFacts) -> Iterator[OriginFile]:
    """An adapter's own files and those of its base, by the paths below their folders."""
    folders = tuple(PurePath(folder) for folder in dict.fromkeys((model.address, model.base)))
    for file in model.files:
        path = PurePath(file.path)
        below = next((folder for folder in folders if path.is_relative_to(folder)), path.parent)
        yield OriginFile(name=path.relative_to(below).as_posix(), role=role, bytes=file.bytes, sha256=file.sha256)


def _named(role: str, files: Iterable[Fingerprint]) -> Iterator[OriginFile]:
    for file in files:
        yield OriginFile(name=PurePath(file.path).name, role=role, bytes=file.bytes, sha256=file.sha256)
