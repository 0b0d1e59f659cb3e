"""Of random rows the answers that are asked for are learned, each with its end, and nothing else."""

from __future__ import annotations

import tempfile
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ftsdk.data.formats.chat import Turn
from ftsdk.data.formats.example import Example, write_example
from ftsdk.engines.llamafactory.templates import known_templates
from ftsdk.runtime.chat_templates.comparing import EOS
from ftsdk.runtime.chat_templates.probes import ANSWER
from tests.runtime.programs.test_preview import METHODS, SHAPES, job_of

TEMPLATES = ("alpaca", "chatml", "qwen", "qwen3", "default", "vicuna", "llama2", "mistral", "deepseekr1", "yi")
SHAPES_OF = {
    "sft": ("alpaca", "sharegpt", "openai"), "rm": ("preference",), "dpo": ("preference",), "kto": ("kto",),
    "pt": ("text",),
}  # fmt: skip
STARTS = {"mistral": " "}
"""What a template writes before the text of an answer."""
EMPTY_THOUGHT = "<think>\n\n</think>\n\n"
TEXTS = st.text(
    st.characters(exclude_categories=("C", "Z", "M"), exclude_characters="<>{}[]|｜◁▷"), min_size=1, max_size=12
).map("a{} b".format)


@st.composite
def examples(draw, format, method):
    """A row: one to three turns, some answers with thoughts or out of the loss, some rows with a system prompt."""
    if format == "text":
        return Example(text=draw(TEXTS))
    marked = format in ("sharegpt", "openai")
    turns = [
        turn
        for _ in range(draw(st.integers(1, 3 if method == "sft" else 1)))
        for turn in (
            Turn("user", draw(TEXTS)),
            Turn("assistant", draw(TEXTS), learn=not marked or draw(st.booleans()),
                 thought=draw(st.just("") | TEXTS) if marked else ""),
        )
    ]  # fmt: skip
    system = draw(st.just("") | TEXTS)
    if not any(turn.learn for turn in turns[1::2]):
        turns[-1] = Turn("assistant", turns[-1].text)
    if format == "preference":
        return Example(turns=tuple(turns[:1]), system=system, chosen=turns[1], rejected=Turn("assistant", draw(TEXTS)))
    return Example(turns=tuple(turns), system=system, label=draw(st.booleans()) if format == "kto" else None)


@st.composite
def trainings(draw):
    """(method, template, format, rows)."""
    method = draw(st.sampled_from(sorted(SHAPES_OF)))
    format = draw(st.sampled_from(SHAPES_OF[method]))
    rows = draw(st.lists(examples(format, method), min_size=2, max_size=6))
    return method, draw(st.sampled_from(TEMPLATES)), format, rows


def asked_for(row, side, template):
    """The texts that are learned of a side of a row, in their order."""
    named = known_templates()[template]
    end = named.texts["one"].partition(ANSWER)[2]
    answers = {"chosen": [row.chosen], "rejected": [row.rejected]}.get(side, row.turns[1::2])
    empty = EMPTY_THOUGHT if EMPTY_THOUGHT in named.texts["one"] else ""
    for turn in (turn for turn in answers if turn.learn):
        thought = f"<think>\n{turn.thought}\n</think>\n\n" if turn.thought else empty
        yield f"{STARTS.get(template, '')}{thought}{turn.text}{end}"


def learned(side, tokenizer):
    """The texts of neighbouring learned tokens."""
    tokens = [pair for segment in side["segments"] for pair in zip(segment["ids"], segment["labels"], strict=True)]
    for is_learned, run in groupby(tokens, key=lambda pair: pair[1] != -100):
        if is_learned:
            yield tokenizer.decode([label for _, label in run])


def check(tiny_folder, method, template, format, rows):
    """The previewed labels of rows against what the rows ask for."""
    from ftsdk.runtime.programs.preview.rows import Rows

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setitem(SHAPES, "random", [write_example(row, format, as_chat=False) for row in rows])
        patched.setitem(METHODS, "random", method)
        chosen = {} if method == "pt" else {"template": template}
        config = job_of(Path(folder), tiny_folder, "random", **chosen, cutoff_len=1024)
        read = Rows(config)
        items = list(read.read(None, None))
    assert sorted(number for item in items for number in item["rows"]) == list(range(1, len(rows) + 1))
    for item in items:
        row = rows[item["rows"][0] - 1]
        for side in (side for side in item["sides"] if "KL" not in side["name"]):
            found = list(learned(side, read.tokenizer))
            if method == "pt":
                assert found == [row.text + read.tokenizer.eos_token]
                continue
            wanted = [text.replace(EOS, read.tokenizer.eos_token) for text in asked_for(row, side["name"], template)]
            assert found == wanted, (method, template, format)


@pytest.mark.trainer
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(trainings())
@example(("sft", "alpaca", "sharegpt", [Example(turns=(Turn("user", "a"), Turn("assistant", "b", thought="b")))] * 2))
def test_what_is_asked_for_is_learned(tiny_folder, training):
    check(tiny_folder, *training)


@pytest.mark.trainer
@pytest.mark.long
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(trainings())
def test_what_is_asked_for_is_learned_in_many_trainings(tiny_folder, training):
    check(tiny_folder, *training)
