"""What LLaMA-Factory trains. `tests/methods/test_capabilities.py` compares the tested rows with the tests."""

from __future__ import annotations

from ftsdk.engines.capabilities import EngineTable

TEXT_ONLY = ("pt",)
ANSWERED = ("sft", "rm", "dpo", "ipo", "kto", "orpo", "simpo")
METHODS = (*TEXT_ONLY, *ANSWERED)
TUNINGS = ("full", "freeze", "lora", "qlora", "oft")
TESTED = frozenset({*((method, "lora") for method in METHODS), *(("sft", tuning) for tuning in TUNINGS)})
TESTED_LONG = frozenset((method, "full") for method in METHODS)

TARGETED = ("adalora", "ia3", "vera", "boft", "hra", "loha", "lokr", "ln_tuning", "fourierft", "bitfit")
IN_LAYERS = (*TARGETED, "prefix", "p_tuning_v2")
BEFORE_THE_PROMPT = ("prompt", "p_tuning")
WITHOUT_HEAD = ("pt", "sft", "dpo", "ipo", "kto", "orpo", "simpo")
"""Methods whose models have no value head, of which peft's other adapters know nothing."""

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
    EngineTable(
        engine="llamafactory",
        methods=WITHOUT_HEAD,
        tunings=IN_LAYERS,
        tested=frozenset(("sft", tuning) for tuning in ("ia3", "adalora", "p_tuning_v2")),
        tested_long=frozenset({*(("sft", tuning) for tuning in IN_LAYERS), ("dpo", "ia3"), ("dpo", "prefix")}),
        sharding=("ddp",),
    ),
    EngineTable(
        engine="llamafactory",
        methods=("pt", "sft"),
        tunings=BEFORE_THE_PROMPT,
        tested=frozenset({("sft", "p_tuning")}),
        tested_long=frozenset(("sft", tuning) for tuning in BEFORE_THE_PROMPT),
        sharding=("ddp",),
    ),
)
CAPABILITIES = tuple(row for table in TABLES for row in table.rows())
