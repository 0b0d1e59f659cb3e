"""Which packages an image holds: from the labels that `ftsdk image build` gives it, else from its tag.

Labels are read where an image is built, pushed or checked by `ftsdk doctor`, and kept in ftsdk's home for plans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ftsdk.contract.packages import ALL, required
from ftsdk.errors import UnsupportedError
from ftsdk.facts import platforms
from ftsdk.home import home_dir

BACKEND: Final = "images"
"""What is known of images lies among what is known of platforms, an image being a scope."""
LABEL: Final = "ftsdk.packages"
"""Names of packages, with spaces between them: those of `ftsdk.contract.packages` that the image has."""
OWN_TAG: Final = re.compile(r"[-_:]lf-(cpu|cuda|cuda12)$")
INSTEAD: Final = {"deepspeed": "use `sharding: fsdp`", "use_vllm": "sample without vLLM"}
"""Argument -> what does the same without its package."""


def checked_packages(pins: Iterable[str]) -> str:
    """The label's value for an image with these packages."""
    return " ".join(sorted({row.package for row in ALL} & set(pins)))


def remember(image: str, labels: Mapping[str, str] | None) -> None:
    """Keep what an image's labels say; nothing if it has none of ours."""
    if labels and LABEL in labels:
        platforms.keep(home_dir(), BACKEND, image, packages=labels[LABEL].split())


def packages_of(image: str | None, known: platforms.Platforms) -> frozenset[str] | None:
    """Which of the packages that plans check an image has; None if nobody has said."""
    labelled = platforms.of(known, BACKEND, image or "").get("packages")
    if labelled is not None:
        return frozenset(labelled)
    tag = OWN_TAG.search((image or "").partition("@")[0])
    return frozenset(row.package for row in ALL if tag[1] in row.in_image) if tag else None


def refuse_missing(
    config: Mapping[str, object], image: str | None, known: platforms.Platforms, mlflow_uri: str | None = None
) -> None:
    """Raise UnsupportedError for arguments whose package an image lacks, as far as its labels or its tag say."""
    present = packages_of(image, known)
    for row in required(config, mlflow_uri):
        if present is not None and row.package not in present:
            raise UnsupportedError(
                f"{row.argument} needs the package {row.package}, which the image {image} does not have: "
                f"{INSTEAD.get(row.argument, f'leave {row.argument} out')}, or give an image that has it (-o image=…) "
                f"and names it in its label {LABEL}."
            )
