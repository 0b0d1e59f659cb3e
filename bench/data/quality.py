"""Precision and recall of the heuristics, on rows with planted cases and with look-alikes that are none."""

import argparse
import json
import random
import string
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.data.phrases import PHRASES
from bench.data.rows import Words
from ftsdk.data.checks.check import CheckOptions, check

ROWS = 4000
EACH = 200


def run(_: argparse.Namespace) -> None:
    """Print a table: for each heuristic what was planted, found, missed and found wrongly."""
    print(f"{'':16}{'planted':>9}{'found':>8}{'wrong':>8}{'precision':>11}{'recall':>9}")
    for code, make in MAKERS.items():
        planted, found = measured(code, make)
        right = len(planted & found)
        precision, recall = right / max(1, len(found)), right / len(planted)
        wrong = len(found - planted)
        print(f"{code:16}{len(planted):>9}{right:>8}{wrong:>8}{precision:>11.3f}{recall:>9.3f}")


def measured(code: str, make: Callable[[], tuple[list[dict], set[int]]]) -> tuple[set[int], set[int]]:
    """(rows that are a case, rows that the check names)"""
    rows, planted = make()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        report = check([path], CheckOptions(method="sft"))
    return planted, {finding.row for finding in report.of(code) if finding.row}


def _row(words: Words, answer: str | None = None) -> dict:
    return {"instruction": words.text(10, 30), "output": answer or words.text(30, 80)}


def near_duplicates() -> tuple[list[dict], set[int]]:
    """Copies with a word or two changed, other case or punctuation, a sentence more; templates are look-alikes."""
    words = Words(3)
    rng = words.rng
    rows = [_row(words) for _ in range(ROWS)]
    for _ in range(EACH * 2):  # look-alikes: the same template with other contents
        a, b = rng.randint(10, 999), rng.randint(10, 999)
        name = rng.choice(words.words)
        question = f"{name.capitalize()} has {a} apples and gives {b} to {rng.choice(words.words)}."
        answer = f"There are {a} apples. Taking {b} away leaves {a - b}, so {name} has {a - b}: {words.text(5, 8)}"
        rows.append({"instruction": question, "output": answer})
    planted = set()
    for n in range(EACH):
        copy = dict(rng.choice(rows[:ROWS]))
        copy["output"] = CHANGES[n % len(CHANGES)](copy["output"], words)
        rows.append(copy)
        planted.add(len(rows))
    return rows, planted


def _one_word(text: str, words: Words) -> str:
    parts = text.split()
    parts[words.rng.randrange(len(parts))] = words.rng.choice(words.words)
    return " ".join(parts)


CHANGES: list[Callable[[str, Words], str]] = [
    lambda text, words: text.upper(),
    lambda text, words: text.replace(".", "!").replace(" ", "  "),
    _one_word,
    lambda text, words: _one_word(_one_word(text, words), words),
    lambda text, words: f"{text} {words.text(3, 5)}",
    lambda text, words: " ".join(text.split()[2:]),
]


def secrets() -> tuple[list[dict], set[int]]:
    """Keys of well-known shapes; look-alikes are placeholders, hashes, variables and base64."""
    words = Words(4)
    rng = words.rng

    def some(letters: str, count: int) -> str:
        return "".join(rng.choices(letters, k=count))

    alnum = string.ascii_letters + string.digits
    real = [
        lambda: f"AKIA{some(string.ascii_uppercase + string.digits, 16)}",
        lambda: f"sk-{some(alnum, 48)}",
        lambda: f"sk-proj-{some(alnum, 60)}",
        lambda: f"hf_{some(alnum, 34)}",
        lambda: f"ghp_{some(alnum, 36)}",
        lambda: f"xoxb-{some(string.digits, 11)}-{some(alnum, 24)}",
        lambda: f"AIza{some(alnum, 35)}",
        lambda: f"LTAI{some(alnum, 20)}",
        lambda: f"-----BEGIN RSA PRIVATE KEY-----\n{some(alnum, 64)}",
        lambda: f"postgres://app:{some(alnum, 12)}@db.internal/orders",
        lambda: f"password = '{some(alnum, 14)}1a'",
        lambda: f"DB_PASSWORD={some(alnum, 12)}9x",
        lambda: f"eyJ{some(alnum, 20)}.eyJ{some(alnum, 40)}.{some(alnum, 43)}",
    ]
    fake = [
        lambda: "export OPENAI_API_KEY=your-api-key-here",
        lambda: "password = os.environ['DB_PASSWORD']",
        lambda: f"commit {some('0123456789abcdef', 40)}",
        lambda: f"sha256:{some('0123456789abcdef', 64)}",
        lambda: "the key: value pairs of a table",
        lambda: "token = tokenizer.encode(text)",
        lambda: "password: ********",
        lambda: "sk-learn is a library; use AKIA as a prefix",
        lambda: f"id {some(alnum, 22)}==",
        lambda: "secret = getpass.getpass('Secret: ')",
    ]
    return _mixed(words, real, fake)


