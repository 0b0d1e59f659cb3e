"""Merging adapters, checked against peft's own `merge_and_unload`."""

import json

import pytest

from ftsdk.runtime.programs.trained import fidelity, merger
from ftsdk.runtime.programs.trained.loading import ModelError
from ftsdk.runtime.programs.trained.shards import cannot_merge_shards

pytestmark = pytest.mark.trainer


def adapter(base, folder, **settings):
    """An adapter with random weights on the base model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM", **settings
    )
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder


def merge(tmp_path, base, dtype="float32", **settings):
    """Merge an adapter with these settings; returns the output folder and the adapter's."""
    folder, output = adapter(base, tmp_path / "adapter", **settings), tmp_path / "output"
    config = {"model_name_or_path": str(base), "adapter_name_or_path": str(folder), "dtype": dtype}
    output.mkdir()
    merger.merge(config, output)
    return output, folder


def by_peft(base, folder):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).merge_and_unload()


@pytest.mark.parametrize(
    ("settings", "in_files"),
    [({}, True), ({"use_rslora": True}, True), ({"modules_to_save": ["lm_head"]}, True), ({"use_dora": True}, False)],
    ids=["lora", "rslora", "with-lm-head", "dora"],
)
def test_the_merged_weights_are_those_of_peft(tmp_path, tiny_folder, settings, in_files):
    import torch
    from transformers import AutoModelForCausalLM

    base = tiny_folder / "model"
    output, folder = merge(tmp_path, base, **settings)
    assert (cannot_merge_shards(base, folder) == "") is in_files
    expected = by_peft(base, folder).state_dict()
    merged = AutoModelForCausalLM.from_pretrained(output).state_dict()
    assert merged.keys() == expected.keys()
    for name, tensor in merged.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6, msg=name)


def test_the_difference_is_measured_and_written(tmp_path, tiny_folder):
    output, _ = merge(tmp_path, tiny_folder / "model", dtype="bfloat16")
    report = json.loads((output / merger.REPORT).read_text())
    assert 0 < report["mean_kl"] <= report["limit"]
    assert report["dtype"] == "bfloat16"


def test_the_distance_from_the_quantised_weights_of_the_training_is_measured(tmp_path, tiny_folder):
    folder, output = adapter(tiny_folder / "model", tmp_path / "adapter"), tmp_path / "output"
    output.mkdir()
    config = {"model_name_or_path": str(tiny_folder / "model"), "adapter_name_or_path": str(folder)}
    merger.merge({**config, "dtype": "float32", "trained_bits": 4}, output)
    report = json.loads((output / merger.REPORT).read_text())
    assert report["quantized"]["bits"] == 4
    assert report["quantized"]["mean_kl"] > 10 * report["mean_kl"]


def test_a_sharded_model_stays_sharded_with_a_correct_index(tmp_path, tiny_folder):
    from transformers import AutoModelForCausalLM

    base = tmp_path / "base"
    AutoModelForCausalLM.from_pretrained(tiny_folder / "model").save_pretrained(base, max_shard_size="200KB")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (base / name).write_bytes((tiny_folder / "model" / name).read_bytes())
    output, _ = merge(tmp_path, base)
    shards = sorted(path.name for path in output.glob("*.safetensors"))
    assert len(shards) > 1
    assert shards == sorted(path.name for path in base.glob("*.safetensors"))


def test_a_merge_that_changes_the_model_is_refused(tmp_path, tiny_folder, monkeypatch):
    """The limit is what a float16 overflow or a wrong scale would exceed; here it is set below any rounding."""
    monkeypatch.setattr(merger, "MAX_KL", 0.0)
    with pytest.raises(ModelError, match="nats per token, more than 0"):
        merge(tmp_path, tiny_folder / "model", dtype="bfloat16")


def test_a_model_without_tokenizer_is_reported_in_one_sentence(tmp_path, tiny_folder):
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "model.safetensors"):
        (base / name).write_bytes((tiny_folder / "model" / name).read_bytes())
    with pytest.raises(ModelError, match="has no tokenizer: put"):
        merge(tmp_path, base)


def test_the_divergence_of_another_model_is_large(tiny_folder):
    """A divergence that is always small would prove nothing."""
    import torch

    first, second = (torch.log_softmax(torch.randn(5, 7, generator=torch.manual_seed(seed)), -1) for seed in (0, 1))
    assert fidelity.compare([first], [first]).mean_kl == 0
    assert fidelity.compare([first], [second]).mean_kl > 0.1
