"""Exports to GGUF, each read back; what would answer otherwise is refused."""

import json
import shutil
from pathlib import Path

import pytest

from ftsdk.runtime.programs.trained import exporter, merger
from ftsdk.runtime.programs.trained.exporting import files, header, modelfile
from ftsdk.runtime.programs.trained.exporting.conversations import texts
from ftsdk.runtime.programs.trained.loading import ModelError, load_tokenizer
from tests.runtime.programs import architectures
from tests.runtime.programs.test_merging import adapter

pytestmark = pytest.mark.trainer
TRIMMED = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def export(tmp_path, model, *quants):
    output = tmp_path / "output"
    output.mkdir()
    exporter.export({"model": model, "gguf": list(quants)}, output, tmp_path / "scratch")
    return output


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tiny_folder):
    """The exports of an adapter."""
    folder = tmp_path_factory.mktemp("export")
    model = {
        "model_name_or_path": str(tiny_folder / "model"),
        "adapter_name_or_path": str(adapter(tiny_folder / "model", folder / "adapter")),
    }
    return export(folder, model, "f16", "q8_0")


@pytest.fixture(scope="module")
def tokenizer(tiny_folder):
    return load_tokenizer({"model_name_or_path": str(tiny_folder / "model")})


def read_header(folder):
    from gguf import GGUFReader

    return header.header_of(GGUFReader(folder / "model-f16.gguf"))


def test_the_files_predict_what_base_and_adapter_predict(exported, tiny_folder):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    report = json.loads((exported / "fidelity.json").read_text())
    assert {name: row["mean_kl"] <= row["limit"] for name, row in report.items()} == {"f16": True, "q8_0": True}
    base = AutoModelForCausalLM.from_pretrained(tiny_folder / "model")
    pair = PeftModel.from_pretrained(base, exported.parent / "adapter")
    read = AutoModelForCausalLM.from_pretrained(exported, gguf_file="model-f16.gguf", dtype=torch.float32)
    rows = torch.tensor([[4, 9, 16, 25, 36]])
    with torch.inference_mode():
        torch.testing.assert_close(read(rows).logits, pair(rows).logits, rtol=1e-2, atol=1e-3)


def test_llama_cpp_tokens_are_the_models(exported, tokenizer):
    read = read_header(exported)
    ids = {text: token for token, text in enumerate(read.tokens)}
    for text in texts():
        assert header.sentencepiece_tokens(text, ids, read) == tokenizer(text)["input_ids"], text
    assert (read.kind, read.adds_bos, read.adds_space) == ("llama", False, False)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"template": "{{ messages[0]['content'] }}"}, "chat template writes"),
        ({"template": None}, "chat template writes"),
        ({"adds_bos": True}, "would begin a prompt with the token bos"),
        ({"adds_space": True}, "as other tokens"),
        ({"scores": [0.0] * 512}, "as other tokens"),
        ({"tokens": ["?"] * 512}, "token 4 is '\\?' instead of '<0x00>'"),
    ],
)
def test_text_that_would_differ_is_refused(exported, tokenizer, changed, sentence):
    read = read_header(exported)
    header.refuse_other_text(read, tokenizer)
    with pytest.raises(ModelError, match=sentence):
        header.refuse_other_text(read._replace(**changed), tokenizer)


def test_an_end_of_answer_token_that_stops_no_generation_is_refused(exported, tokenizer, monkeypatch):
    monkeypatch.setattr(header, "STOPS", frozenset())
    read = read_header(exported)
    header.refuse_other_text(read, tokenizer)
    with pytest.raises(ModelError, match=r"Answers end with '<\|im_end\|>', and the exported file stops at"):
        header.refuse_other_text(read._replace(special={"eos": 1}), tokenizer)


def test_a_file_with_other_predictions_is_refused(tmp_path, tiny_folder, monkeypatch):
    """The limit is what a wrong layout of the weights would exceed; here it is set below the rounding."""
    monkeypatch.setitem(exporter.LIMITS, "q8_0", 1e-9)
    with pytest.raises(ModelError, match=r"The exported q8_0 differs from the model by .* and is not kept"):
        export(tmp_path, {"model_name_or_path": str(tiny_folder / "model")}, "q8_0")


def test_a_vocabulary_that_llama_cpp_does_not_know_is_refused(tmp_path, tiny_folder):
    model = tmp_path / "model"
    shutil.copytree(tiny_folder / "model", model)
    (model / "tokenizer.model").unlink()  # the scores of the pieces are in no other file
    with pytest.raises(ModelError, match="as other tokens than the model was trained on"):
        export(tmp_path, {"model_name_or_path": str(model)}, "f16")


