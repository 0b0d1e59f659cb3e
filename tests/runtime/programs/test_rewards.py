"""Rewards one by one: what they pay, and how they say that they are broken."""

import json
import subprocess
import sys

import pytest

from ftsdk.runtime import overlays
from ftsdk.runtime.programs.rewards import ROW, Reward, RewardError
from ftsdk.spec import Method
from ftsdk.testing import tiny


def reward(given, **files):
    """The one reward of a spec."""
    [settings] = Method.model_validate({"stage": "grpo", "rewards": [given]}).model_dump(mode="json")["rewards"]
    return Reward({**settings, **files})


def paid(given, texts, **columns):
    ids = [[0] * len(text) for text in texts]
    rows = [f"row {number + 1} of data" for number in range(len(texts))]
    return reward(given)(prompts=["?"] * len(texts), completions=texts, completion_ids=ids, **{ROW: rows}, **columns)


@pytest.mark.parametrize(
    ("given", "text", "answer", "expected"),
    [
        ("exact_match", " 42\n", "42", 1),
        ("exact_match", "It is 42", "42", 0),
        ("exact_match", "42", 42, 1),
        ("exact_match", "42", None, None),
        ("exact_match", "Yes", "yes", 0),
        ({"name": "exact_match", "ignore_case": True}, "Yes", "yes", 1),
        ({"name": "exact_match", "extract": "<a>(.*?)</a>"}, "<a>1</a> <a>\n2 </a>", "2", 1),
        ({"name": "exact_match", "extract": r"\d+"}, "first 7, then 42.", "42", 1),
        ({"name": "exact_match", "extract": r"\d+"}, "none", "", 0),
        ({"name": "regex", "pattern": "^a.b$"}, "a\nb", None, 1),
        ({"name": "regex", "pattern": "b+"}, "abba", None, 1),
        ({"name": "regex", "pattern": "b+", "whole": True}, "abba", None, 0),
        ({"name": "regex", "pattern": "[ab]+", "whole": True}, " abba\n", None, 1),
        ("format", "<think>a\nb</think>\n<answer>c</answer>\n", None, 1),
        ("format", "<think>a</think><answer>c</answer> and more", None, 0),
        ("format", "<think>a</think>", None, 0),
        ("format", "<think>a<think>b</think></think><answer>c</answer>", None, 0),
        ({"name": "format", "tags": ["plan"]}, "<plan></plan>", None, 1),
        ("json", '{"a": [1]}', None, 1),
        ("json", "{'a': 1}", None, 0),
        ("json", '```json\n{"a": 1}\n```', None, 1),
        ({"name": "json", "keys": ["a", "b"]}, '{"a": 1, "b": 2}', None, 1),
        ({"name": "json", "keys": ["a", "b"]}, '{"a": 1}', None, 0),
        ({"name": "json", "keys": ["a"]}, '["a"]', None, 0),
    ],
)  # fmt: skip
def test_each_built_in_reward_scores_as_documented(given, text, answer, expected):
    assert paid(given, [text], answer=[answer]) == [expected]


@pytest.mark.parametrize(("tokens", "expected"), [(5, 0), (6, 0), (7, -0.25), (9, -0.75), (10, -1), (30, -1)])
def test_length_punishes_as_in_dapo(tokens, expected):
    assert paid({"name": "length", "max_tokens": 10, "soft_tokens": 4}, ["x" * tokens]) == [expected]


def test_length_without_a_soft_zone_is_a_step():
    assert paid({"name": "length", "max_tokens": 3}, ["xxx", "xxxx"]) == [0, -1]


def test_the_answer_of_a_chat_is_its_last_message():
    made = reward("json")
    completions = [[{"role": "assistant", "content": "[1]"}]]
    assert made(prompts=[[{"role": "user", "content": "?"}]], completions=completions, completion_ids=[[1]]) == [1]


MATH = [
    ("\\boxed{\\frac{1}{2}}", "0.5", 1),
    ("so it is 1/2", "\\frac{1}{2}", 1),
    ("The answer is 72.", "48/2 = 24, 48 + 24 = 72\n#### 72", 1),
    ("I get 73", "72", 0),
    ("$x^2 + 2x + 1$", "$(x+1)^2$", 1),
    ("no number", "72", 0),
    ("72", None, None),
]


@pytest.mark.trainer
def test_mathematics_is_compared_by_value(tmp_path):
    program = f"""
import json, sys
from ftsdk.runtime.overlays import overlay
sys.path.append(str(overlay("rl")))
from ftsdk.runtime.programs.rewards import Reward
made = Reward({{"name": "math_answer", "weight": 1.0}})
texts, answers, _ = zip(*json.loads({json.dumps(json.dumps(MATH))}))
print(json.dumps(made(prompts=texts, completions=texts, completion_ids=[[]] * len(texts), answer=answers)))
"""
    done = subprocess.run([tiny.TRAINER_PYTHON, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [expected for _, _, expected in MATH]


# --- a user's own -------------------------------------------------------------------------------------------
def own(tmp_path, body, **columns):
    path = tmp_path / "reward.py"
    path.write_text(body)
    made = reward("reward.py:score", file=str(path))
    rows = [f"row {number + 1} of data" for number in range(3)]
    return made(prompts=["p"] * 3, completions=["a", "bb", "ccc"], completion_ids=[[1]] * 3, **{ROW: rows}, **columns)


def test_an_own_function_is_given_the_columns_that_it_asks_for(tmp_path):
    named = "def score(prompts, completions, level):\n    return [len(c) * n for c, n in zip(completions, level)]\n"
    assert own(tmp_path, named, level=[1, 2, 3], answer=["x"] * 3) == [1, 4, 9]
    everything = "def score(prompts, completions, **columns):\n    return [len(columns)] * len(prompts)\n"
    assert own(tmp_path, everything, level=[1, 2, 3], answer=["x"] * 3, trainer_state=object()) == [2, 2, 2]


def test_a_reward_function_may_return_none(tmp_path):
    assert own(tmp_path, "def score(prompts, completions):\n    return [None, 1, 0.5]\n") == [None, 1, 0.5]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return [1 / (len(c) - 2) for c in completions]", "reward.py:score failed on row 2 of data: ZeroDivision"),
        ("return [1, 2]", "returned 2 rewards for 3 answers (the rows row 1 of data to row 3 of data)"),
        ("return [1, float('nan'), 2]", "returned nan for row 2 of data"),
        ("return [1, 2, 'good']", "returned 'good' for row 3 of data"),
        ("return 1", "returned int, not a list"),
        ("return [1, 2, 3] if len(prompts) < 3 else nothing", "rows row 1 of data to row 3 of data together"),
    ],
)  # fmt: skip
def test_a_broken_function_is_named_with_its_row(tmp_path, body, says):
    with pytest.raises(RewardError) as caught:
        own(tmp_path, f"def score(prompts, completions):\n    {body}\n")
    assert says in str(caught.value)


def test_a_file_that_does_not_import_is_named(tmp_path):
    with pytest.raises(RewardError, match=r"does not import \(No module named 'nothing_like_it'\)"):
        own(tmp_path, "import nothing_like_it\ndef score(prompts, completions):\n    return []\n")


def test_the_overlay_lies_beside_the_environment():
    assert str(overlays.overlay("rl")).startswith(sys.prefix)
