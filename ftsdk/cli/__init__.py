"""The command line: parse, call one SDK function, print. Data goes to stdout, messages go to stderr.

A command's module is imported when the command runs, so that `ftsdk --help` imports little more than click.

More than fifteen files: one for each family of commands, and the few that print what several of them show.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module

import click

from ftsdk.contract.release import __version__
from ftsdk.errors import FtsdkError, did_you_mean, printable

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Train": {
        "demo": ("demo:demo", "Train a small model on this machine, from nothing, in a few minutes."),
        "init": ("specs:init", "Write a recipe to a file, to edit."),
        "plan": ("run:plan", "Show exactly what a submit would do; creates nothing."),
        "submit": ("run:submit", "Start a training and print its job URI."),
        "sweep": ("studies:sweep", "Train with many values of a spec's fields, each combination a job."),
        "run": ("pipelines:run", "Run a pipeline: jobs that take each other's results."),
        "data": ("data:data", "Check, measure, convert and split training data."),
    },
    "Jobs": {
        "jobs": ("jobs:jobs", "List the jobs that this machine started."),
        "studies": ("studies:studies", "List sweeps and pipelines, with their state and best job."),
        "status": ("status:status", "Show how a job is doing."),
        "follow": ("jobs:follow", "Show a job's progress until it is over."),
        "logs": ("jobs:logs", "Print a job's output."),
        "metrics": ("jobs:metrics", "Print or plot a job's loss and other metrics."),
        "wait": ("jobs:wait", "Wait until a job has ended."),
        "ui": ("ui:ui", "Open a local page: jobs, live curves, logs, reports."),
        "watch": ("watch:watch", "Restart preempted and lost jobs according to their retry policies."),
        "diagnose": ("diagnose:diagnose", "Say what happened to a job, why, and what to do."),
        "notify": ("notify:notify", "Send a test notice to the addresses of [notify] in ftsdk.toml."),
        "cancel": ("jobs:cancel", "Make a job save its state and stop."),
        "move": ("moving:move", "Go on with a job on another backend, from its checkpoint."),
        "clean": ("jobs:clean", "Remove a job's files, on this machine or in its bucket."),
        "compare": ("reports:compare", "Compare jobs: specs, curves, results, cost."),
        "report": ("reports:report", "Write one HTML file about a job."),
        "chaos": ("chaos:chaos", "Inject faults into a running job of this machine, as a test of a spot reclaim."),
    },
    "Models": {
        "model": ("jobs:model", "Show or download a job's model."),
        "evaluate": ("programs:evaluate", "Measure a model on held-out rows, beside another one."),
        "generate": ("programs:generate", "Let a model answer a file of prompts."),
        "chat": ("serving:chat", "Talk with a model in the terminal."),
        "serve": ("serving:serve", "Serve a model on this machine as OpenAI's API does."),
        "merge": ("programs:merge", "Merge an adapter into its base model."),
        "export": ("programs:export", "Write a model as GGUF files."),
        "push": ("push:push", "Publish a model with its card: hub, bucket or folder."),
        "lineage": ("lineage:lineage", "Show what a model was made from and what used it."),
        "reproduce": ("lineage:reproduce", "Train a model again and say what is equal."),
    },
    "Deployments": {
        "deploy": ("deployments:deploy", "Put a model behind an address: container, endpoint, service."),
        "deployments": ("deployments:deployments", "List the deployments that this machine has made."),
        "deployment": ("deployments:deployment", "Show a deployment's state or its logs."),
        "undeploy": ("deployments:undeploy", "Take a deployment down."),
    },
    "Specs and settings": {
        "recipes": ("specs:recipes", "List the ready-made specs, or show one."),
        "methods": ("methods:methods", "List what can be trained: method, tuning, engine, resume, where it ran."),
        "convert": ("specs:convert", "Write a LLaMA-Factory YAML as a spec, or a spec as a LLaMA-Factory YAML."),
        "schema": ("specs:schema", "Print the JSON schema of a spec, for editors."),
        "mcp": ("mcp:mcp", "Serve plan, submit, follow, diagnose and evaluate to an agent (MCP)."),
        "backends": ("machine:backends", "List the backends and their capabilities."),
        "doctor": ("machine:doctor", "Check the requirements of each backend."),
        "secrets": ("secrets:secrets", "Store secrets where a backend's jobs read them."),
        "image": ("image:image", "Build or push the training image."),
        "prices": ("prices:prices", "Show and refresh the prices that estimates use."),
        "config": ("config:config", "Choose which ftsdk.toml is used where several users can write one."),
        "completion": ("completion:completion", "Print the shell completion script."),
    },
}
"""Heading in the help -> command -> module and name of its function, and its summary."""
COMMANDS = {name: command for section in SECTIONS.values() for name, command in section.items()}
EXIT_BUG = 70
EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that lists its commands and their one-line help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"ftsdk.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command '{args[0]}'{did_you_mean(args[0], COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        column = max(map(len, COMMANDS))
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(column), summary) for name, (_, summary) in commands.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ftsdk")
def cli() -> None:
    """Describe an LLM fine-tuning once, run it on any backend, survive interruptions, get the model back.

    \b
    First steps:
      ftsdk demo                                    a whole training on this machine
      ftsdk init qwen2.5-0.5b-instruct-sft -o job.yaml
      ftsdk plan job.yaml --backend docker          what would happen
      ftsdk submit job.yaml --backend docker --follow

    SPEC is a YAML of ftsdk, a recipe's name, or any LLaMA-Factory YAML. JOB is a URI such as docker://NAME, or a
    name that `ftsdk jobs` shows. Every command that prints data takes --json.
    """


def main() -> None:
    """Entry point. An error is printed as one sentence and sets its own exit code; no traceback is printed."""
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as problem:
        problem.message = printable(problem.message)
        problem.show()
        sys.exit(problem.exit_code)
    except FtsdkError as problem:
        _fail(str(problem), problem.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("Interrupted.", EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python prints an error at exit
        sys.exit(0)
    except OSError as problem:
        _fail(_about_file(problem), 1)
    except Exception:
        _fail(_report_bug(), EXIT_BUG)


def _about_file(problem: OSError) -> str:
    """The system's message and the file it is about; for a full disk also what to do."""
    where = f" ({problem.filename})" if problem.filename else ""
    advice = ": free some space, or set FTSDK_HOME to another disk" if problem.errno == errno.ENOSPC else ""
    return f"{problem.strerror or problem}{where}{advice}."


def _fail(sentence: str, code: int) -> None:
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {printable(sentence)}", err=True)
    sys.exit(code)


def _report_bug() -> str:
    """Write the traceback to a file and return the sentence to print."""
    import platform
    import time
    import traceback

    from ftsdk.home import home_dir

    path = home_dir() / "bugs" / f"{time.strftime('%Y%m%d-%H%M%S')}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = f"ftsdk {__version__}, Python {platform.python_version()}, {platform.platform()}\n\n"
    path.write_text(about + traceback.format_exc(), "utf-8")
    return f"This is a bug in ftsdk: {sys.exc_info()[1]!r}. The details are in {path}; please report them."
