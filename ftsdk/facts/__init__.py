"""The only step that looks at the world: `inspect(spec)` returns `Facts`, and `plan` needs nothing else."""

from ftsdk.facts.facts import Attached, Facts, MachineFacts, ModelFacts, SourceFacts
from ftsdk.facts.inspecting import inspect

__all__ = ["Attached", "Facts", "MachineFacts", "ModelFacts", "SourceFacts", "inspect"]
