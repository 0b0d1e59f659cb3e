"""Rows of the table of models, made from config.json files."""

from __future__ import annotations

import json

import pytest

from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.tables import config_of_row, shape_of_model

pytestmark = pytest.mark.trainer

TEXT = {
    "model_type": "qwen3",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 128,
    "vocab_size": 99,
    "tie_word_embeddings": False,
}


def test_a_row_has_the_count_of_the_real_class():
    from bench.sizing.architectures import Published, count_of, row_of

    row = row_of(Published("org/New-1B-Instruct", TEXT, 1234))
    assert (row["name"], row["hub"], row["published_parameters"]) == ("new-1b", "org/New-1B-Instruct", "1234")
    assert shape_of_config(config_of_row(row)).parameters.total == count_of(TEXT)


def test_vision_parameters_are_the_difference_to_the_real_class():
    from bench.sizing.architectures import Published, count_of, row_of

    vision = {"model_type": "internvl_vision", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
              "intermediate_size": 64, "image_size": [28, 28], "patch_size": [14, 14]}  # fmt: skip
    whole = {
        "model_type": "internvl",
        "text_config": TEXT,
        "vision_config": vision,
        "tie_word_embeddings": False,
    }
    counts = shape_of_config(config_of_row(row_of(Published("org/New-VL-1B", whole)))).parameters
    assert counts.total == count_of(whole)
    assert counts.vision == count_of(whole) - count_of(TEXT) > 0


def test_a_model_that_would_be_counted_wrongly_gets_no_row_and_is_named(tmp_path, capsys):
    from bench.sizing.architectures import main

    configs = {
        "org/Unknown-1B": {**TEXT, "model_type": "nobodys"},
        "org/Wrong-1B": {"model_type": "mamba", **{k: v for k, v in TEXT.items() if k != "model_type"}},
        "org/Right-1B": TEXT,
        "Qwen/Qwen3-8B": TEXT,
    }
    (tmp_path / "configs.json").write_text(json.dumps(configs))
    main([str(tmp_path / "configs.json")])
    output, problems = capsys.readouterr()
    assert [line.split(",")[0] for line in output.splitlines()] == ["right-1b"]
    assert "org/Unknown-1B: transformers has no class for nobodys" in problems
    assert "org/Wrong-1B: the class has" in problems
    assert shape_of_model("Qwen/Qwen3-8B").hidden_size == 4096
