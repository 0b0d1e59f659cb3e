"""`ftsdk ui`: the local page."""

from __future__ import annotations

from contextlib import suppress

import click

from ftsdk.cli.output import say


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="0 takes a free one.")
@click.option("--open/--no-open", "opens", default=True, help="Open it in the default browser (the default).")
def ui(port: int, opens: bool) -> None:
    """Serve a page on this machine's loopback until Ctrl-C: jobs of all backends, live curves, logs, reports.

    Prints the page's address, which holds a token: whoever has it can do in ftsdk what you can.
    """
    from ftsdk.page.server import serving

    with serving(port=port) as running:
        click.echo(running.url)
        say("Ctrl-C ends it.")
        if opens:
            click.launch(running.url)
        with suppress(KeyboardInterrupt):
            while running.thread.is_alive():
                running.thread.join(1)
