"""What a plan says of the first rows is what a preview finds in the trainer's own tokens."""

from __future__ import annotations

from copy import deepcopy

import pytest

from ftsdk.backends import get
from ftsdk.engines.llamafactory.templates import known_templates
from ftsdk.errors import SpecError
from ftsdk.facts import inspect
from ftsdk.runtime.programs.preview.findings import SENTENCES, findings
from ftsdk.spec.loading import parse
from tests.runtime.programs.test_preview import METHODS, SHAPES, job_of

COMPARED = ("nothing learned", "prompt learned", "bos twice", "eos never", "thoughts", "system", "tools")
OTHER_THOUGHT_WORDS = ("seed_oss",)
"""Templates of which a plan does not know what thoughts they remove."""
THOUGHT = "<think>\nred\n</think>\n\n"


def chat(*turns, **more):
    roles = ("user", "assistant") * 4
    messages = [
        {"role": role, "content": turn} if isinstance(turn, str) else {"role": role, **turn}
        for role, turn in zip(roles, turns, strict=False)
    ]
    return {"messages": messages, **more}


ROWS = {
    "sft": [
        chat("sun?", "moon."),
        chat("sun?", f"{THOUGHT}moon.", "bird?", "fish."),
        chat("sun?", {"content": "moon.", "weight": 0}, "bird?", "fish."),
        chat("sun?", "moon.", "bird?", {"content": "fish.", "weight": 0}),
        chat("sun?", {"content": "moon.", "reasoning_content": "red fish"}),
        {"messages": [{"role": "system", "content": "<s>stone"}, *chat("sun?", "moon.")["messages"]]},
        chat("<s>sun?", "moon."),
        chat("<s>sun?", "moon.", "bird?", f"{THOUGHT}fish."),
    ],
    "dpo": [
        {"conversations": [{"from": "human", "value": "sun?"}, {"from": "gpt", "value": f"{THOUGHT}moon."},
                           {"from": "human", "value": "bird?"}],
         "chosen": {"from": "gpt", "value": f"{thought}fish."}, "rejected": {"from": "gpt", "value": "red."}}
        for thought in ("", THOUGHT)
    ],
}  # fmt: skip
GIVEN = (
    {}, {"mask_history": True}, {"enable_thinking": False}, {"train_on_prompt": True}, {"default_system": "blue"},
    {"default_system": ""},
)  # fmt: skip


def codes(sentences):
    """Code -> rows, from the sentences of a plan or of a preview."""
    found = {}
    for text in sentences:
        counted = text.partition(" of rows, ")[2] or text  # a plan names the file
        for code in COMPARED:
            if SENTENCES[code].partition("{rows} ")[2] in counted:
                found[code] = int(counted.split()[0])
    return found


def compared(tmp_path, tiny_folder, monkeypatch, shape, **given):
    """(what the plan says, what the preview finds)."""
    from llamafactory.data import template as module

    from ftsdk.runtime.programs.preview.rows import Rows

    given = {**given, "cutoff_len": 1024}

    with monkeypatch.context() as patched:
        patched.setattr(module, "TEMPLATES", deepcopy(module.TEMPLATES))  # a default_system stays in them
        patched.setitem(SHAPES, shape, ROWS.get(shape, SHAPES.get(shape)))
        config = job_of(tmp_path, tiny_folder, shape, **given)
        rows = Rows({**config, "output_dir": str(tmp_path / "preview")})
        items, tokenizer = list(rows.read(None, None)), rows.tokenizer
    ends = {*tokenizer.all_special_ids, *rows.processor.template.get_stop_token_ids(tokenizer)}
    fields = {"model": str(tiny_folder / "model"), "dataset": str(tmp_path / "rows.json"),
              "method": METHODS.get(shape, "sft"), "hyperparameters": given}  # fmt: skip
    spec = parse(fields, where="test")
    said = get("local", {}).plan(spec, inspect(spec)).warnings
    return codes(said), codes(findings(items, tokenizer.bos_token_id, ends))


@pytest.mark.trainer
@pytest.mark.parametrize(
    ("shape", "given", "expected"),
    [
        ("sft", {"template": "qwen3"}, {}),
        ("sft", {"template": "qwen3", "enable_thinking": False}, {"thoughts": 3}),
        ("sft", {"template": "qwen3", "mask_history": True}, {"nothing learned": 1, "thoughts": 1}),
        ("sft", {"template": "qwen", "train_on_prompt": True}, {"prompt learned": 8, "system": 7}),
        ("sft", {"template": "default", "default_system": ""}, {}),
        ("sft", {"template": "mistral"}, {}),
        ("sft", {"template": "yi", "default_system": "blue"}, {"system": 7}),
        ("sft", {}, {}),
        ("dpo", {"template": "qwen3"}, {"thoughts": 2}),
        ("tools", {"template": "qwen"}, {}),
    ],
)
def test_a_plan_says_what_the_tokens_show(tmp_path, tiny_folder, monkeypatch, shape, given, expected):
    said, found = compared(tmp_path, tiny_folder, monkeypatch, shape, **given)
    assert said == found == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"template": "gemma2", "train_on_prompt": True}, "cannot be learned with it"),
        ({"template": "qwen2_vl"}, "for models that see images"),
    ],
)
def test_a_template_with_which_no_row_can_be_read_is_refused(spec_folder, given, said):
    spec = parse({"model": "./model", "dataset": "train.jsonl", "hyperparameters": given}, where="test")
    with pytest.raises(SpecError, match=said):
        get("local", {}).plan(spec, inspect(spec, folder=spec_folder))


@pytest.mark.trainer
@pytest.mark.long
@pytest.mark.parametrize(
    "template",
    [name for name, known in known_templates().items() if not known.media_tokens and name not in OTHER_THOUGHT_WORDS],
)
def test_a_plan_says_what_the_tokens_show_with_every_template(tmp_path, tiny_folder, monkeypatch, template):
    different = {}
    for shape in ("sft", "dpo", "kto", "tools", "alpaca", "sharegpt"):
        for number, given in enumerate(GIVEN if shape == "sft" else GIVEN[:1]):
            if known_templates()[template].efficient_eos and "train_on_prompt" in given:
                continue  # refused
            (folder := tmp_path / f"{shape}{number}").mkdir()
            said, found = compared(folder, tiny_folder, monkeypatch, shape, template=template, **given)
            if said != found:
                different[shape, str(given)] = said, found
    assert not different
