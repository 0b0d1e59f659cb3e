"""`ftsdk data`, run in a shell as users do."""

import json
import struct
import subprocess
import sys

import pytest

ROWS = [
    {"instruction": f"How far is stone {n} from the river?", "input": "", "output": f"Walk {n * 7} steps."}
    for n in range(60)
]


def ftsdk(*arguments, cwd=None, timeout=60):
    command = [sys.executable, "-c", "from ftsdk.cli import main; main()", "data", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=timeout)


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.jsonl"
    rows = [json.dumps(row) for row in [*ROWS, ROWS[3]]]
    rows[16] = rows[16][:-1]
    path.write_text("\n".join(rows))
    return path


def test_good_data_passes(good):
    done = ftsdk("check", good)
    assert (done.returncode, done.stdout) == (0, "\n")
    assert "PASS for sft, 60 training rows: nothing found" in done.stderr
    assert "alpaca (instruction and answer)" in done.stderr


def test_bad_data_fails_with_line_numbers(bad):
    done = ftsdk("check", bad)
    assert done.returncode == 3
    lines = [line.split(maxsplit=4) for line in done.stdout.splitlines()]
    assert [line[:4] for line in lines[1:]] == [
        ["bad.jsonl", "17", "error", "bad_json"], ["bad.jsonl", "61", "warning", "duplicate"],
    ]  # fmt: skip
    assert "FAIL for sft" in done.stderr


def test_json_is_data_only(bad):
    report = json.loads(ftsdk("check", bad, "--json").stdout)
    assert report["verdict"] == "fail"
    assert report["counts"] == {"bad_json": 1, "duplicate": 1}
    assert report["files"][0]["row_word"] == "line"


def test_a_warning_fails_only_when_strict(tmp_path):
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:12]))
    assert ftsdk("check", path).returncode == 0
    assert ftsdk("check", path, "--strict").returncode == 3


def test_fix_writes_a_copy_that_passes(bad, tmp_path):
    before = bad.read_bytes()
    done = ftsdk("check", bad, "--fix", tmp_path / "out")
    assert done.returncode == 3
    assert bad.read_bytes() == before
    copy = tmp_path / "out" / "bad.clean.jsonl"
    assert f"Written: {copy} (59 rows, 2 left out" in done.stderr
    assert ftsdk("check", copy, "--strict").returncode == 0
    dropped = [json.loads(line) for line in (tmp_path / "out" / "dropped.jsonl").read_text().splitlines()]
    assert [drop["row"] for drop in dropped] == [17, 61]


def test_a_spec_says_what_to_check(good, tmp_path):
    (tmp_path / "job.yaml").write_text("model: nobody/nothing\nmethod: dpo\ndataset: good.jsonl\n")
    done = ftsdk("check", "job.yaml", cwd=tmp_path)
    assert done.returncode == 3
    assert "dpo takes preference" in done.stdout


def test_start_from_is_read_from_a_llamafactory_yaml(good, tmp_path):
    (tmp_path / "data").mkdir()
    rows = [{"q": row["instruction"], "a": row["output"]} for row in ROWS]
    rows[4]["a"] = ""
    (tmp_path / "data" / "mine.json").write_text(json.dumps(rows))
    entry = {"file_name": "mine.json", "columns": {"prompt": "q", "response": "a"}}
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps({"mine": entry}))
    (tmp_path / "lf.yaml").write_text(
        "model_name_or_path: nobody/nothing\nstage: sft\ndo_train: true\nfinetuning_type: lora\ndataset: mine\n"
        "template: qwen\noutput_dir: out\n"
    )
    report = json.loads(ftsdk("check", "lf.yaml", "--json", cwd=tmp_path).stdout)
    assert [(f["row"], f["code"]) for f in report["findings"] if f["severity"] == "error"] == [(5, "empty_field")]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["check", "none.jsonl"], 3, "none.jsonl does not exist"),
        (["check", "good.jsonl", "--column", "prompt"], 2, "write it as name=value"),
        (["convert", "good.jsonl", "-o", "new.jsonl", "--to", "opnai"], 3, "did you mean 'openai'?"),
        (["check", "good.jsonl", "--column", "pormpt=instruction"], 2, "did you mean 'prompt'?"),
        (["check", "good.jsonl", "--tag", "user=me"], 2, "did you mean 'user_tag'?"),
        (["check", "hf://org/data"], 2, "hf://org/data is not on this machine"),
        (["split", "good.jsonl", "-o", "out"], 3, "Give either a fraction or a number"),
        (["split", "good.jsonl", "-o", "out", "--fraction", "nan"], 3, "between 0 and 1"),
    ],
)
def test_mistakes_are_reported_in_one_sentence(good, tmp_path, arguments, code, words):
    done = ftsdk(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_convert_with_and_without_a_format(good, tmp_path):
    done = ftsdk("convert", good, "-o", tmp_path / "chat.jsonl", "--to", "openai")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "chat.jsonl"))
    first = json.loads((tmp_path / "chat.jsonl").read_text().splitlines()[0])
    assert [message["content"] for message in first["messages"]] == [ROWS[0]["instruction"], ROWS[0]["output"]]
    ftsdk("convert", tmp_path / "chat.jsonl", "-o", tmp_path / "for_trainer.jsonl")
    assert "conversations" in json.loads((tmp_path / "for_trainer.jsonl").read_text().splitlines()[0])


def test_stats(good, tmp_path):
    shown = ftsdk("stats", good, "--steps-batch-size", 8).stdout
    assert "█" in shown
    assert "suggested" in shown
    found = json.loads(ftsdk("stats", good, "--json").stdout)
    assert found["num_rows"] == 60
    assert found["epoch_steps"] == 60


def test_split(good, tmp_path):
    done = ftsdk("split", good, "-o", tmp_path / "out", "--fraction", 0.1, "--json")
    made = json.loads(done.stdout)
    assert (made["num_train"], made["num_eval"]) == (54, 6)


def test_png_is_written_or_the_missing_extra_is_named(good, tmp_path):
    path = tmp_path / "lengths.png"
    done = ftsdk("stats", good, "--png", path, "--json")
    if done.returncode == 11:
        assert "pip install 'ftsdk[plot]'" in done.stderr
        return
    assert struct.unpack(">II", path.read_bytes()[16:24]) == (1280, 720)


@pytest.mark.trainer
def test_a_preview_in_three_forms(tiny_folder, tmp_path):
    spec = {"model": str(tiny_folder / "model"), "dataset": str(tiny_folder / "train.json"),
            "hyperparameters": {"cutoff_len": 64}}  # fmt: skip
    (tmp_path / "job.yaml").write_text(json.dumps(spec))
    shown = ftsdk("preview", tmp_path / "job.yaml", "--rows", "2", timeout=300)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "row 1\n" in shown.stdout
    assert "row 2\n" in shown.stdout
    assert "<|im_start|>assistant" in shown.stdout
    page = tmp_path / "rows.html"
    assert ftsdk("preview", tmp_path / "job.yaml", "--row", "3", "--html", page, timeout=300).returncode == 0
    assert 'class="answer learned"' in page.read_text("utf-8")
    made = json.loads(ftsdk("preview", tmp_path / "job.yaml", "--all", "--json", timeout=300).stdout)
    assert (len(made["rows"]), made["num_rows"], made["findings"]) == (128, 128, [])
    none = ftsdk("preview", tmp_path / "job.yaml", "--row", "129", timeout=300)
    assert none.returncode == 3
    assert "There is no row 129: the training data has 128 rows" in none.stderr
