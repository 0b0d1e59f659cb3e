"""The labels that LLaMA-Factory trains on: what rows ask for and nothing else. Its own code makes them, in process."""

import json
import random

import pytest

from ftsdk.testing import tiny
from ftsdk.testing.tiny import WORDS

pytestmark = pytest.mark.trainer

TEMPLATES = ("chatml", "llama3", "mistral", "default", "qwen3", "gemma", "alpaca", "deepseekr1")
TAGS = {
    "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
    "system_tag": "system", "observation_tag": "tool", "function_tag": "function_call",
}  # fmt: skip
OPENAI = {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": TAGS}
PAIRS = {**OPENAI, "ranking": True, "columns": {"messages": "messages", "chosen": "chosen", "rejected": "rejected"}}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tiny")
    tiny.make(folder)
    return AutoTokenizer.from_pretrained(folder / "model")


@pytest.fixture(scope="module")
def trainer_data():
    """LLaMA-Factory's data module with our parts installed, taken out again afterwards."""
    from llamafactory.data import loader
    from llamafactory.data.processor import SupervisedDatasetProcessor as Processor

    from ftsdk.runtime.programs.data import examples

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (loader, "load_dataset"), (loader, "align_dataset"), (Processor, "_encode_data_example"),
            (loader, "FILEEXT2TYPE"),
        ):  # fmt: skip
            value = getattr(owner, name)
            patch.setattr(owner, name, dict(value) if isinstance(value, dict) else value)
        examples.install()
        yield loader


@pytest.fixture
def examples(tmp_path, tokenizer, trainer_data, monkeypatch):
    """A function that gives the tokenized examples of files by their dataset_info.json."""
    from datasets import config
    from llamafactory.data import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import Seq2SeqTrainingArguments

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def tokenized(info, *, template="chatml", stage="sft", **more):
        (tmp_path / "dataset_info.json").write_text(json.dumps(info))
        given = DataArguments(
            dataset=",".join(info), dataset_dir=str(tmp_path), template=template, **{"cutoff_len": 512, **more}
        )
        settings = Seq2SeqTrainingArguments(output_dir=str(tmp_path / "out"), report_to=[])
        made = get_template_and_fix_tokenizer(tokenizer, given)
        model = ModelArguments(model_name_or_path="none")
        return list(trainer_data.get_dataset(made, model, given, settings, stage, tokenizer)["train_dataset"])

    return tokenized


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return {"file_name": path.name}


def chats(seed, number=12):
    """Chats whose answers are learned or not, some with thoughts and tool calls; each answer has its own number."""
    rng = random.Random(seed)
    return [{"id": row, "messages": _turns(rng, row)} for row in range(number)]


def _turns(rng, row):
    turns = [{"role": "system", "content": "Be brief."}] if rng.random() < 0.3 else []
    length = rng.randint(1, 4)
    switch, values = rng.choice([("weight", (0, 1)), ("loss", (False, True)), ("train", (False, True))])
    learned = [rng.random() < 0.5 for _ in range(length)]
    learned[rng.randrange(length)] = True
    for number, learn in enumerate(learned):
        turns.append({"role": "user", "content": " ".join(rng.choices(WORDS, k=3))})
        answer = {"role": "assistant", "content": f"{rng.choice(WORDS)} {row}x{number}", switch: values[learn]}
        turns.append(answer | ({"reasoning_content": f"hm {row}y{number}"} if rng.random() < 0.3 else {}))
    return turns


def runs(labels):
    """(start, stop) of each run of labels."""
    starts = [n for n, label in enumerate(labels) if label != -100 and (n == 0 or labels[n - 1] == -100)]
    return [(start, next((n for n in range(start, len(labels)) if labels[n] == -100), len(labels))) for start in starts]


def unmarked(rows):
    """The same rows without what says that an answer is not learned."""
    kept = ("role", "content", "reasoning_content")
    return [{"messages": [{key: turn[key] for key in kept if key in turn} for turn in row["messages"]]} for row in rows]


def is_learned(turn):
    return all(turn.get(key) is not False and turn.get(key) != 0 for key in ("weight", "loss", "train"))


