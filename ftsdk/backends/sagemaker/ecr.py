"""Whether an image in ECR is one that SageMaker's machines can pull and run."""

from __future__ import annotations

import json
from typing import Final
from urllib.request import urlopen

from ftsdk.backends import image_contents
from ftsdk.backends.base import Check
from ftsdk.backends.sagemaker.service import AwsServices
from ftsdk.backends.sagemaker.shapes import ImageConfig, ImageManifest

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
TIMEOUT_S: Final = 10.0
REBUILD: Final = "build and push it again: `ftsdk image build`, `ftsdk image push -b sagemaker`"


def check_image(services: AwsServices, address: str) -> Check:
    """Manifest and processor of an image. Raises ftsdk's errors if it is not there or may not be read."""
    registry, _, name = address.partition("/")
    place = {"registryId": registry.partition(".")[0], "repositoryName": _repository(name)}
    response = services.call("ecr", "batch_get_image", **place, imageIds=[_image_id(name)],
                             acceptedMediaTypes=ACCEPTED)  # fmt: skip
    if not response["images"]:
        return Check(
            what="image",
            ok=False,
            detail=f"there is no {address}",
            remedy="ftsdk image build, then ftsdk image push --backend sagemaker; or name another with -o image=…",
        )
    kind = response["images"][0].get("imageManifestMediaType", DOCKER_MANIFEST)
    manifest: ImageManifest = json.loads(response["images"][0]["imageManifest"])
    if "manifests" in manifest:
        return _of_manifest(address, kind, _platforms_of(manifest))
    config = _config(services, place, manifest)
    image_contents.remember(address, config.get("config", {}).get("Labels"))
    return _of_manifest(address, kind, [f"{config['os']}/{config['architecture']}"])


INDEX: Final = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
ACCEPTED: Final = [DOCKER_MANIFEST, "application/vnd.oci.image.manifest.v1+json", *INDEX]


def _of_manifest(address: str, kind: str, platforms: list[str]) -> Check:
    if platforms and "linux/amd64" not in platforms:
        detail = f"{address} is for {', '.join(platforms)}, and SageMaker's machines run linux/amd64"
        remedy = REBUILD.replace("image build", "image build --platform linux/amd64")
        return Check(what="image", ok=False, detail=detail, remedy=remedy)
    if kind in INDEX:
        detail = f"{address} is an index of images ({kind}), which SageMaker has refused"
        return Check(what="image", ok=False, detail=detail, remedy=REBUILD)
    if kind != DOCKER_MANIFEST:
        detail = f"{address} (its media type {kind} was refused for endpoints; training jobs are not known to)"
        return Check(what="image", ok=True, detail=detail)
    return Check(what="image", ok=True, detail=address)


def _platforms_of(index: ImageManifest) -> list[str]:
    """`os/architecture` of what is in an index; attestations have none that counts."""
    listed = [item.get("platform", {}) for item in index["manifests"]]
    return [f"{item['os']}/{item['architecture']}" for item in listed if item.get("os") not in (None, "unknown")]


def _config(services: AwsServices, place: dict[str, str], manifest: ImageManifest) -> ImageConfig:
    """The image's configuration: its system and its labels."""
    digest = manifest.get("config", {}).get("digest", "")
    url = services.call("ecr", "get_download_url_for_layer", **place, layerDigest=digest)["downloadUrl"]
    with urlopen(url, timeout=TIMEOUT_S) as response:
        config: ImageConfig = json.load(response)
    return config


def _repository(name: str) -> str:
    return name.partition("@")[0].rpartition(":")[0] or name.partition("@")[0]


def _image_id(name: str) -> dict[str, str]:
    if "@" in name:
        return {"imageDigest": name.partition("@")[2]}
    return {"imageTag": name.rpartition(":")[2] if ":" in name else "latest"}
