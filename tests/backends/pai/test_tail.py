"""Where lines come from when nodes have had several pods: asked of the emulator, without containers."""

from __future__ import annotations

from itertools import product

import pytest

from ftsdk import contract
from ftsdk.backends.pai import jobs
from ftsdk.backends.pai.log_lines import PaiLogReader
from ftsdk.backends.pai.service import AlibabaServices
from ftsdk.contract import Stamp
from ftsdk.runtime.storage.spool import DurableBucket
from tests.backends.pai.account import options
from tests.emulators.dlc import DlcCloud
from tests.emulators.dlc_job import Node
from tests.golden.pai import REQUESTS

APART = DurableBucket.lines_apart


@pytest.fixture
def cloud(monkeypatch):
    cloud = DlcCloud()
    cloud.held = "Creating"
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    yield cloud
    cloud.close()


def said(node, start, numbers):
    """Lines of a node's how-manieth start."""
    return [f"{Stamp(1, node, start * APART + number)}|{node}.{start}.{number}" for number in numbers]


def test_the_last_lines_of_earlier_pods_are_in_order(cloud):
    """Two nodes, three pods each: segments have 4 of 10 lines of the two that were killed, and all of the last one."""
    services = AlibabaServices(options(cloud))
    jobs.create(services, REQUESTS["cpu-mounts-auth"]().request)
    (job,) = cloud.jobs.values()
    native = jobs.newest(services, contract.split_native_name(job.name)[0])
    store = cloud.store()
    for node, start in product(range(2), range(3)):
        pod = Node(job, node, 2, 1)
        pod.said += said(node, start, range(10))
        (job.nodes if start == 2 else job.history_pods).append(pod)
        kept = "".join(f"{line}\n" for line in said(node, start, range(10 if start == 2 else 4)))
        store.put(contract.segment_key(1, node, start), kept.encode())
    native = jobs.newest(services, contract.split_native_name(job.name)[0])
    whole = list(PaiLogReader(services, store, None).lines(lambda: native, follow=False))
    for node in range(2):
        mine = [line.text for line in whole if line.text[0] == str(node)]
        assert mine == [f"{node}.{start}.{number}" for start in range(3) for number in range(10)]
    for place, line in enumerate(whole):
        rest = PaiLogReader(services, store, line.cursor).lines(lambda: native, follow=False)
        assert sorted(each.text for each in rest) == sorted(each.text for each in whole[place + 1 :])
