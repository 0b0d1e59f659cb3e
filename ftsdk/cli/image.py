"""`ftsdk image build|push`: the training image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ftsdk.cli.completion import complete_backend
from ftsdk.cli.output import emit, json_option, say, size

if TYPE_CHECKING:
    from ftsdk.backends.image import Torch


@click.group()
def image() -> None:
    """Build or push the training image that every backend with containers runs."""


@image.command()
@click.option(
    "--torch", type=click.Choice(["cuda", "cuda12", "cpu"]), default="cuda", show_default=True, help="Build of torch."
)
@click.option("--tag", help="Name of the image; the docker backend's own default if left out.")
@click.option("--base-image", help="A Debian image with Python 3.11 to build on.")
@click.option(
    "--platform",
    "os_platform",
    metavar="OS/ARCH",
    help="System to build for; linux/amd64 for CUDA, else this machine's.",
)
@click.option(
    "--mirror",
    type=click.Choice(["aliyun", "tsinghua"]),
    help="Take base image and packages from mirrors in mainland China.",
)
@json_option
def build(
    torch: Torch, tag: str | None, base_image: str | None, os_platform: str | None, mirror: str | None, as_json: bool
) -> None:
    """Build the training image with Docker."""
    from ftsdk.backends import image

    built = image.build(
        torch=torch, tag=tag, base_image=base_image, os_platform=os_platform, mirror=mirror, on_line=say
    )
    data = {"tag": built.tag, "id": built.id, "bytes": built.bytes}
    emit(data, as_json, lambda: f"{built.tag} ({size(built.bytes)})")


@image.command()
@click.argument("reference", required=False)
@click.option("--backend", "-b", shell_complete=complete_backend, help="Push to this backend's own registry instead.")
@click.option("--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help="An option of that backend.")
@click.option(
    "--torch", type=click.Choice(["cuda", "cuda12", "cpu"]), default="cuda", show_default=True, help="Build of torch."
)
@click.option("--tag", help="Name of the local image; the docker backend's own default if left out.")
@json_option
def push(
    reference: str | None, backend: str | None, options: tuple[str, ...], torch: Torch, tag: str | None, as_json: bool
) -> None:
    """Push the image to a registry under REFERENCE, e.g. registry.example.com/team/ftsdk:1, or to a backend's own."""
    from ftsdk.backends import image

    local = tag or image.default_tag(torch)
    if (reference is None) == (backend is None):
        raise click.UsageError("Give REFERENCE or --backend.")
    if reference is None:
        reference = _push_to(backend or "", options, local)
    else:
        image.push(local, reference, on_line=say)
    emit({"reference": reference}, as_json, lambda: reference)


def _push_to(backend: str, options: tuple[str, ...], local: str) -> str:
    from ftsdk import backends
    from ftsdk.backends.base import SupportsImagePush
    from ftsdk.cli.run import pairs
    from ftsdk.errors import UnsupportedError

    target = backends.get(backend, pairs(options))
    if not isinstance(target, SupportsImagePush):
        raise UnsupportedError(f"The {backend} backend has no registry of its own: give REFERENCE.")
    return target.push_image(local, say)
