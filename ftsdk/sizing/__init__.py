"""Know before you spend: memory, time and price of a fine-tuning, worked out before it starts.

`estimate_job` is what planning calls. Nothing here reads anything but the packaged tables (once); `refresh` is the
only module that goes to the network.
"""

from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.architecture.shapes import ModelShape, Parameters
from ftsdk.sizing.estimate import Estimate, estimate_job
from ftsdk.sizing.memory.terms import Memory, Term, memory
from ftsdk.sizing.price.offers import Offer, best, offers
from ftsdk.sizing.price.prices import over_budget
from ftsdk.sizing.spot import decide, spot_plan
from ftsdk.sizing.tables import shape_of_model
from ftsdk.sizing.time.duration import Tokens
from ftsdk.sizing.time.remaining import Remaining, remaining
from ftsdk.sizing.time.throughput import Speed, speed

__all__ = [
    "Estimate",
    "Memory",
    "ModelShape",
    "Offer",
    "Parameters",
    "Remaining",
    "Speed",
    "Term",
    "Tokens",
    "best",
    "decide",
    "estimate_job",
    "memory",
    "offers",
    "over_budget",
    "remaining",
    "shape_of_config",
    "shape_of_model",
    "speed",
    "spot_plan",
]
