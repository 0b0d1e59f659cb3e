"""A real instruction set, made where it is needed: questions and answers out of Python's own documentation.

Question: what a function, class, method or module of the standard library is for; answer: its docstring. Nothing is
downloaded, nothing is printed, and the same Python gives the same rows. Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ANSWER_MAX_CHARS = 300
ANSWER_MIN_CHARS = 20

# Importing these opens a window or a browser, prints, writes beside the library, changes the terminal, or gives what
# an installed setuptools put in its place.
_SKIPPED = {
    "antigravity",
    "distutils",
    "encodings",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "readline",
    "rlcompleter",
    "test",
}
_SKIPPED |= {"this", "tkinter", "turtle", "turtledemo", "xxlimited", "xxlimited_35", "xxsubtype"}
_NAMES_OF_OS_PATH = {"genericpath", "ntpath", "posixpath"}
_SKIPPED_PARTS = {"tests", "test"}
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_SIGNATURE_OR_PARAMETERS = re.compile(r"[\w.]+\(.*(\)|->.*)(\n(?s:.*))?|\*{0,2}\w+\n\s+\S(?s:.*)")
_CODE_OR_LIST = (" ", ">>>", "-", "=", "*", "@", ":", "::", "1.")

_ASKING = {
    "function": ("What does {name} do?", "What is {name} for?", "Explain {name}.", "How would you describe {name}?"),
    "class": ("What is {name}?", "What is {name} for?", "Explain {name}.", "How would you describe {name}?"),
    "module": ("What is the {name} module for?", "What is in the {name} module?", "Explain the {name} module."),
}


class Row(NamedTuple):
    """One documented thing."""

    name: str
    """Qualified name, e.g. `json.dumps`."""
    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoData:
    """The two files of an instruction set and how many rows they hold."""

    train: Path
    eval: Path
    num_train: int
    num_eval: int


def write_rows(folder: Path | str, *, eval_fraction: float = 0.05) -> DemoData:
    """Write `train.jsonl` and `eval.jsonl` (alpaca rows) into the folder; no answer is in both.

    Which file a row goes to depends on its name alone, so that it stays there when other rows come or go.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    split: dict[bool, list[Row]] = {False: [], True: []}
    for row in make_rows():
        split[_share("split", row.name) < eval_fraction].append(row)
    data = DemoData(
        train=folder / "train.jsonl", eval=folder / "eval.jsonl", num_train=len(split[False]), num_eval=len(split[True])
    )
    _write(data.train, split[False])
    _write(data.eval, split[True])
    return data


def make_rows() -> list[Row]:
    """Every documented public thing of the standard library, by name; each answer once.

    What shares its docstring with a shorter name (`asyncio.tasks.gather` with `asyncio.gather`) is left out.
    """
    private = _paths_of_this_machine()
    chosen: dict[str, Row] = {}
    names: set[str] = set()
    for name, kind, docstring in sorted(_documented(), key=lambda thing: (thing[0].count("."), len(thing[0]), thing)):
        answer = clean_answer(docstring)
        known = name in names or answer in chosen
        if len(answer) >= ANSWER_MIN_CHARS and not known and not _tells_of_this_machine(docstring, private):
            names.add(name)
            chosen[answer] = Row(name, question(name, kind), answer)
    return sorted(chosen.values())


def question(name: str, kind: str = "function") -> str:
    """The question about a name; which phrasing it is depends on the name alone."""
    phrasings = _ASKING[kind]
    return phrasings[int(_share("question", name) * len(phrasings))].format(name=name)


def clean_answer(docstring: str) -> str:
    """The first paragraphs of a docstring, up to ANSWER_MAX_CHARS, without signatures, code and lists.

    A longer first paragraph ends with a sentence.
    """
    chosen: list[str] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        if _SIGNATURE_OR_PARAMETERS.fullmatch(paragraph.strip()):
            continue
        text = " ".join(paragraph.split())
        if chosen and (paragraph.startswith(_CODE_OR_LIST) or sum(map(len, chosen)) + len(text) > ANSWER_MAX_CHARS):
            break
        chosen.append(text)
    while len(chosen) > 1 and chosen[-1].endswith(":"):
        chosen.pop()
    return _cut("\n".join(chosen)).strip()


