"""Blocks of YAML are specs (or parts of one), of TOML options, of Python programs; `ftsdk …` in a text is a command."""

import ast
import re
import shlex
import textwrap
import tomllib
from importlib import import_module

import click
import pytest

from ftsdk import backends
from ftsdk.cli import cli
from ftsdk.jobs import notifying
from ftsdk.recipes import specfile
from ftsdk.studies import reading
from ftsdk.studies.pipelines import reading as pipelines
from tests.docs.pages import ROOT, blocks, pages, prose

REST = {"model": "ORG/NAME", "dataset": "train.jsonl"}
COMMAND = re.compile(r"`(ftsdk [^`]+)`")


def found(*kinds):
    return [pytest.param(block, id=str(block)) for page in pages() for block in blocks(page, *kinds)]


@pytest.mark.parametrize("block", found("yaml"))
def test_yaml_is_a_spec_or_a_part_of_one(block, tmp_path):
    (tmp_path / "block.yaml").write_text(block.text)
    data = specfile.read_yaml(tmp_path / "block.yaml")
    if "steps" in data:
        assert pipelines.from_data(data, where=str(block), folder=tmp_path).pipeline.steps
        return
    if "sweep" in data:
        assert reading.sweep_of(data.pop("sweep"), {}, where=str(block)).metric
    assert specfile.from_data({**REST, **data}, where=str(block), folder=tmp_path).spec.model


@pytest.mark.parametrize("block", found("toml"))
def test_toml_is_options_of_backends_and_notices(block):
    tables = tomllib.loads(textwrap.dedent(block.text))
    tables.pop("project", None)  # a pyproject.toml
    assert set(tables.pop("notify", {})) <= set(notifying.KEYS)
    for name, options in tables.items():
        assert backends.backend_class(name).options_model.model_validate(options)


@pytest.mark.parametrize("block", found("python"))
def test_python_is_valid_and_its_names_are_there(block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "ftsdk":
            assert all(hasattr(import_module(node.module), alias.name) for alias in node.names)


def unknown(line):
    """The first word of a command line that is no command or option of ours; None if there is none."""
    command: click.Command = cli
    context = click.Context(cli)
    known: set[str] = set()
    for word in shlex.split(line, comments=True)[1:]:
        if word in ("&&", "|", ">", ";"):
            return None
        if word.startswith("-"):
            if word.partition("=")[0] not in known | {"--help", "--version"}:
                return word
        elif isinstance(command, click.Group):
            inner = command.get_command(context, word)
            if inner is None:
                return word
            command = inner
            known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return None


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_in_the_text_exist(page):
    inline = COMMAND.findall(prose(page).replace("\n", " "))
    shown = [
        line.lstrip()[2:] for block in blocks(page, "text") for line in block.text.splitlines() if "$ ftsdk " in line
    ]
    lines = [*inline, *(line[line.index("ftsdk ") :] for line in shown)]
    assert [line for line in lines if unknown(line) is not None] == []


def test_a_wrong_command_is_detected():
    assert unknown("ftsdk plan job.yaml --backend local") is None
    assert unknown("ftsdk image build --torch cpu") is None
    assert unknown("ftsdk plna job.yaml") == "plna"
    assert unknown("ftsdk plan job.yaml --bakend local") == "--bakend"
