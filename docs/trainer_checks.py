"""Writes docs/trainer-checks.md: every check of the installed trainers that arguments can reach, with our judgement.

python -m docs.trainer_checks            write the page from docs/trainer_checks.json
python -m docs.trainer_checks --missing  show installed checks without a judgement, with condition and message

The JSON holds no text of the trainers: a check is known by its file, its function and a digest of condition and
message, and what it is about stands there in our words.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypedDict

from ftsdk.runtime.overlays import overlay

FOLDER = Path(__file__).parent
JUDGEMENTS = FOLDER / "trainer_checks.json"
PAGE = FOLDER / "trainer-checks.md"
BESIDE_LLAMAFACTORY = (
    "llamafactory/hparams/parser.py",
    "llamafactory/hparams/model_args.py",
    "llamafactory/hparams/data_args.py",
    "llamafactory/hparams/finetuning_args.py",
    "llamafactory/hparams/training_args.py",
    "llamafactory/hparams/generating_args.py",
    "transformers/training_args.py",
    "transformers/trainer_callback.py",
    "trl/trainer/ppo_config.py",
)
IN_THE_OVERLAY = ("trl/trainer/grpo_config.py", "trl/trainer/rloo_config.py", "trl/trainer/grpo_trainer.py")
CONSTRUCTORS = frozenset({"__init__", "on_train_begin"})
"""What counts in a file of trainers or callbacks; in a file of arguments every function does."""
VERDICTS = {
    "plan": "refused when planned",
    "never": "cannot happen",
    "job": "left to the job, which ends in its first seconds as `bad_config`",
}
INTRO = """\
# The trainers' own checks

Every `raise` and `assert` in the argument classes of LLaMA-Factory 0.9.5, transformers 5.6 and TRL (0.24 for ppo, 1.16
for grpo and rloo), in early stopping and in GRPO's constructor, and what ftsdk does. The list is collected from
the installed packages; a test fails when they have a check that this page lacks. `python -m docs.trainer_checks
--missing` shows such checks with their conditions.
"""


class Check(NamedTuple):
    """A `raise` or `assert` of an installed package."""

    file: str
    function: str
    digest: str
    """Of the condition and the message."""
    condition: str
    message: str

    @property
    def key(self) -> str:
        """Its name in the JSON."""
        return f"{self.file}:{self.function}:{self.digest}"


class Judgement(TypedDict):
    """What a check is about, and what ftsdk does with it."""

    about: str
    verdict: str
    why: str


def installed() -> list[Check]:
    """Every check of the installed trainers; equal ones of one function once."""
    site = Path(sysconfig.get_paths()["purelib"])
    places = [(site, name) for name in BESIDE_LLAMAFACTORY] + [(overlay("rl"), name) for name in IN_THE_OVERLAY]
    found = {check.key: check for root, name in places for check in _checks(root / name, name)}
    return list(found.values())


def _checks(path: Path, name: str) -> Iterator[Check]:
    narrow = name.endswith(("_trainer.py", "_callback.py"))
    for check in _walk(ast.parse(path.read_text("utf-8")), name, "", ""):
        if not narrow or check.function in CONSTRUCTORS:
            yield check


def _walk(node: ast.AST, file: str, function: str, condition: str) -> Iterator[Check]:
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            inside = condition
            if isinstance(node, ast.If) and field in ("body", "orelse"):
                inside = f"{'' if field == 'body' else 'not '}({ast.unparse(node.test)})"
            if isinstance(child, ast.Raise | ast.Assert):
                message = ast.unparse(child)
                digest = hashlib.sha256(f"{inside}\n{message}".encode()).hexdigest()[:8]
                yield Check(file, function, digest, inside, message)
                continue
            name = child.name if isinstance(child, ast.FunctionDef) else function
            yield from _walk(child, file, name, inside)


def judgements() -> dict[str, Judgement]:
    """The judgement on each check."""
    data: dict[str, Judgement] = json.loads(JUDGEMENTS.read_text("utf-8"))
    return data


def page() -> str:
    """The page's text."""
    every = judgements()
    counts = {verdict: sum(item["verdict"] == verdict for item in every.values()) for verdict in VERDICTS}
    lines = [INTRO, "; ".join(f"{number} {VERDICTS[verdict]}" for verdict, number in counts.items()) + "."]
    for file in dict.fromkeys(key.partition(":")[0] for key in every):
        lines += [f"\n## {file}\n", "| about | here | how |", "| --- | --- | --- |"]
        lines += [
            f"| {item['about']} | {VERDICTS[item['verdict']].partition(',')[0]} | {item['why']} |"
            for key, item in every.items()
            if key.startswith(f"{file}:")
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, or show what lacks a judgement."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--missing", action="store_true")
    if not options.parse_args().missing:
        PAGE.write_text(page(), "utf-8")
        return
    known = judgements() if JUDGEMENTS.is_file() else {}
    for number, check in enumerate(installed()):
        if check.key not in known:
            sys.stdout.write(f"{number} {check.key}\n    if {check.condition}\n    {check.message[:240]}\n")


if __name__ == "__main__":
    main()
