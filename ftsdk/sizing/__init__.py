"""Memory, time and price of a fine-tuning, estimated before it starts.

`estimate_job` is called by planning. Only the packaged tables are read, once; `price.refresh` is the only module
that uses the network.
"""

from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.architecture.shapes import ModelShape, Parameters
from ftsdk.sizing.estimate import Estimate, estimate_job
from ftsdk.sizing.memory.terms import Memory, Term, memory_of
from ftsdk.sizing.price.offers import Offer, best, offers
from ftsdk.sizing.price.prices import over_budget
from ftsdk.sizing.spot import decide, spot_plan
from ftsdk.sizing.tables import shape_of_model
from ftsdk.sizing.time.duration import Tokens
from ftsdk.sizing.time.remaining import Remaining, remaining
from ftsdk.sizing.time.throughput import Speed, speed_of

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
    "memory_of",
    "offers",
    "over_budget",
    "remaining",
    "shape_of_config",
    "shape_of_model",
    "speed_of",
    "spot_plan",
]
