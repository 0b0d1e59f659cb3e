"""Whatever is in a spec: one sentence, an exit code of ours, in time and memory, nothing raw on the terminal."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import time

import click
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftsdk.cli import cli
from ftsdk.errors import FtsdkError, printable
from tests.cli import odd_specs
from tests.cli.test_cli import ftsdk
from tests.python_jobs import started

SOUND = "model: ./model\ndataset: train.jsonl\n"
MEMORY_MB = 300

BAD = {
    "an alias bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)),
        "more than 20000 values",
    ),
    "a bomb of merges": (
        "a: &a {x: 1}\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{', '.join([f'*{chr(97 + i)}'] * 9)}]}}\n" for i in range(9)),
        "more than 20000 values",
    ),
    "a value in itself": ("env: &a {b: *a}\n", "contains itself"),
    "deep lists": (f"env: {'[' * 5000}{']' * 5000}\n", "more than 32 levels"),
    "deep mappings": (f"env: {'{a: ' * 3000}1{'}' * 3000}\n", "more than 32 levels"),
    "deep blocks": ("".join(f"{' ' * i}a{i}:\n" for i in range(600)), "more than 32 levels"),
    "a long file": ("env: {A: " + "x" * 300_000 + "}\n", "at most 262144"),
    "no month 13": ("budget: {finish_by: 2024-13-01}\n", "line 3, column 21: '2024-13-01' is no timestamp"),
    "no day 40": ("env: {A: 2024-01-40T00:00:00Z}\n", "is no timestamp"),
    "a tag that lies": ("env: {A: !!int text}\n", "'text' is no int"),
    "an integer of a million digits": (f"hyperparameters: {{seed: {'9' * 200_000}}}\n", "is no int"),
    "an integer of thirty digits": (f"hyperparameters: {{seed: {10**30}}}\n", "seed: an integer has at most"),
    "a seed for no generator": ("hyperparameters: {seed: 4294967296}\n", "less than 4294967296"),
    "infinite": ("hyperparameters: {learning_rate: .inf}\n", "hyperparameters.learning_rate: write a finite number"),
    "not a number, passed through": ("hyperparameters: {adam_beta1: .nan}\n", "adam_beta1: write a finite number"),
    "a mapping for a name": ("tuning: {type: {a: 1}}\n", "tuning: type is a name, not {'a': 1}"),
    "a mapping for a method": ("method: {stage: {x: 1}}\n", "method.stage"),
    "an odd address": ("output: 's3://[::1'\n", "s3://[::1"),
    "a long value": (f"resources: {{accelerator: {'x' * 10_000}}}\n", "accelerator"),
    "a key that clears the screen": ('"\\e[2J\\e]52;c;aGk=\\a": 1\n', "unknown key"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_specs_are_refused_with_one_short_sentence(spec_folder, what):
    text, sentence = BAD[what]
    (spec_folder / "job.yaml").write_text(SOUND + text)
    began = time.monotonic()
    done = ftsdk("plan", "job.yaml", cwd=spec_folder)
    assert done.returncode in (2, 4), done.stderr
    assert sentence in done.stderr
    assert len(done.stderr) < 2500
    assert "\x1b" not in done.stderr
    assert time.monotonic() - began < 10


def test_a_changed_name_is_reported(spec_folder):
    (spec_folder / "job.yaml").write_text(SOUND + "name: ../../Evil n\n")
    said = ftsdk("plan", "job.yaml", cwd=spec_folder).stderr
    assert "name '../../Evil n' becomes 'evil-n': a label has lower-case letters" in said
    assert "becomes" not in ftsdk("plan", "job.yaml", "--set", "name=plain", cwd=spec_folder).stderr


def test_control_characters_reach_no_terminal(spec_folder):
    hostile = "\x1b]52;c;aGk=\x07\x1b[2J\u202egnp.exe"
    job = started(spec_folder, f"print({hostile!r}); raise SystemExit(3)", name="hostile")
    with contextlib.suppress(FtsdkError):
        job.result(60)
    for verb in (["logs"], ["status"], ["wait"]):
        done = ftsdk(*verb, job.uri)
        assert printable(done.stdout + done.stderr) == done.stdout + done.stderr
    assert printable(hostile) in ftsdk("logs", job.uri).stdout
    rows = map(json.loads, ftsdk("logs", job.uri, "--json").stdout.splitlines())
    assert hostile in [row["text"] for row in rows]
    missing = ftsdk("plan", f"{hostile}.yaml")
    assert (missing.returncode, "\x1b" in missing.stderr, "\\x1b]52" in missing.stderr) == (2, False, True)


@given(st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_odd_specs_are_planned_or_refused_in_one_sentence(odd_folder, random):
    _plan(odd_folder, random)


@pytest.mark.long
@given(st.randoms(use_true_random=False))
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_ten_thousand_odd_specs_are_planned_or_refused_in_one_sentence(odd_folder, random):
    _plan(odd_folder, random)


@pytest.mark.long
@given(st.binary(max_size=4000) | st.text(max_size=2000).map(str.encode))
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_planned_or_refused_in_one_sentence(odd_folder, data):
    (odd_folder / "spec.yaml").write_bytes(SOUND.encode() + data)
    _run(odd_folder, ("plan", "spec.yaml"))


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    odd_specs.write_files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FTSDK_HOME", str(folder / "home"))
        for backend in odd_specs.BACKENDS:  # what the first plan imports is not measured
            (folder / "spec.yaml").write_text(yaml.safe_dump(odd_specs.SOUND[3]))
            _run(folder, ("plan", "spec.yaml", "-b", *backend), limit_s=30)
        yield folder


def _plan(folder, random):
    (folder / "spec.yaml").write_text(yaml.safe_dump(odd_specs.odd_spec(random), allow_unicode=True))
    _run(folder, ("plan", "spec.yaml", "-b", *random.choice(odd_specs.BACKENDS)))


def _run(folder, arguments, limit_s=2.0):
    """Plan in this process. An exception that is not ours fails the test: it would be an exit code of 70."""
    began, before_mb, printed = time.process_time(), _peak_mb(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            cli.main(args=list(arguments), standalone_mode=False)
        except (FtsdkError, click.ClickException) as problem:
            printed.write(str(problem))
    text = printed.getvalue()
    assert text == printable(text)
    assert len(text) < 100_000
    assert time.process_time() - began < limit_s
    assert _peak_mb() - before_mb < MEMORY_MB


def _peak_mb():
    """Highest memory of this process so far: other tests of the session have used some."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"model": "a/b", "method": "stf", "dataset": "train.jsonl"}, "did you mean 'sft'?"),
        ({"model": "./model", "dataset": "tatsu-lab/alpaca"}, "write hf://tatsu-lab/alpaca"),
        ({"model": "./model", "dataset": "dangling.jsonl"}, "is a link to"),
        ({"base_model": "a/b", "adapter": "lora", "datasets": [{"path": "x"}]}, "a file of axolotl"),
    ],
)
def test_what_a_newcomer_writes_is_named_rightly(spec_folder, spec, words):
    (spec_folder / "dangling.jsonl").symlink_to("nowhere.jsonl")
    (spec_folder / "job.yaml").write_text(yaml.safe_dump(spec))
    done = ftsdk("plan", str(spec_folder / "job.yaml"))
    assert done.returncode in (2, 3), done.stderr
    assert words in done.stderr


def test_a_chart_is_not_written_into_a_page():
    done = ftsdk("metrics", "local://nobody-0a1b2c3d", "--plot", "curve.html")
    assert (done.returncode, "FILE.png" in done.stderr) == (2, True)
