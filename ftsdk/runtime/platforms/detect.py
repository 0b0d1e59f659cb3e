"""Reads the cluster from whichever platform this job runs on."""

from __future__ import annotations

from collections.abc import Mapping

from ftsdk.runtime.platforms import cluster, sagemaker
from ftsdk.runtime.platforms.cluster import Cluster


def detect(environ: Mapping[str, str]) -> Cluster:
    """The cluster as the platform describes it; one node if it describes none.

    Raises ValueError if the description is inconsistent or cannot be read.
    """
    return sagemaker.read_cluster() if sagemaker.is_here(environ) else cluster.from_variables(environ)
