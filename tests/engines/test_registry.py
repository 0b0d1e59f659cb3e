"""The registry of engines: every method has one, and every entry is what the protocol asks for."""

from __future__ import annotations

import pytest

from ftsdk import engines
from ftsdk.spec.method import STAGES


@pytest.mark.parametrize("name", engines.ENGINES)
def test_an_entry_has_the_name_it_is_registered_under(name):
    engine = engines.get(name)
    assert name == engine.NAME
    assert engine.STAGES
    assert callable(engine.render)


def test_every_method_has_an_engine():
    assert frozenset().union(*(engines.get(name).STAGES for name in engines.ENGINES)) == set(STAGES)
