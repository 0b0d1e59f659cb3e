"""Which hubs a job needs, and where they cannot be reached. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ftsdk.facts import Facts


def from_hugging_face(facts: Facts) -> Iterator[str]:
    """The models and data sets that a job downloads from Hugging Face."""
    models = (facts.model, *((facts.reward_model,) if facts.reward_model else ()))
    yield from (model.address for model in models if model.kind == "hub")
    yield from (source.address for source in (*facts.train, *facts.eval) if "hf_hub_url" in source.entry)


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
