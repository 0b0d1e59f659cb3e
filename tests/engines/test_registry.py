"""The registry of engines: every entry is what the protocol asks for."""

from __future__ import annotations

import pytest

from ftsdk import engines


@pytest.mark.parametrize("name", engines.ENGINES)
def test_an_entry_has_the_name_it_is_registered_under(name):
    engine = engines.get(name)
    assert name == engine.NAME
    assert {row.engine for row in engine.CAPABILITIES} == {name}
    assert callable(engine.render)
