"""The local backend keeps what every backend promises."""

import pytest

from ftsdk.backends.local import Local, LocalOptions
from ftsdk.testing.conformance import BackendConformance
from tests import tiny


class TestLocal(BackendConformance):
    @pytest.fixture
    def backend(self):
        return Local(LocalOptions(grace_s=5))
