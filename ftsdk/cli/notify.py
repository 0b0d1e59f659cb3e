"""`ftsdk notify`: a test notice to every address."""

from __future__ import annotations

import click

from ftsdk.cli.output import emit, json_option, table


@click.command()
@json_option
def notify(as_json: bool) -> None:
    """Send a test notice to every address of `[notify]` in ftsdk.toml; the exit code is 1 if one does not take it.

    Whoever watches a job (`follow`, `wait`, `watch`, `submit --follow`, `fit`) sends notices when it starts, is
    preempted, resumes, finishes, fails, stalls or comes near the end of its budget.
    """
    from ftsdk.errors import SpecError
    from ftsdk.jobs import notifying

    configured = notifying.settings()
    if configured is None:
        raise SpecError('Nothing is to be told: write [notify] with to = ["https://…"] into ftsdk.toml.')
    results = notifying.send_test(configured)
    rows = [{"to": address, "problem": problem} for address, problem in results]
    emit(rows, as_json, lambda: table(("TO", "RESULT"), [(to, problem or "taken") for to, problem in results]))
    click.get_current_context().exit(int(any(problem for _, problem in results)))