def test_code_in_a_models_folder_is_not_run(tmp_path):
    """llama.cpp's converter loads some tokenizers with `trust_remote_code`: StableLM's without a tokenizer.json."""
    from transformers import AutoModelForCausalLM, StableLmConfig
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    model, ran = tmp_path / "model", tmp_path / "ran"
    letters = {letter: number for number, letter in enumerate(bytes_to_unicode().values())}
    AutoModelForCausalLM.from_config(StableLmConfig(**architectures.SIZE, vocab_size=256)).save_pretrained(model)
    (model / "vocab.json").write_text(json.dumps(letters))
    (model / "merges.txt").write_text("#version: 0.2\n")
    settings = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "a", "unk_token": "a", "bos_token": "a"}
    auto_map = {"AutoTokenizer": [None, "written.Tokenizer"]}
    (model / "tokenizer_config.json").write_text(json.dumps({**settings, "auto_map": auto_map}))
    (model / "written.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    with pytest.raises(ModelError, match="converter refuses the model"):
        export(tmp_path, {"model_name_or_path": str(model)}, "f16")
    assert not ran.exists()


@pytest.mark.skipif(shutil.which(files.QUANTIZER) is None, reason="needs llama.cpp's llama-quantize")
def test_smaller_formats_are_measured(tmp_path, tiny_folder):
    output = export(tmp_path, {"model_name_or_path": str(tiny_folder / "model")}, "q4_k_m")
    report = json.loads((output / "fidelity.json").read_text())
    assert report["q4_k_m"]["limit"] is None
    assert 0 < report["q4_k_m"]["mean_kl"] < 0.1
    assert [path.name for path in sorted(output.iterdir())] == ["Modelfile", "fidelity.json", "model-q4_k_m.gguf"]


def test_an_export_runs_despite_files_of_a_killed_one(tmp_path, tiny_folder):
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "model-f16.gguf").write_bytes(b"GGUF and no more")
    for name in ("merged", "source", "offload"):
        (tmp_path / "scratch" / name).mkdir(parents=True)
    exporter.export(
        {"model": {"model_name_or_path": str(tiny_folder / "model")}, "gguf": ["f16"]},
        tmp_path / "output",
        tmp_path / "scratch",
    )
    assert json.loads((tmp_path / "output" / "fidelity.json").read_text())["f16"]["mean_kl"] < 1e-5


@pytest.mark.long
@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
def test_architectures_are_merged_and_exported(name, tmp_path, pytestconfig):
    """Merge, GGUF f16 and q8_0, each within its limit, with tokenizers that llama.cpp knows."""
    base = architectures.make(name, tmp_path / "base", Path(pytestconfig.cache.mkdir("qwen-vocabulary")))
    model = {"model_name_or_path": str(base), "adapter_name_or_path": str(adapter(base, tmp_path / "adapter"))}
    (tmp_path / "merged").mkdir()
    merger.merge({**model, "dtype": "float32"}, tmp_path / "merged")
    report = json.loads((export(tmp_path, model, "f16", "q8_0") / "fidelity.json").read_text())
    assert report["f16"]["mean_kl"] <= 1e-3
    assert report["q8_0"]["mean_kl"] <= 1e-2


def test_a_missing_program_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    files.refuse_missing_tools(["f16", "q8_0"])
    with pytest.raises(ModelError, match=r"q4_k_m needs llama\.cpp's program llama-quantize, which is not on PATH"):
        files.refuse_missing_tools(["f16", "q4_k_m"])


def test_the_modelfile_writes_chats_as_the_template(exported, tokenizer):
    text = (exported / "Modelfile").read_text()
    assert text.splitlines()[1] == "FROM ./model-f16.gguf"
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert '{{ if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n{{ else if' in text
    affixes = modelfile.find_affixes(tokenizer)
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    assert affixes.write(chat) == tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)


def test_a_template_that_changes_contents_gets_no_modelfile_template(tiny_folder):
    tokenizer = load_tokenizer({"model_name_or_path": str(tiny_folder / "model")})
    tokenizer.chat_template = TRIMMED
    assert modelfile.find_affixes(tokenizer) is None
    assert "TEMPLATE" not in modelfile.modelfile(tokenizer, "x.gguf")


def test_the_vocabulary_file_survives_a_training_of_all_weights(tmp_path, tiny_folder):
    from ftsdk.runtime.programs.model.parts import keep_sentencepiece

    config = {"model_name_or_path": str(tiny_folder / "model")}
    load_tokenizer(config).save_pretrained(tmp_path)
    assert not Path(tmp_path, "tokenizer.model").exists()
    keep_sentencepiece(config, tmp_path)
    assert (tmp_path / "tokenizer.model").read_bytes() == (tiny_folder / "model" / "tokenizer.model").read_bytes()
