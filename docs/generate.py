"""Writes the pages in docs/reference/ out of the code that they describe.

python -m docs.generate            write them
python -m docs.generate --check    say which are stale; exit code 1 if any is
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import click
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from docs.markdown import one_line, page, slug, table
from ftsdk import backends, cli, engines, errors
from ftsdk.backends.base import Capabilities
from ftsdk.backends.options import variable
from ftsdk.engines.capabilities import shared_lines
from ftsdk.engines.llamafactory.arguments import known_arguments
from ftsdk.reports.diagnosis.catalogue import causes
from ftsdk.spec import (
    Budget,
    Checkpoint,
    CloudWatch,
    Dataset,
    Freeze,
    Full,
    Hyperparameters,
    JobSpec,
    Lora,
    Method,
    Mlflow,
    Oft,
    QLora,
    Resources,
    Retry,
    Sharding,
    Swanlab,
    Tracking,
    Trackio,
    Wandb,
    peft_family,
)

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- Made by `python -m docs.generate`; change the docstrings in the code, not this page. -->"
NOTHING = "–"

SPEC_INTRO = """\
What a job file may hold. In Python the same names are keyword arguments of `Estimator`. Only `model` and `dataset` are
required. `ftsdk schema > ftsdk.schema.json` gives editors the same as a JSON schema.

```yaml
name: support-bot
model: Qwen/Qwen2.5-0.5B-Instruct
method: {stage: dpo, beta: 0.1}       # or just: dpo
tuning: {type: lora, rank: 16}        # or just: lora
dataset: {train: [a.jsonl, b.jsonl], eval: held-out.jsonl}   # or just: a.jsonl
hyperparameters: {learning_rate: 1e-4, num_train_epochs: 3, dataloader_num_workers: 2}
resources: {accelerators_per_node: 2}
checkpoint: {every_minutes: 10}
retry: {retries: 5, on: infra}        # or just: 5
budget: {max_cost_usd: 80, finish_by: 2026-12-01T09:00:00+08:00}
tracking: {wandb: support-bot, tensorboard: true}
secrets: [HF_TOKEN]
env: {TOKENIZERS_PARALLELISM: "false"}
timeout_hours: 12
```
"""
SPEC_PARTS: Sequence[tuple[str, type[BaseModel], str]] = (
    ("The spec", JobSpec, ""),
    ("method", Method, ""),
    ("tuning", Full, "type: full"),
    ("tuning", Freeze, "type: freeze"),
    ("tuning", Lora, "type: lora"),
    ("tuning", QLora, "type: qlora"),
    ("tuning", Oft, "type: oft"),
    *(("tuning", kind, f"type: {kind.model_fields['type'].default}") for kind in peft_family.KINDS),
    ("dataset", Dataset, ""),
    ("hyperparameters", Hyperparameters, ""),
    ("resources", Resources, ""),
    ("sharding", Sharding, ""),
    ("checkpoint", Checkpoint, ""),
    ("retry", Retry, ""),
    ("budget", Budget, ""),
    ("tracking", Tracking, ""),
    ("tracking.wandb", Wandb, ""),
    ("tracking.mlflow", Mlflow, ""),
    ("tracking.swanlab", Swanlab, ""),
    ("tracking.trackio", Trackio, ""),
    ("tracking.cloudwatch", CloudWatch, ""),
)


# --- the spec -----------------------------------------------------------------------------------------------
def spec_page() -> str:
    """Every field of a spec: type, default, meaning."""
    blocks = ["# Every field of a spec", MADE, SPEC_INTRO.rstrip()]
    for title, model, kind in SPEC_PARTS:
        if f"## {title}" not in blocks:
            blocks.append(f"## {title}")
        blocks += [f"### {kind}"] if kind else []
        blocks += [sentence for sentence in (inspect.getdoc(model), _inherited(model)) if sentence]
        blocks += [fields_table(model, skip=("type",) if kind else ())]
        if model is Hyperparameters:
            count = len(known_arguments())
            blocks.append(
                f"Beside these, any of LLaMA-Factory's {count} arguments may stand here under its own name, but not "
                "[those that ftsdk owns](../llamafactory.md#replaced-arguments). A misspelt name is refused with "
                "a suggestion."
            )
    return page(blocks)


def _inherited(model: type[BaseModel]) -> str:
    return "All fields of `type: lora`, and:" if model is QLora else ""


def fields_table(model: type[BaseModel], *, skip: Iterable[str] = ()) -> str:
    """A model's own fields, in their order."""
    inherited = Lora.model_fields if model is QLora else ()
    rows = [
        (f"`{name}`", type_words(field), default_words(field), one_line(field.description))
        for name, field in model.model_fields.items()
        if name not in skip and name not in inherited
    ]
    return table(("field", "type", "default", "meaning"), rows) if rows else ""


def type_words(field: FieldInfo) -> str:
    """A field's type and range, in people's words."""
    limits = [limit for item in field.metadata if (limit := _limit(item))]
    return " ".join([_kind(field.annotation), ", ".join(limits)]).strip()


