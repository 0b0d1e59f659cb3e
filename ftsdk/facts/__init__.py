"""Facts about files, models and this machine: `inspect(spec)` returns all that `plan` needs besides the spec.

More than fifteen files: one for each thing that is inspected.
"""

from ftsdk.facts.facts import Attached, Facts, MachineFacts, ModelFacts, SourceFacts
from ftsdk.facts.inspecting import inspect

__all__ = ["Attached", "Facts", "MachineFacts", "ModelFacts", "SourceFacts", "inspect"]
