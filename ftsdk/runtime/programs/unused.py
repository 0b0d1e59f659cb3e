"""Packages that trainers import wherever they are installed: hidden from a job that does not use them.

They cost a third of the processor time of a start: transformers imports wandb for every training, accelerate
matplotlib, LLaMA-Factory nltk (and with it scipy's statistics) for scores of generated answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any


def hide(config: Mapping[str, Any]) -> None:
    """Let `import` and `find_spec` answer for what a trainer's configuration does not use as if it were not there."""
    for name in packages(config):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # None ends an import: the language says so


def packages(config: Mapping[str, Any]) -> Iterator[str]:
    """What a trainer's configuration does not use; nothing where a model or a reward brings code of its own."""
    settings = {**config, **config.get("arguments", {})}  # TRL's stand in a mapping of their own
    if settings.get("trust_remote_code") or any("function" in reward for reward in config.get("rewards", ())):
        return
    if "wandb" not in str(settings.get("report_to")):
        yield "wandb"
    if not settings.get("predict_with_generate"):
        yield "nltk"
    yield "matplotlib"  # `plot_loss` is off in every job: `ftsdk metrics` draws the curves