def _kind(annotation: Any) -> str:
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false", AwareDatetime: "time"}
    if annotation in plain:
        return plain[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0])
    if origin is Literal:
        return " or ".join(", ".join(f"`{value}`" for value in inner).rsplit(", ", 1))
    if origin in (Union, types.UnionType):
        kinds = [kind for kind in inner if kind is not type(None)]
        return _kind(kinds[0]) if len(kinds) == 1 else "[tuning](#tuning)"
    if origin is tuple:
        return f"list of {_kind(inner[0])}s"
    if origin is dict:
        return f"mapping of {_kind(inner[0])} to {_kind(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        title = next(title for title, model, _ in SPEC_PARTS if model is annotation)
        return f"[{title}](#{slug(title)})"
    if annotation in (Any, object):
        return "JSON value"
    raise TypeError(f"{annotation!r} has no words yet: add them here.")


def _limit(item: Any) -> str:
    match item:
        case annotated_types.Ge(ge=value):
            return f"≥ {value}"
        case annotated_types.Gt(gt=value):
            return f"> {value}"
        case annotated_types.Le(le=value):
            return f"≤ {value}"
        case annotated_types.Lt(lt=value):
            return f"< {value}"
    return ""


def default_words(field: FieldInfo) -> str:
    """What holds if the field is left out."""
    if field.is_required():
        return "**required**"
    value = None if field.default_factory else field.default
    if isinstance(value, BaseModel):
        value = getattr(value, "stage", None) or getattr(value, "type", None)
    if isinstance(value, tuple):
        value = f"[{', '.join(value)}]" if value else None
    if isinstance(value, bool):
        value = str(value).lower()
    return NOTHING if value in (None, "", {}) else f"`{value}`"


# --- the command line ---------------------------------------------------------------------------------------
CLI_INTRO = """\
Data goes to stdout, words go to stderr, so output can be piped. SPEC is a YAML of ftsdk, a recipe's name, or any
LLaMA-Factory YAML. JOB is a URI such as `local://NAME`, or a name that `ftsdk jobs` shows. The exit code tells
[what went wrong](errors.md)."""


def cli_page() -> str:
    """Every command and option."""
    blocks = ["# Every command", MADE, CLI_INTRO]
    for path, command in commands():
        options = [param for param in command.params if isinstance(param, click.Option)]
        places = [_place(param) for param in command.params if isinstance(param, click.Argument)]
        usage = " ".join([path, *(["[OPTIONS]"] if options else []), *places])
        blocks += [f"## {path}", f"```text\n{usage}\n```", *help_blocks(inspect.cleandoc(command.help or ""))]
        blocks += [table(("option", "meaning"), map(option_row, options))] if options else []
    return page(blocks)


def commands() -> Iterator[tuple[str, click.Command]]:
    """(`ftsdk NAME`, command) for every command that does something, in the order of `ftsdk --help`."""
    context = click.Context(cli.cli)
    for name in cli.COMMANDS:
        command = cli.cli.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((f"ftsdk {name} {sub}", inner) for sub, inner in command.commands.items())
        elif command is not None:
            yield f"ftsdk {name}", command


def _place(argument: click.Argument) -> str:
    name = "|".join(_choices(argument)) or str(argument.name).upper()
    return name if argument.required else f"[{name}]"


def _choices(param: click.Parameter) -> list[str]:
    return [str(choice) for choice in getattr(param.type, "choices", ())]


def option_row(option: click.Option) -> tuple[str, str]:
    """An option's names with what they take, and its help with the default."""
    names = ", ".join(sorted(option.opts, key=len)) + "".join(f" / {other}" for other in option.secondary_opts)
    takes = option.metavar or "|".join(_choices(option)) or option.type.name.split()[0].upper()
    default = f" Default: `{option.default}`." if option.show_default else ""
    return f"`{names}`" if option.is_flag else f"`{names} {takes}`", f"{option.help}{default}"


def help_blocks(text: str) -> Iterator[str]:
    """A help text's paragraphs; what click is told not to wrap stays as it is."""
    for paragraph in text.split("\n\n"):
        kept = paragraph.startswith("\b\n")
        yield f"```text\n{inspect.cleandoc(paragraph[2:])}\n```" if kept else one_line(paragraph)


# --- errors -------------------------------------------------------------------------------------------------
ERRORS_INTRO = """\
Every mistake ends in one sentence on stderr and the exit code of its class; in Python the class is raised
(`from ftsdk.errors import SpecError`; catch `ftsdk.FtsdkError` for all of them)."""


def errors_page() -> str:
    """The tree of errors with their exit codes."""
    rows = list(_error_rows(errors.FtsdkError, 0))
    shell = [
        ("0", "done"),
        ("2", "also: the command line itself is wrong (an unknown option, a missing argument)"),
        (str(cli.EXIT_BUG), "a bug in ftsdk; the message names a file with the details"),
        (str(cli.EXIT_INTERRUPTED), "Ctrl-C; a job that was being watched goes on"),
    ]
    blocks = ["# Errors and exit codes", MADE, ERRORS_INTRO, table(("error", "exit code", "when"), rows)]
    blocks += ["Beside these:", table(("exit code", "when"), shell)]
    return page([*blocks, "Why a job failed is another question: [the failure catalogue](../failures.md)."])


