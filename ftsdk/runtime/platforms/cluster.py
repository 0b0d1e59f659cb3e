"""The nodes of one attempt, and the environment variables in which each platform describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ftsdk import contract


class Cluster(NamedTuple):
    """The nodes of one attempt; node 0 is the master."""

    num_nodes: int = 1
    node_rank: int = 0
    master_addr: str = "127.0.0.1"
    master_port: int = 29500


class Variables(NamedTuple):
    """Names of a platform's environment variables."""

    num_nodes: str
    node_rank: str
    master_addr: str
    """Holds one address, or those of all nodes separated by white space, the first node's first."""
    master_port: str


PLATFORMS: tuple[Variables, ...] = (
    Variables(contract.ENV_NUM_NODES, contract.ENV_NODE_RANK, contract.ENV_MASTER_ADDR, contract.ENV_MASTER_PORT),
    Variables("SKYPILOT_NUM_NODES", "SKYPILOT_NODE_RANK", "SKYPILOT_NODE_IPS", contract.ENV_MASTER_PORT),
    Variables("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"),  # a PyTorchJob's (PAI, Kubeflow) count nodes
)
"""The first row whose `num_nodes` variable is set applies. Backends that set ftsdk's own variables need no row."""
NOT_FOR_TRAINERS = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
                    "NPROC_PER_NODE", "NODE_RANK", "NNODES")  # fmt: skip
"""Variables in which a platform counts nodes but torch and transformers count processes; torchrun sets its own."""


def from_variables(environ: Mapping[str, str]) -> Cluster:
    """The cluster that the environment variables describe; one node if there are none.

    Raises ValueError if they are inconsistent.
    """
    default = Cluster()
    names = next((names for names in PLATFORMS if names.num_nodes in environ), None)
    if names is None:
        return default
    cluster = Cluster(
        int(environ[names.num_nodes]),
        int(environ.get(names.node_rank, default.node_rank)),
        next(iter(environ.get(names.master_addr, "").split()), default.master_addr),
        int(environ.get(names.master_port, default.master_port)),
    )
    if not 0 <= cluster.node_rank < cluster.num_nodes:
        raise ValueError(f"node rank {cluster.node_rank} of {cluster.num_nodes} nodes")
    return cluster
