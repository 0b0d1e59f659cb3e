"""`ftsdk mcp`: tools for agents on standard input and output."""

from __future__ import annotations

import click

from ftsdk.cli.completion import complete_backend


@click.command()
@click.option("--backend", "-b", "backends", multiple=True, shell_complete=complete_backend,
              help="Let it submit there without asking, within --max-cost-usd. Repeatable.")  # fmt: skip
@click.option(
    "--max-cost-usd",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="All that it may spend without asking while this server runs, by the estimates' upper ends.",
)
def mcp(backends: tuple[str, ...], max_cost_usd: float) -> None:
    """Serve the tools plan, submit, follow, diagnose and evaluate to an agent on stdin and stdout (MCP).

    An agent starts this command itself: name it in the agent's settings. Without --backend every submit and
    evaluation asks the person through the agent's client.
    """
    from ftsdk.errors import NotInstalledError

    try:
        from ftsdk.cli.agents.limits import Limits
        from ftsdk.cli.agents.server import server
    except ImportError as problem:
        raise NotInstalledError(
            f"The server for agents needs {problem.name}, which is not installed: pip install 'ftsdk[mcp]'."
        ) from problem
    server(Limits(backends=backends, max_cost_usd=max_cost_usd)).run()
