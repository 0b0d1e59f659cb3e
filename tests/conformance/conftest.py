"""The spec of the one conformance test that really trains."""

import pytest

from ftsdk.testing import tiny


@pytest.fixture(scope="session")
def tiny_fields(tiny_folder):
    return tiny.spec_fields(tiny_folder)
