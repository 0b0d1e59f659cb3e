"""Whether a crashed trainer is started again within its attempt, where no platform would do it."""

from __future__ import annotations

from ftsdk.contract import INFRA_REASONS
from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.supervisor.exit_evidence import Ending


class Restarts:
    """What the document allows. Kept over the starts of one supervisor."""

    def __init__(self, document: JobDocument) -> None:
        self._most, self._reasons = document["restarts"], frozenset(document["restart_on"])
        self._last: tuple[str, int | None] | None = None

    def allow(self, ending: Ending, *, starts: int, step: int | None) -> str:
        """The sentence that announces a restart, or an empty one: the attempt ends here.

        A crash that came at the same step before would come again.
        """
        came_before = self._last == (ending.reason, step) and ending.reason not in INFRA_REASONS
        self._last = ending.reason, step
        if ending.state != "FAILED" or ending.reason not in self._reasons or starts > self._most or came_before:
            return ""
        return f"{ending.message} The trainer is started again (restart {starts} of {self._most})."