@pytest.mark.parametrize("template", TEMPLATES)
def test_labels_are_those_of_the_learned_answers_and_nothing_else(tmp_path, examples, tokenizer, template):
    rows = chats(seed=TEMPLATES.index(template))
    marked = examples({"a": {**written(tmp_path / "a.jsonl", rows), **OPENAI}}, template=template)
    whole = examples({"b": {**written(tmp_path / "b.jsonl", unmarked(rows)), **OPENAI}}, template=template)
    for row, one, other in zip(rows, marked, whole, strict=True):
        assert one["input_ids"] == other["input_ids"]  # the context of an answer does not change
        answers = [turn for turn in row["messages"] if turn["role"] == "assistant"]
        expected = list(other["labels"])
        for (start, stop), turn in zip(runs(other["labels"]), answers, strict=True):
            text = tokenizer.decode(other["labels"][start:stop])
            assert turn["content"] in text
            assert turn.get("reasoning_content", "") in text
            if not is_learned(turn):
                expected[start:stop] = [-100] * (stop - start)
        assert one["labels"] == expected


def test_the_last_answer_alone_is_learned_if_it_is_learned_at_all(tmp_path, examples):
    rows = chats(seed=3)
    given = examples({"a": {**written(tmp_path / "a.jsonl", rows), **OPENAI}}, mask_history=True)
    assert [bool(runs(one["labels"])) for one in given] == [is_learned(row["messages"][-1]) for row in rows]


@pytest.mark.parametrize("cutoff_len", [24, 48])
def test_a_cut_row_learns_what_is_left_of_it(tmp_path, examples, cutoff_len):
    rows = chats(seed=4)
    marked = examples({"a": {**written(tmp_path / "a.jsonl", rows), **OPENAI}}, cutoff_len=cutoff_len)
    whole = examples({"b": {**written(tmp_path / "b.jsonl", unmarked(rows)), **OPENAI}}, cutoff_len=cutoff_len)
    for row, one, other in zip(rows, marked, whole, strict=True):
        answers = [turn for turn in row["messages"] if turn["role"] == "assistant"]
        expected = list(other["labels"])
        for (start, stop), turn in zip(runs(other["labels"]), answers, strict=False):
            expected[start:stop] = other["labels"][start:stop] if is_learned(turn) else [-100] * (stop - start)
        assert one["labels"] == expected


def test_packed_rows_keep_their_labels(tmp_path, examples, tokenizer):
    rows = chats(seed=5)
    packed = examples({"a": {**written(tmp_path / "a.jsonl", rows), **OPENAI}}, packing=True, neat_packing=True)
    learned = "".join(tokenizer.decode([i for i in one["labels"] if i != -100]) for one in packed)
    for turn in (turn for row in rows for turn in row["messages"] if turn["role"] == "assistant"):
        assert (turn["content"] in learned) == is_learned(turn)


def test_thoughts_of_both_sides_of_a_pair_are_compared(tmp_path, examples, tokenizer):
    sides = {s: {"role": "assistant", "content": s, "thinking": f"hm {s}"} for s in ("chosen", "rejected")}
    row = {"messages": [{"role": "user", "content": "?"}], **sides}
    (one,) = examples({"a": {**written(tmp_path / "a.jsonl", [row]), **PAIRS}}, stage="rm")
    for side in sides:
        labels = [label for label in one[f"{side}_labels"] if label != -100]
        assert f"<think>\nhm {side}\n</think>\n\n{side}" in tokenizer.decode(labels)


FILES = {
    "dates": ["2020-01-01", "2020-01-02T03:04:05", "1 2 3"],
    "numerals": ["007", "1e5", "NA"],
    "urls and empty queries": ["http://a.b/c", "null", "true"],
}


@pytest.mark.parametrize("name", FILES)
def test_texts_that_look_like_other_types_stay_texts(tmp_path, examples, tokenizer, name):
    rows = [{"instruction": f"q {text}", "input": "", "output": text, "meta": {text: 1}} for text in FILES[name]]
    plain = {"instruction": "q", "output": "plain", "input": None}
    info = {"a": written(tmp_path / "a.jsonl", rows), "b": written(tmp_path / "b.jsonl", [plain])}
    learned = [tokenizer.decode([i for i in one["labels"] if i != -100]) for one in examples(info)]
    assert [text.split("<|im_end|>")[0] for text in learned] == [*FILES[name], "plain"]


def test_an_object_that_grows_keys_late_is_no_fault(tmp_path, examples):
    rows = [{"instruction": "q" * 2000, "output": "a", "meta": {f"k{n // 1000}": n}} for n in range(6000)]
    assert len(examples({"a": written(tmp_path / "a.jsonl", rows)}, max_samples=5)) == 5


def test_a_value_of_another_type_is_named_by_its_row(tmp_path, examples):
    rows = [{"instruction": "q", "output": "a"}, {"instruction": "q", "output": 5}]
    with pytest.raises(ValueError, match=r"row 2 of a\.jsonl cannot be read: 'output' is int, not text"):
        examples({"a": written(tmp_path / "a.jsonl", rows)})
