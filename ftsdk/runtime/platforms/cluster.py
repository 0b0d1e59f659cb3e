"""Which node of how many this is. One row per platform says which variables carry it."""

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
    """Holds one address, or those of all nodes with white space between them, the first node's first."""
    master_port: str


PLATFORMS: tuple[Variables, ...] = (
    Variables(contract.ENV_NUM_NODES, contract.ENV_NODE_RANK, contract.ENV_MASTER_ADDR, contract.ENV_MASTER_PORT),
    Variables("SKYPILOT_NUM_NODES", "SKYPILOT_NODE_RANK", "SKYPILOT_NODE_IPS", contract.ENV_MASTER_PORT),
    Variables("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"),  # a PyTorchJob's (PAI, Kubeflow) count nodes
)
"""First match wins: a row counts once its `num_nodes` is set. Backends that set our own variables need no row."""
NOT_FOR_TRAINERS = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
                    "NPROC_PER_NODE", "NODE_RANK", "NNODES")  # fmt: skip
"""A platform's words on nodes, which torch and transformers would take for processes; torchrun sets its own."""


def read_cluster(environ: Mapping[str, str]) -> Cluster:
    """The cluster as the platform describes it; one node if it says nothing.

    Raises ValueError for a description that makes no sense.
    """
    from ftsdk.runtime.platforms import sagemaker

    if sagemaker.is_here(environ):
        return sagemaker.read_cluster()
    alone = Cluster()
    for names in PLATFORMS:
        if names.num_nodes in environ:
            found = Cluster(
                int(environ[names.num_nodes]),
                int(environ.get(names.node_rank, alone.node_rank)),
                next(iter(environ.get(names.master_addr, "").split()), alone.master_addr),
                int(environ.get(names.master_port, alone.master_port)),
            )
            if not 0 <= found.node_rank < found.num_nodes:
                raise ValueError(f"node rank {found.node_rank} of {found.num_nodes} nodes")
            return found
    return alone
