"""The part of `Groups` that says whether, and how fast, a group goes on."""

from __future__ import annotations

from celery_groupfifo.gate.records import Limits
from celery_groupfifo.groups.operate import Operator
from celery_groupfifo.sending.grouping import checked_key
from celery_groupfifo.settings import check_seconds, check_value
from celery_groupfifo.windows import Rate


class Controls:
    """The controls of a group, see `Groups`."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def pause(self, key: str, reason: str = "", by: str = "") -> bool:
        """Pause a group: when this returns, no task of it starts any more; a running one goes on to its end.

        The pause lasts until `resume`, also while the group is empty. A retry of a running task waits at the head. A
        key that holds no task can be paused, too: `get(key).depth` is 0 then.

        Args:
            key: Of the group.
            reason: For the audit.
            by: For the audit; empty: the user and host of this process.

        Returns:
            False when it was paused already; reason and operator are replaced then.
        """
        return self._operator.pause(checked_key(key, "this call"), reason, by)

    def resume(self, key: str, by: str = "") -> bool:
        """Let a paused group go on, and a draining one take new tasks again.

        Args:
            key: Of the group.
            by: For the audit; empty: the user and host of this process.

        Returns:
            False when it was neither.
        """
        return self._operator.resume(checked_key(key, "this call"), by)

    def drain(self, key: str, reason: str = "", by: str = "") -> bool:
        """Refuse new tasks of a group (`GroupDraining` at the call) until the ones it has are done.

        Args:
            key: Of the group.
            reason: For the audit.
            by: For the audit; empty: the user and host of this process.

        Returns:
            False when it is empty: it is not marked, and takes new tasks.
        """
        return self._operator.drain(checked_key(key, "this call"), reason, by)

    def limit(
        self,
        key: str,
        concurrency: int | None = None,
        rate: str | None = None,
        expires_in: float | None = None,
        reason: str = "",
        by: str = "",
    ) -> bool:
        """Set the limits of a group at run time: they count instead of those of its tasks, from the next start on.

        They replace what was set before. With neither `concurrency` nor `rate` they are taken away. A key that holds
        no task can have limits, too.

        Args:
            key: Of the group.
            concurrency: Tasks that may run at once, from 1; None: as its tasks say.
            rate: Starts within a time, as `group_rate`, such as `"10/s"`; None: as its tasks say.
            expires_in: Seconds until they are taken away by themselves; None: they last.
            reason: For the audit.
            by: For the audit; empty: the user and host of this process.

        Returns:
            False when they should be taken away, and there are none.

        Raises:
            InvalidOption: A value does not fit; the message quotes it and says what does.
        """
        check_value("concurrency", concurrency, "concurrency", optional=True)
        check_value("rate", rate, "rate", optional=True)
        if expires_in is not None:
            check_seconds("expires_in", expires_in, least=0.1)
        limits = Limits(Rate.parse(rate), concurrency)
        return self._operator.limit(checked_key(key, "this call"), limits, expires_in, reason, by)
