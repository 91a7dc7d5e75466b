"""The calls of a run that executes a batch: it gathers the entries behind its own, and ends them before it ends itself.

Gathered entries follow the run, see lua/lib/follow.lua: whatever ends it without their outcome lets them wait behind
its entry. So only the run has a lease and a fence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.packing import ScriptArguments
from celery_groupfifo.gate.recovery import Recovery


class Batches(Recovery):
    """The part of a gate for batches."""

    def gather(self, ticket: Ticket, task: str, most: int) -> list[bytes]:
        """Take the entries behind that of a run along, as its followers.

        Args:
            ticket: Of the run, with its fence.
            task: Name of its task; only entries of the same one follow.
            most: Followers that it may have.

        Returns:
            Their messages, in order, with tickets; the same ones when the call is repeated. Empty: none follows, or the
            lease of the run is lost.
        """
        return list(self.store.run("gather", *self.gather_call(ticket, task, most)))

    def gather_call(self, ticket: Ticket, task: str, most: int) -> ScriptArguments:
        """Return the call of `gather` for the outbox."""
        keys = self._keys(ticket)
        args: list[Any] = [ticket.entry, ticket.group, ticket.fence, most, task]
        return keys, [keys.line(ticket.group)], args

    def settle(self, ticket: Ticket, ended: Sequence[str], staying: Sequence[str] = ()) -> bool:
        """End followers of a run, before its own end. All that are not named go back to the front of their line.

        Args:
            ticket: Of the run, with its fence.
            ended: Names of the entries that are over.
            staying: Names of those that have failed, and whose own `finish` comes next.

        Returns:
            False when the lease of the run is lost; nothing was done then.

        Raises:
            GateUnavailable: It may or may not be done; call again.
        """
        return self.settled(self.store.run("settle", *self.settle_call(ticket, ended, staying)))

    def settle_call(self, ticket: Ticket, ended: Sequence[str], staying: Sequence[str] = ()) -> ScriptArguments:
        """Return the call of `settle` for the outbox; `settled` reads the answer."""
        keys = self._keys(ticket)
        args: list[Any] = [ticket.entry, ticket.group, ticket.fence, len(ended), *ended, *staying]
        return keys, [keys.line(ticket.group)], args

    def settled(self, reply: Any) -> bool:
        """Read the answer of `settle`: False when the lease of the run is lost."""
        return int(reply) == 1