def personal_data() -> tuple[list[dict], set[int]]:
    """Addresses and numbers with right check digits; look-alikes are dates, versions, sums and other numbers."""
    words = Words(5)
    rng = words.rng

    def digits(count: int) -> str:
        return "".join(rng.choices(string.digits, k=count))

    def card() -> str:
        body = "4" + digits(14)
        total = sum(n if i % 2 else (2 * n - 9 if n > 4 else 2 * n) for i, n in enumerate(map(int, body)))
        number = body + str(-total % 10)
        return " ".join(number[i : i + 4] for i in range(0, 16, 4))

    def chinese_id() -> str:
        body = f"110105{rng.randint(1950, 2005)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}{digits(3)}"
        return body + "10X98765432"[sum(int(c) * pow(2, 17 - i, 11) for i, c in enumerate(body)) % 11]

    real = [
        lambda: f"{rng.choice(words.words)}.{rng.choice(words.words)}@{rng.choice(words.words)}.com",
        lambda: f"{rng.choice(words.words)}{digits(2)}@mail.{rng.choice(words.words)}.co.uk",
        lambda: f"({rng.randint(201, 989)}) 555-{digits(4)}",
        lambda: f"+1 415-555-{digits(4)}",
        lambda: f"+49 30 {digits(4)} {digits(4)}",
        lambda: f"138{digits(8)}",
        card,
        chinese_id,
        lambda: f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
        lambda: "DE89 3704 0044 0532 0130 00",
    ]
    fake = [
        lambda: f"on {rng.randint(1990, 2030)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        lambda: f"version {rng.randint(1, 20)}.{rng.randint(0, 99)}.{rng.randint(0, 99)}.{rng.randint(1000, 99999)}",
        lambda: f"the sum is {rng.randint(10**6, 10**9):,}",
        lambda: f"3.14159265358979{digits(4)}",
        lambda: "192.168.100.200 and 10.0.0.254",
        lambda: f"order {digits(10)}-{digits(3)}",
        lambda: "@property and @staticmethod, or user@host without a domain",
        lambda: f"ISBN 978-3-{digits(5)}-{digits(3)}-1",
        lambda: f"{rng.randint(1000, 9999)} {rng.randint(1000, 9999)} {rng.randint(1000, 9999)}",
        lambda: f"at {digits(13)} ms since 1970",
    ]
    return _mixed(words, real, fake)


def _mixed(words: Words, real: list[Callable[[], str]], fake: list[Callable[[], str]]) -> tuple[list[dict], set[int]]:
    rows, planted = [_row(words) for _ in range(ROWS - EACH * 2)], set()
    for n in range(EACH):
        rows.append(_row(words, f"{words.text(5, 20)} {real[n % len(real)]()} {words.text(5, 20)}"))
        planted.add(len(rows))
        rows.append(_row(words, f"{words.text(5, 20)} {fake[n % len(fake)]()} {words.text(5, 20)}"))
    return rows, planted


def languages() -> tuple[list[dict], set[int]]:
    """English answers, and one in twenty-five in another language; code and lists of numbers as look-alikes."""
    rng = random.Random(6)
    rows: list[dict] = []
    planted = set()
    others = [name for name in PHRASES if name != "en"]
    for n in range(ROWS):
        language = others[n // 25 % len(others)] if n % 25 == 24 else "en"
        answer = " ".join(rng.sample(PHRASES[language], rng.randint(2, 3))) + f" ({n})"
        if n % 50 == 7:
            answer = f"def f_{n}(x):\n    return [x * {n}, x + {n}]"
        rows.append({"instruction": f"Question {n}: {rng.random()}", "output": answer})
        if language != "en":
            planted.add(len(rows))
    return rows, planted


MAKERS = {
    "near_duplicate": near_duplicates,
    "secret": secrets,
    "personal_data": personal_data,
    "language": languages,
}
