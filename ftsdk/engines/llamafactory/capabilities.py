"""What LLaMA-Factory trains. `tests/methods/test_capabilities.py` compares the tested rows with the tests."""

from __future__ import annotations

from ftsdk.engines.capabilities import EngineTable

TEXT_ONLY = ("pt",)
ANSWERED = ("sft", "rm", "dpo", "ipo", "kto", "orpo", "simpo")
METHODS = (*TEXT_ONLY, *ANSWERED)
TUNINGS = ("full", "freeze", "lora", "qlora", "oft")
TESTED = frozenset({*((method, "lora") for method in METHODS), *(("sft", tuning) for tuning in TUNINGS)})
TESTED_LONG = frozenset((method, "full") for method in METHODS)

TABLES = (
    EngineTable(engine="llamafactory", methods=METHODS, tunings=TUNINGS, tested=TESTED, tested_long=TESTED_LONG),
    EngineTable(
        engine="llamafactory",
        methods=ANSWERED,
        tunings=TUNINGS,
        modalities=("image", "video", "audio"),
        tested=frozenset(),
        tested_long=frozenset(),
    ),
)
CAPABILITIES = tuple(row for table in TABLES for row in table.rows())
