"""Know before you spend: memory, time and price of a fine-tuning, worked out before it starts.

`estimate` is what planning calls. Nothing here reads anything but the packaged tables (once); `refresh` is the
only module that goes to the network.
"""

from ftsdk.sizing.configs import shape_of_config
from ftsdk.sizing.duration import Tokens
from ftsdk.sizing.estimate import Estimate, estimate
from ftsdk.sizing.memory import Memory, Term, memory
from ftsdk.sizing.offers import Offer, best, offers
from ftsdk.sizing.price import over_budget
from ftsdk.sizing.progress import Remaining, remaining
from ftsdk.sizing.shapes import ModelShape, Parameters
from ftsdk.sizing.spot import decide, spot_plan
from ftsdk.sizing.tables import shape_of_model
from ftsdk.sizing.throughput import Speed, speed

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
    "estimate",
    "memory",
    "offers",
    "over_budget",
    "remaining",
    "shape_of_config",
    "shape_of_model",
    "speed",
    "spot_plan",
]