def _cut(text: str) -> str:
    if len(text) <= ANSWER_MAX_CHARS:
        return text
    head = text[:ANSWER_MAX_CHARS]
    end = max(head.rfind(". "), head.rfind(".\n"))
    return head[: end + 1] if end >= ANSWER_MIN_CHARS else head.rsplit(" ", 1)[0]


def _documented() -> Iterator[tuple[str, str, str]]:
    """(qualified name, kind, docstring) of what the modules hold, private names left out."""
    for name, module in list(_modules()):  # all first: a submodule may take the place of a function (curses.has_key)
        if module.__doc__:
            yield name, "module", module.__doc__
        for attribute in _public_names(module):
            thing = getattr(module, attribute, None)
            if _is_standard(thing):
                yield from _documented_thing(attribute if name == "builtins" else f"{name}.{attribute}", thing)


def _documented_thing(name: str, thing: object) -> Iterator[tuple[str, str, str]]:
    if not inspect.isclass(thing):
        if isinstance(thing.__doc__, str):
            yield name, "function", thing.__doc__
        return
    if isinstance(thing.__doc__, str):
        yield name, "class", thing.__doc__
    for attribute, member in sorted(vars(thing).items()):
        docstring = getattr(member, "__doc__", None)
        if not attribute.startswith("_") and _is_method(member) and isinstance(docstring, str):
            yield f"{name}.{attribute}", "function", docstring


def _is_method(member: object) -> bool:
    return inspect.isroutine(member) or isinstance(member, classmethod | staticmethod | property)


def _public_names(module: ModuleType) -> list[str]:
    """What the module exports: its `__all__`, or what it defines itself or takes from its C half."""
    if hasattr(module, "__all__"):
        return sorted(set(module.__all__))
    homes = (None, module.__name__, f"_{module.__name__}", "builtins")
    return sorted(name for name, thing in vars(module).items() if name[0] != "_" and _home(thing) in homes)


def _home(thing: object) -> object:
    return getattr(thing, "__module__", None)


def _is_standard(thing: object) -> bool:
    """A function or class of the standard library itself, not a replacement."""
    home = str(_home(thing) or "builtins").partition(".")[0]
    return (inspect.isclass(thing) or inspect.isroutine(thing)) and home in sys.stdlib_module_names


def _modules() -> Iterator[tuple[str, ModuleType]]:
    """The importable public modules and their submodules, by name."""
    names = {name for name in sys.stdlib_module_names if not name.startswith("_")} - _SKIPPED - _NAMES_OF_OS_PATH
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for name in sorted(names | {"os.path"}):
            yield from _import_tree(name)


def _import_tree(name: str) -> Iterator[tuple[str, ModuleType]]:
    try:
        module = importlib.import_module(name)
    except Exception:  # another platform's module, or one whose C library is not there
        return
    yield name, module
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not (inner.name.startswith("_") or inner.name in _SKIPPED_PARTS):
            yield from _import_tree(f"{name}.{inner.name}")


def _paths_of_this_machine() -> tuple[str, ...]:
    """Folders that a computed docstring could name (a default value's repr, for instance)."""
    folders = {sys.prefix, sys.base_prefix, str(Path.home()), str(Path.cwd()), tempfile.gettempdir()}
    folders.add(str(Path(os.__file__).parent))
    return tuple(sorted(folder for folder in folders if len(folder) > 1))


def _tells_of_this_machine(docstring: str, private: tuple[str, ...]) -> bool:
    return bool(_ADDRESS.search(docstring)) or any(path in docstring for path in private)


def _share(purpose: str, name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    digest = hashlib.sha256(f"{purpose}:{name}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _write(path: Path, rows: Iterable[Row]) -> None:
    lines = (json.dumps({"instruction": row.question, "input": "", "output": row.answer}) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