def _error_rows(kind: type[errors.FtsdkError], depth: int) -> Iterator[tuple[str, str, str]]:
    meaning = one_line(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0])
    yield f"{'&nbsp;' * 4 * depth}`{kind.__name__}`", str(kind.exit_code), meaning
    for below in sorted(kind.__subclasses__(), key=lambda other: other.exit_code):
        yield from _error_rows(below, depth + 1)


# --- backends -----------------------------------------------------------------------------------------------
BACKENDS_INTRO = """\
What a backend cannot do is refused at `ftsdk plan`, with what to do instead. An option is given as `-o key=value`;
what is not given is taken from the environment variable, then from the backend's table in the nearest `ftsdk.toml`,
then from the one in `FTSDK_HOME`."""


def backends_page() -> str:
    """What each built-in backend can do, and its options."""
    kinds = {name: backends.backend_class(name) for name in backends.BUILT_IN}
    meanings = attribute_docstrings(Capabilities)
    able = [
        (
            name.replace("_", " "),
            *("yes" if getattr(kind.capabilities, name) else NOTHING for kind in kinds.values()),
            text,
        )
        for name, text in meanings.items()
    ]
    blocks = ["# Backends: abilities and options", MADE, BACKENDS_INTRO, "## What each can do"]
    blocks.append(table(("", *kinds, "meaning"), able))
    for name, kind in kinds.items():
        rows = [
            (
                f"`{key}`",
                type_words(field),
                default_words(field),
                f"`{variable(name, key)}`",
                one_line(field.description),
            )
            for key, field in kind.options_model.model_fields.items()
        ]
        options = table(("option", "type", "default", "environment", "meaning"), rows)
        blocks += [f"## Options of `{name}`", options, f"More on its page: [{name}](../backends/{name}.md)."]
    return page(blocks)


def attribute_docstrings(kind: type) -> dict[str, str]:
    """Field -> the text under it, for a dataclass."""
    [body] = ast.parse(inspect.cleandoc(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            found[statement.target.id] = one_line(str(text))
    return found


# --- methods ------------------------------------------------------------------------------------------------
METHODS_INTRO = """\
What can be trained, by which trainer, what an interrupted training promises, and where this very combination has run;
`ftsdk methods` prints the same, with filters. What the methods and tunings are: [Methods and tunings](../methods.md).

- **exact**: the same loss and weights, bit for bit, as without the interruption; **restarts**: begins again at step 0
- **CPU test**: trained by `make test`; **long CPU test**: trained by `make test-all`; **rendered only**: the
  configuration is made and checked by the trainer's own parser, and no test trains it"""


def methods_page() -> str:
    """What every engine trains, and where that has run."""
    lines = shared_lines(engines.capabilities())
    rows = [(f"`{line.method}`", f"`{line.tunings.replace(', ', '`, `')}`", *line[2:]) for line in lines]
    header = ("method", "tunings", "modalities", "engine", "resume", "where it ran")
    return page(["# Every method, tuning and engine", MADE, METHODS_INTRO, table(header, rows)])


CAUSES_INTRO = """\
What `ftsdk diagnose JOB` recognises in the lines of a job that did not succeed. *sure* means that the line says it,
*likely* that it mostly means it, *possible* that it is worth a look. What it reads out of metrics is listed in
[follow](../follow.md#warnings), the reasons for which jobs end in [failures](../failures.md)."""


def causes_page() -> str:
    """The causes that a diagnosis knows."""
    rows = [
        (f"`{cause.code}`", cause.what, cause.sure, cause.do, f"`{cause.pattern.pattern}`".replace("``", "`"))
        for cause in causes()
    ]
    header = ("code", "what it means", "how sure", "what to do", "recognised by")
    return page(["# Causes that a diagnosis knows", MADE, CAUSES_INTRO, table(header, rows)])


PAGES: Mapping[str, Callable[[], str]] = {
    "spec.md": spec_page,
    "cli.md": cli_page,
    "errors.md": errors_page,
    "backends.md": backends_page,
    "methods.md": methods_page,
    "causes.md": causes_page,
}


def stale() -> list[str]:
    """Names of the pages that are not what the code says."""
    return [
        name
        for name, make in PAGES.items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text("utf-8") != make()
    ]


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m docs.generate", description="Write docs/reference/ out of the code."
    )
    parser.add_argument("--check", action="store_true", help="only say which pages are stale")
    if parser.parse_args().check:
        found = stale()
        sys.stderr.write("".join(f"docs/reference/{name} is stale: run python -m docs.generate\n" for name in found))
        return 1 if found else 0
    FOLDER.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
