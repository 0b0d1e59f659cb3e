"""What a plan knows of an image's packages: from its labels, else from the tag of ftsdk's own, else nothing."""

from __future__ import annotations

import json
import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from ftsdk.backends import image, image_contents
from ftsdk.backends.docker import Docker, DockerOptions
from ftsdk.cli.image import build
from ftsdk.contract.packages import ALL
from ftsdk.errors import UnsupportedError
from ftsdk.facts import platforms
from ftsdk.home import home_dir
from tests.golden import pai, plans

CONTAINERS = Path(__file__).parents[2] / "containers"
LOCKS = {"cpu": "lf", "cuda": "lf-cuda", "cuda12": "lf-cuda12"}
OURS = "registry.example.com/team/ours:1"


def known():
    return replace(plans.facts(gpus=("H100",)), platforms=platforms.kept(home_dir()))


@pytest.mark.parametrize("torch", LOCKS)
def test_the_table_of_packages_says_what_the_locks_hold(torch):
    text = "\n".join((CONTAINERS / "locks" / f"{name}.txt").read_text() for name in (LOCKS[torch], "rl"))
    pinned = set(re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE))
    assert {row.package for row in ALL if torch in row.in_image} == {row.package for row in ALL} & pinned


@pytest.mark.parametrize("name", ["ftsdk:0.1.0-lf-cuda", "host/x/ftsdk:9-lf-cuda@sha256:00"])
def test_packages_of_ftsdks_image_are_read_from_its_tag(name):
    assert {"deepspeed", "liger-kernel"} <= image_contents.packages_of(name, {})
    assert image_contents.packages_of("ours:1", {}) is None


@pytest.mark.parametrize("sharding", ["zero2", "zero3"])
def test_a_plan_refuses_what_an_image_s_labels_do_not_have(sharding):
    spec = plans.spec(sharding=sharding, resources={"accelerator": "A10"})
    backend = pai.backend(image=OURS)
    backend.plan(spec, known())  # nobody has looked at it
    image_contents.remember(OURS, {"ftsdk.packages": "bitsandbytes"})
    with pytest.raises(UnsupportedError, match=r"deepspeed, which .*team/ours:1 does not have: use `sharding: fsdp`"):
        backend.plan(spec, known())
    image_contents.remember(OURS, {"ftsdk.packages": "bitsandbytes deepspeed"})
    backend.plan(spec, known())


def test_labels_of_others_and_none_say_nothing():
    for labels in (None, {}, {"maintainer": "ada"}):
        image_contents.remember(OURS, labels)
    assert image_contents.packages_of(OURS, platforms.kept(home_dir())) is None


def test_the_cpu_image_has_no_deepspeed():
    with pytest.raises(UnsupportedError, match=r"lf-cpu does not have: use `sharding: fsdp`"):
        Docker(DockerOptions()).plan(plans.spec(sharding="zero2"), plans.facts())


def test_build_arguments_name_base_images_and_mirrors(monkeypatch):
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    plain = set(image._build_arguments("cuda", None, None))
    assert f"COMPAT_IMAGE={image.COMPAT_IMAGE}" in plain
    assert not any(argument.startswith(("BASE_IMAGE", "APT", "PIP")) for argument in plain)
    assert "PACKAGES=bitsandbytes deepspeed liger-kernel rouge-score sacrebleu" in plain
    mirrored = set(image._build_arguments("cuda", None, "aliyun"))
    assert {
        "BASE_IMAGE=docker.m.daocloud.io/library/python:3.11-slim",
        f"COMPAT_IMAGE=docker.m.daocloud.io/{image.COMPAT_IMAGE}",
        "APT_MIRROR=https://mirrors.aliyun.com",
        "PIP_INDEX_URL=https://mirrors.aliyun.com/pypi/simple/",
    } <= mirrored
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@pypi.example.com/simple")
    own = set(image._build_arguments("cpu", "debian", "tsinghua"))
    assert {"PIP_INDEX_URL", "BASE_IMAGE=debian", "COMPAT_IMAGE=debian"} <= own
    assert "secret" not in " ".join(own)


def test_the_command_offers_every_mirror():
    (option,) = [param for param in build.params if param.name == "mirror"]
    assert set(option.type.choices) == set(image.MIRRORS)


def test_the_dockerfile_declares_every_argument_that_the_builder_gets():
    declared = set(re.findall(r"^ARG (\w+)", (CONTAINERS / "Dockerfile").read_text(), re.MULTILINE))
    for torch in LOCKS:
        assert {item.partition("=")[0] for item in image._build_arguments(torch, None, "aliyun")} <= declared


def test_the_bill_of_materials_names_every_package_once(tmp_path):
    install = runpy.run_path(str(CONTAINERS / "install.py"))
    install["write_sbom"](tmp_path / "sbom.cdx.json")
    document = json.loads((tmp_path / "sbom.cdx.json").read_text())
    listed = [(part["name"], part["version"]) for part in document["components"]]
    assert document["bomFormat"] == "CycloneDX" and len(set(listed)) == len(listed)
    assert set(install["installed"]().items()) <= set(listed)
    assert all(part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}" for part in document["components"])
