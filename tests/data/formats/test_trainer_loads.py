"""LLaMA-Factory itself loads what we say it loads, and keeps the rows that we call right."""

import json
from types import SimpleNamespace

import pytest

from ftsdk.data.checks.check import CheckOptions, check
from ftsdk.data.convert import convert_for_trainer
from ftsdk.data.formats.dataset_info import dataset_info_entry
from ftsdk.data.formats.summary import describe_file
from tests.data.planting import CHATS, CLEAN, clean_rows, dumped, planted

pytestmark = pytest.mark.trainer


def loaded(path, method):
    """Rows as LLaMA-Factory's converter gives them, of a file that is converted first where it must be."""
    from llamafactory.data.loader import _load_single_dataset
    from llamafactory.data.parser import get_dataset_list

    seen = describe_file(path, method=method)
    if seen.convert_first:
        convert_for_trainer(path, path.with_suffix(".staged.jsonl"), method=method)
        path = path.with_suffix(".staged.jsonl")
        seen = describe_file(path, method=method)
        assert not seen.convert_first
    found = seen.detected
    entry = dataset_info_entry(found.format, found.columns, found.tags, path.name)
    (path.parent / "dataset_info.json").write_text(json.dumps({"d": entry}))
    attributes = get_dataset_list(["d"], str(path.parent))[0]
    folder = str(path.parent)
    data_args = SimpleNamespace(
        dataset_dir=folder, media_dir=folder, streaming=False, max_samples=None, preprocessing_num_workers=None,
        overwrite_cache=True,
    )  # fmt: skip
    model_args = SimpleNamespace(cache_dir=str(path.parent / "cache"), hf_hub_token=None)
    training_args = SimpleNamespace(local_process_index=0, dataloader_num_workers=0)
    return list(_load_single_dataset(attributes, model_args, data_args, training_args))


def kept(row, method):
    """Whether the trainer's processors keep a converted row (data/processor/*.py)."""
    asked, answers = len(row["_prompt"]), len(row["_response"])
    if method == "pt":
        return asked == 1
    return asked % 2 == 1 and answers == {"sft": 1, "dpo": 2, "kto": 2, "grpo": answers}[method]


@pytest.mark.parametrize("shape", CLEAN)
def test_clean_rows_are_kept(tmp_path, shape):
    method = CLEAN[shape][0]
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\n".join(dumped(row) for row in clean_rows(shape, 40, 0)))
    rows = loaded(path, method)
    assert len(rows) == 40
    assert all(kept(row, method) for row in rows)


@pytest.mark.parametrize("shape", ["sharegpt", "openai", "pair_chat", "kto_chat"])
def test_rows_out_of_order_are_what_the_trainer_skips(tmp_path, shape):
    method = CLEAN[shape][0]
    made = planted(shape, 5, count=600)
    keep = {n for n, codes in made.expected.items() if codes & {"role_order"}}
    lines = [line for n, line in enumerate(made.lines, 1) if n not in made.expected or n in keep]
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\n".join(lines))
    found = check([path], CheckOptions(method=method)).of("role_order")
    column = CHATS[shape][0]  # a better or worse answer of the wrong role is trained on all the same
    ours = {finding.row for finding in found if column in finding.message}
    theirs = {number for number, row in enumerate(loaded(path, method), 1) if not kept(row, method)}
    assert theirs
    assert ours == theirs


def test_rows_of_openai_tools_reach_the_trainer_as_calls(tmp_path):
    path = tmp_path / "train.jsonl"
    row = clean_rows("openai_tools", 1, 0)[0]
    path.write_bytes(dumped(row))
    (got,) = loaded(path, "sft")
    assert [message["role"] for message in got["_prompt"]] == ["user", "function", "observation"]
    calls = json.loads(got["_prompt"][1]["content"])
    assert [call["name"] for call in calls] == ["look_up", "look_up"]
    assert isinstance(calls[0]["arguments"], dict)
    assert got["_system"] == "Use tools."
    assert json.loads(got["_tools"])[0]["function"]["name"] == "look_up"
