"""Requests to stop that are written to durable storage."""

from __future__ import annotations

from ftsdk import contract
from ftsdk.runtime.storage.base import STORAGE_RETRY
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.waiting import within
from ftsdk.runtime.supervisor.polling import BackgroundPoll

POLL_S, READ_TIMEOUT_S = 3.0, 5.0


class StopRequests:
    """A cancel of this attempt, and the claim of the next one: the watcher that starts it considers this one ended."""

    def __init__(self, durable: Durable, attempt: int) -> None:
        self._durable, self._attempt = durable, attempt
        self.poll = BackgroundPoll(lambda: self.is_cancelled() or self._exists(contract.claim_key(attempt + 1)), POLL_S)

    def is_cancelled(self) -> bool:
        """Whether a cancel was requested; False if storage does not answer in time."""
        return self._exists(contract.cancel_key(self._attempt))

    def _exists(self, key: str) -> bool:
        retry = STORAGE_RETRY._replace(deadline_s=READ_TIMEOUT_S)
        try:
            within(READ_TIMEOUT_S, lambda: retry.call(lambda: self._durable.read(key)))
        except OSError:
            return False
        return True
