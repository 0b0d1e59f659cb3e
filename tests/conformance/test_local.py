"""Conformance of the local backend."""

import os
import signal
from contextlib import contextmanager
from dataclasses import replace

import pytest

from ftsdk import contract
from ftsdk.backends.local import Local, LocalOptions
from ftsdk.storage.records import read_json
from ftsdk.testing import processes, tiny
from ftsdk.testing.recovery import RecoveryConformance


class TestLocal(RecoveryConformance):
    @pytest.fixture
    def backend(self):
        return Local(LocalOptions(python=tiny.TRAINER_PYTHON, grace_s=5))

    @pytest.fixture
    def trained(self, tiny_fields):
        return tiny_fields

    def public_words(self, plan):
        return processes.command_lines()

    def kill(self, job):
        os.kill(read_json(job.store, contract.process_key(job.info().attempt))["pid"], signal.SIGKILL)

    @contextmanager
    def break_start(self, plan):
        yield replace(plan, request={**plan.request, "argv": ["/no/such/python", *plan.request["argv"][1:]]})
