"""Which hubs a job needs, and where they cannot be reached. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ftsdk.facts import Facts


def from_hugging_face(facts: Facts) -> Iterator[str]:
    """The models and data sets that a job downloads from Hugging Face."""
    yield from dict.fromkeys(model.base for model in facts.models.values() if is_hub_id(model.base))
    yield from (source.address for source in (*facts.train, *facts.eval) if "hf_hub_url" in source.entry)


def is_hub_id(address: str) -> bool:
    """Whether the address of a model or of its base is Hugging Face's `ORG/NAME`, and neither a path nor a bucket's."""
    return address.count("/") == 1 and not address.startswith((".", "/", "~", "modelscope:"))


def warnings(facts: Facts, region: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """A warning if a job in mainland China needs Hugging Face, and `env` names no mirror of it."""
    needed = list(from_hugging_face(facts))
    if not needed or not is_mainland(region) or "HF_ENDPOINT" in env:
        return ()
    return (
        f"{', '.join(needed)}: Hugging Face cannot be reached from {region}; write modelscope:ORG/NAME (data sets "
        f"ms://ORG/NAME), give a folder or a bucket's address, or name a mirror in env.HF_ENDPOINT.",
    )


def is_mainland(region: str) -> bool:
    """Whether a region of Alibaba Cloud or AWS lies in mainland China."""
    return region.startswith("cn-") and region != "cn-hongkong"
