"""The log of a gate that can't be reached for a while: one line when that begins, and one when it is over."""

from __future__ import annotations

from logging import Logger

from celery_groupfifo.errors import GroupFifoError


class Outage:
    """The outage of a gate, as one thread sees it.

    Args:
        logger: Of the thread.
        consequence: A sentence that follows the first error.
        over: The sentence for its end.
    """

    def __init__(self, logger: Logger, consequence: str, over: str = "The gate answers again.") -> None:
        self._logger, self._consequence, self._over = logger, consequence, over
        self._lasts = False

    def goes_on(self, error: GroupFifoError) -> None:
        """Take a failed call; the first one is logged."""
        if not self._lasts:
            self._lasts = True
            self._logger.error("%s %s", error, self._consequence)

    def is_over(self) -> None:
        """Take a call that was answered; the first one after a failed one is logged."""
        if self._lasts:
            self._lasts = False
            self._logger.info(self._over)
