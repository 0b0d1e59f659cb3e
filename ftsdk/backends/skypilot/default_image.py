"""What LLaMA-Factory's own image, the default on clouds and Kubernetes, cannot run. Pure.

`hiyouga/llamafactory:0.9.5` has torch 2.6 for CUDA 12.4 and the TRL that LLaMA-Factory asks for, no Liger kernels.
"""

from __future__ import annotations

from collections.abc import Iterator

from ftsdk.backends.skypilot.options import IMAGE
from ftsdk.engines.base import Rendered
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.sizing.catalogue import card_of

REMEDY = "build ftsdk's image (`ftsdk image build`), push it to where the nodes can pull it, and give -o image=ADDRESS"


def check(rendered: Rendered, accelerators: tuple[str, ...]) -> None:
    """Raise UnsupportedError, naming everything, if the image lacks what the job needs."""
    if problems := [*_lacks(rendered), *_too_new(accelerators)]:
        raise UnsupportedError(f"The image {IMAGE} has no {', no '.join(problems)}: {REMEDY}.")


def _lacks(rendered: Rendered) -> Iterator[str]:
    if rendered.trainer == "trl":
        yield f"TRL 1.16 for {rendered.config['algorithm']}"
    arguments = rendered.config.get("arguments", rendered.config)
    if arguments.get("enable_liger_kernel") or arguments.get("use_liger_kernel"):
        yield "Liger kernels"


def _too_new(accelerators: tuple[str, ...]) -> Iterator[str]:
    for name in accelerators:
        try:
            generation = card_of(name).generation
        except SpecError:
            continue
        if generation == "blackwell":
            yield f"torch for {name} (Blackwell needs CUDA 12.8)"
