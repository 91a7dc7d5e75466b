"""The call that inserts a part of a canvas behind the run that sends it; see lua/insert.lua."""

from __future__ import annotations

from typing import Any

from celery_groupfifo.gate.model import Entry, Number, Ticket
from celery_groupfifo.gate.parks import KEEP_MS, NO_LIMITS, stored_words
from celery_groupfifo.gate.recovery import Recovery


class Inserting(Recovery):
    """The part of a gate that inserts parts of canvas."""

    def insert(self, entry: Entry, ticket: Ticket, number: Number) -> bool:
        """Let an entry take the place directly behind a run, and behind what that run has sent before.

        Args:
            entry: To park, of the run's group.
            ticket: Of the run.
            number: Of a producer that belongs to the run alone: its parts count from 1. The same for every repetition.

        Returns:
            False when nothing was done: the run has ended, or the entry has another place. Park it then.

        Raises:
            GateUnavailable: It may or may not be parked; call again with the same number.
        """
        keys = self._keys(ticket)
        limits = f"{entry.limits or NO_LIMITS}/+{entry.delay}" if entry.delay else entry.limits
        words = stored_words(entry.fair, limits)
        args: list[Any] = [entry.quoted_id, entry.group, entry.queue, entry.cut, entry.message, number.value, KEEP_MS]
        more = [keys.line(entry.group), keys.producer(number.producer)]
        return bool(self.store.run("insert", keys, more, [*args, ticket.entry, words])[0])
