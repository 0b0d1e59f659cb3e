"""Asks another model, behind any OpenAI-compatible address, which of two answers is better, in both orders."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ftsdk.contract.programs import JudgeSettings
from ftsdk.runtime.programs.heartbeat import HEARTBEAT
from ftsdk.runtime.programs.trained.loading import ModelError
from ftsdk.runtime.retry import RetryPolicy
from ftsdk.runtime.worker_protocol import Phase

TIMEOUT_S, MAX_TOKENS = 120.0, 512
QUESTION = (
    "Compare two answers to the same question. Decide which one is more correct and more helpful; length and place "
    "count for nothing. Reply with one word: A, B or tie.\n\n"
    "Question:\n{prompt}\n\nA right answer:\n{reference}\n\nAnswer A:\n{first}\n\nAnswer B:\n{second}"
)
THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
CHOICE = re.compile(r"\b(?:A|B|[Tt]ie|TIE)\b")
TIE = "tie"
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may succeed."""


class Compared(NamedTuple):
    """A row and the two answers to it."""

    prompt: str
    reference: str
    ours: str
    theirs: str


class Judgement(NamedTuple):
    """What the judge said in the two orders: `ours`, `theirs`, `tie`, or empty where its reply names none."""

    first: str
    second: str

    @property
    def score(self) -> float:
        """1 if our answer is called better in both orders, 0 if the other one is, else a tie: 0.5."""
        return 0.5 if self.first != self.second else {"ours": 1.0, "theirs": 0.0}.get(self.first, 0.5)


def judgements(settings: JudgeSettings, rows: Iterable[Compared]) -> Iterator[Judgement]:
    """A judgement for each row, two requests each. Raises ModelError if the judge does not answer."""
    for row in rows:
        HEARTBEAT.enter(Phase.EVALUATION)
        first = choice(_reply(settings, _question(row, row.ours, row.theirs)))
        second = choice(_reply(settings, _question(row, row.theirs, row.ours)))
        ours_first, theirs_first = {"A": "ours", "B": "theirs"}, {"A": "theirs", "B": "ours"}
        yield Judgement(ours_first.get(first, first), theirs_first.get(second, second))


def counts(made: Iterable[Judgement]) -> dict[str, int]:
    """Rows won, tied and lost; of the ties, those whose order decided, and those with an unreadable reply."""
    counted = Counter[str]()
    for judgement in made:
        counted[{1.0: "wins", 0.0: "losses"}.get(judgement.score, "ties")] += 1
        counted["unreadable"] += "" in judgement
        counted["order_decided"] += {"ours", "theirs"} == set(judgement)
    return {name: counted[name] for name in ("wins", "ties", "losses", "order_decided", "unreadable")}


def choice(reply: str) -> str:
    """`A`, `B` or `tie`, if the reply names exactly one of them; else empty."""
    named = {word if word in ("A", "B") else TIE for word in CHOICE.findall(THOUGHTS.sub("", reply))}
    return named.pop() if len(named) == 1 else ""


def _question(row: Compared, first: str, second: str) -> str:
    return QUESTION.format(prompt=row.prompt, reference=row.reference, first=first, second=second)


def _reply(settings: JudgeSettings, question: str) -> str:
    body = {"model": settings["model"], "messages": [{"role": "user", "content": question}], "temperature": 0,
            "max_tokens": MAX_TOKENS}  # fmt: skip
    key = os.environ.get(settings.get("key") or "")
    request = urllib.request.Request(
        f"{settings['url'].rstrip('/')}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})},
    )
    policy = RetryPolicy(attempts=5, first_pause_s=1.0, is_final=_is_final)
    try:
        return policy.call(lambda: _content(request))
    except (OSError, ValueError, LookupError, TypeError) as problem:
        raise ModelError(
            f"The judge at {settings['url']} does not answer ({_why(problem)}): check program.judge, and that the job "
            f"can reach the address."
        ) from None


def _content(request: urllib.request.Request) -> str:
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        return str(json.load(response)["choices"][0]["message"]["content"] or "")


def _is_final(problem: Exception) -> bool:
    if isinstance(problem, urllib.error.HTTPError):
        return problem.code not in PASSING
    return not isinstance(problem, OSError)


def _why(problem: Exception) -> str:
    if isinstance(problem, urllib.error.HTTPError):
        return f"HTTP {problem.code}: {problem.read(300).decode('utf-8', 'replace').strip() or problem.reason}"
    return str(getattr(problem, "reason", problem)) or type(problem).__name__
