"""Nodes of one attempt go on together or not at all."""

from __future__ import annotations

import json
import time

import pytest

from ftsdk import contract
from ftsdk.runtime.platforms.cluster import Cluster
from ftsdk.runtime.platforms.detect import detect
from ftsdk.runtime.storage.durable import DurableFolder
from ftsdk.runtime.supervisor.outcome.nodes import Nodes


def start(folder, node, num_nodes=2):
    return Nodes(DurableFolder(folder), 1, Cluster(num_nodes=num_nodes, node_rank=node))


def end(folder, node, state, exit_code, ended_at=None):
    record = {"state": state, "reason": "oom", "message": "m", "hint": "h", "exit_code": exit_code}
    said = json.dumps({**record, "ended_at": ended_at or time.time()})
    DurableFolder(folder).put(contract.outcome_key(1, node), said.encode())


def test_running_nodes_are_no_failure(tmp_path):
    first, second = start(tmp_path, 0), start(tmp_path, 1)
    assert first.failure() is None and second.failure() is None


def test_a_succeeded_node_is_no_failure(tmp_path):
    first = start(tmp_path, 0)
    end(tmp_path, 1, "SUCCEEDED", 0)
    assert first.failure() is None


def test_a_failure_of_another_node_ends_this_one(tmp_path):
    first = start(tmp_path, 0)
    end(tmp_path, 1, "FAILED", contract.EXIT_FAILED)
    failure = first.failure()
    assert (failure.state, failure.reason) == ("FAILED", "oom") and "Node 1" in failure.message


def test_a_restarted_node_makes_the_other_restart(tmp_path):
    first, second = start(tmp_path, 0), start(tmp_path, 1)
    again = start(tmp_path, 1)
    assert first.failure().reason == "communication"
    assert again.failure() is None
    joined = start(tmp_path, 0)
    assert joined.failure() is None and start(tmp_path, 1).failure() is None
    del second


def test_nodes_that_restart_at_once_continue_together(tmp_path):
    start(tmp_path, 0), start(tmp_path, 1)
    first, second = start(tmp_path, 0), start(tmp_path, 1)
    assert first.failure() is None and second.failure() is None


def test_the_failure_before_a_restart_does_not_count_again(tmp_path):
    end(tmp_path, 1, "FAILED", contract.EXIT_CRASHED, ended_at=time.time() - 1)
    assert start(tmp_path, 0).failure() is None
    end(tmp_path, 1, "FAILED", contract.EXIT_FAILED, ended_at=time.time() - 1)
    assert start(tmp_path, 0).failure() is not None


@pytest.mark.parametrize("rank", ["2", "-1", "x"])
def test_a_cluster_that_makes_no_sense_is_refused(rank):
    with pytest.raises(ValueError, match=r"."):
        detect({contract.ENV_NUM_NODES: "2", contract.ENV_NODE_RANK: rank})


def test_without_variables_the_cluster_has_one_node():
    assert detect({}) == Cluster(1, 0, "127.0.0.1", 29500)


def test_skypilot_names_its_nodes():
    told = {"SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1", "SKYPILOT_NODE_IPS": "10.0.0.7\n10.0.0.8"}
    assert detect({**told, contract.ENV_MASTER_PORT: "20123"}) == Cluster(2, 1, "10.0.0.7", 20123)
