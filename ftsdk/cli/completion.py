"""Shell completion: completed values, and the script that a shell loads."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


def complete_spec(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """YAML files and recipes."""
    from ftsdk.recipes import catalogue

    recipes = [CompletionItem(r.name, help=r.summary) for r in catalogue.each() if r.name.startswith(incomplete)]
    return [*recipes, CompletionItem(incomplete, type="file")]


def complete_backend(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of backends."""
    from ftsdk import backends

    return [CompletionItem(name) for name in backends.names() if name.startswith(incomplete)]


def complete_job(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """URIs and names from the journal."""
    from ftsdk.jobs import journal

    candidates = [text for entry in journal.entries() for text in (entry.uri, entry.name)]
    return [CompletionItem(text) for text in candidates if text.startswith(incomplete)]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL.

    \b
    bash:  eval "$(ftsdk completion bash)"              in ~/.bashrc
    zsh:   eval "$(ftsdk completion zsh)"               in ~/.zshrc
    fish:  ftsdk completion fish > ~/.config/fish/completions/ftsdk.fish
    """
    from click.shell_completion import get_completion_class

    from ftsdk.cli import cli

    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(cli, {}, "ftsdk", "_FTSDK_COMPLETE").source())
