"""What TRL trains. `tests/methods/test_capabilities.py` compares the tested rows with the tests."""

from __future__ import annotations

from ftsdk.engines.capabilities import EngineTable

TABLES = (
    EngineTable(
        engine="trl",
        methods=("grpo", "dapo", "gspo", "dr_grpo", "cispo", "sapo", "rloo"),
        tunings=("full", "lora", "qlora", "oft"),
        tested=frozenset({("grpo", "full"), ("dapo", "lora"), ("gspo", "full"), ("dr_grpo", "lora"), ("rloo", "lora")}),
        tested_long=frozenset(
            {
                ("grpo", "lora"),
                ("grpo", "oft"),
                ("dapo", "full"),
                ("gspo", "lora"),
                ("dr_grpo", "full"),
                ("rloo", "full"),
                ("cispo", "lora"),
                ("sapo", "full"),
            }
        ),
    ),
    EngineTable(
        engine="trl",
        methods=("ppo",),
        tunings=("full", "lora"),
        resume="restarts",
        tested=frozenset({("ppo", "full"), ("ppo", "lora")}),
        tested_long=frozenset(),
        sharding=("ddp",),
    ),
)
CAPABILITIES = tuple(row for table in TABLES for row in table.rows())
