"""Parts of a configuration that all engines render alike: owned arguments, precision, trackers, data sets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal

from ftsdk.contract.documents import DatasetEntry
from ftsdk.engines.base import Arguments, Layout
from ftsdk.errors import DataError, SpecError, did_you_mean
from ftsdk.spec import Hyperparameters, JobSpec
from ftsdk.spec.names import LLAMAFACTORY, REPLACED

if TYPE_CHECKING:
    from ftsdk.facts import Facts, SourceFacts

OWNED: Mapping[str, str] = {
    **REPLACED,
    **{name: f"set `{place.path}`" for name, place in LLAMAFACTORY.items()},
    "adapter_name_or_path": "give the adapter's folder as `model`",
    "val_size": "set `dataset.eval_fraction` or `dataset.eval_rows`",
}
"""Arguments that a user may not set through `hyperparameters`, with the reason or the right place."""

MEDIA_ROLES = ("images", "videos", "audios")
_NO_BF16 = ("T4", "V100", "P100", "P4", "RTX20", "GTX")
"""Cards older than Ampere compute bfloat16 in software only (NVIDIA compute capability < 8.0)."""
_PLAIN_KINDS: Mapping[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)}
"""Types of passed-through arguments that can be checked before the trainer starts."""


def check_passed_through(
    arguments: Mapping[str, object], *, known: Mapping[str, str], owned: Mapping[str, str], trainer: str
) -> None:
    """Raise SpecError for an argument that ftsdk sets itself, that the trainer does not know, or of a wrong type.

    `known` maps the trainer's arguments to their types, `owned` those that ftsdk sets to the field to use instead.
    """
    for name, value in arguments.items():
        if name in owned:
            raise SpecError(f"hyperparameters.{name} is not yours to set: {owned[name]}.")
        if name not in known:
            hint = did_you_mean(name, [*Hyperparameters.model_fields, *(k for k in known if k not in owned)])
            raise SpecError(f"hyperparameters.{name}: neither ftsdk nor {trainer} knows this name{hint}.")
        kinds = _PLAIN_KINDS.get(known[name])
        if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            raise SpecError(f"hyperparameters.{name}: should be {known[name]}, not {value!r}.")


def precision(spec: JobSpec, facts: Facts) -> tuple[bool, bool]:
    """(bf16, fp16) as the spec sets them, else bfloat16 where the card has it, float16 on older ones, none on a CPU."""
    given = spec.hyperparameters
    if given.bf16 is not None or given.fp16 is not None:
        return bool(given.bf16), bool(given.fp16)
    card = spec.resources.accelerator or next(iter(facts.machine.accelerators), None)
    if card is None:
        return False, False
    return not lacks_bf16(card), lacks_bf16(card)


def lacks_bf16(card: str) -> bool:
    """Whether a card computes bfloat16 in software only."""
    return any(mark in card.upper().replace(" ", "") for mark in _NO_BF16)


TRACKERS = ("wandb", "tensorboard", "mlflow", "swanlab", "trackio")
"""Integrations of transformers that write into one run over restarts."""


def tracking_arguments(spec: JobSpec) -> Arguments:
    """The trainer's `report_to`. A list: transformers takes `wandb,tensorboard` for one integration."""
    trackio = spec.tracking.trackio
    trackio_arguments = (
        {"project": trackio.project or None, "trackio_space_id": trackio.space or None} if trackio else {}
    )
    report_to = [name for name in TRACKERS if getattr(spec.tracking, name)] or "none"
    return {"report_to": report_to, "run_name": spec.name, **trackio_arguments}


def refuse_media(sources: Iterable[SourceFacts], reader: str) -> None:
    """Raise DataError for rows that name images, videos or audio files, which the reader does not take."""
    for source in sources:
        if source.attached and source.attached.argument == "media_dir" and source.attached.files:
            roles = " and ".join(role for role in MEDIA_ROLES if role in (source.entry.get("columns") or {}))
            raise DataError(
                f"{source.address}: its rows have {roles}, and {reader} reads text only; "
                f"use what reads them, or leave the column and its placeholders out."
            )


def dataset_names(sources: tuple[SourceFacts, ...]) -> list[str]:
    """A name for each source that LLaMA-Factory can hold in a comma-separated list, none twice."""
    names: list[str] = []
    for source in sources:
        base = "".join(c if c.isalnum() or c in "-_" else "_" for c in source.name) or "data"
        number = sum(name == base or name.startswith(f"{base}__") for name in names)
        names.append(f"{base}__{number + 1}" if number else base)
    return names


_PATHS: Final[tuple[Literal["file_name", "script_url"], ...]] = ("file_name", "script_url")


def entry(source: SourceFacts, layout: Layout) -> DatasetEntry:
    """The entry of dataset_info.json, with paths inside."""
    inside = source.entry.copy()
    for key in _PATHS:
        if key in inside and (source.is_here or "://" in inside[key]):
            inside[key] = layout.inside(inside[key])
    return inside
