"""The local backend keeps what every backend promises."""

import pytest

from ftsdk.backends.local import Local, LocalOptions
from ftsdk.testing import tiny
from ftsdk.testing.recovery import RecoveryConformance


class TestLocal(RecoveryConformance):
    @pytest.fixture
    def backend(self):
        return Local(LocalOptions(python=tiny.TRAINER_PYTHON, grace_s=5))

    @pytest.fixture
    def trained(self, tiny_fields):
        return tiny_fields
