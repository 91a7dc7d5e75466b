"""The parts of a worker that are there once for each server of the gate: on a Redis Cluster once for each partition.

So a node that hangs or is away holds up its own partitions alone: the leases of the others are renewed, their runs end,
and their lines go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING

from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.worker.gate_call import GateCall
from celery_groupfifo.worker.outbox import Outbox
from celery_groupfifo.worker.renewer import Renewer
from celery_groupfifo.worker.sweeper import STOP_SECONDS, Sweeper

if TYPE_CHECKING:
    from celery_groupfifo.worker.run import Run


def partitions_by_server(gate: Gate) -> list[list[Keys]]:
    """Return the partitions of a gate, those of one server together."""
    found: dict[int, list[Keys]] = {}
    for keys in gate.keyspace.partitions:
        found.setdefault(id(gate.store.at(keys)), []).append(keys)
    return list(found.values())


class Outboxes:
    """An outbox for each partition, see `Outbox`.

    Args:
        by_tag: By the tag of its partition.
    """

    def __init__(self, by_tag: Mapping[str, Outbox]) -> None:
        self._by_tag = dict(by_tag)

    def send(self, call: GateCall, wait: bool = False) -> None:
        """Send a call, now or soon; see `Outbox.send`."""
        self._by_tag[call.arguments[0].tag].send(call, wait)

    def has(self, run: Run) -> bool:
        """Return whether a call of a run is open, see `Outbox.has`."""
        return self._by_tag[run.ticket.tag].has(run)

    def unanswered(self) -> list[GateCall]:
        """Return all calls that are not answered yet, see `Outbox.unanswered`."""
        return [call for outbox in self._by_tag.values() for call in outbox.unanswered()]

    def kept(self) -> list[GateCall]:
        """Return the calls that were not answered at once, and are repeated."""
        return [call for outbox in self._by_tag.values() for call in outbox.kept()]

    @property
    def uses_loop_connection(self) -> bool:
        """Return whether the loop has connections for calls."""
        return all(outbox.uses_loop_connection for outbox in self._by_tag.values())

    @uses_loop_connection.setter
    def uses_loop_connection(self, uses: bool) -> None:
        for outbox in self._by_tag.values():
            outbox.uses_loop_connection = uses

    def attach(self) -> None:
        """Use the loop: it runs, or is about to. For the loop's thread."""
        for outbox in self._by_tag.values():
            outbox.attach()

    def detach(self) -> None:
        """Stop using the loop, which does not run for a while."""
        for outbox in self._by_tag.values():
            outbox.detach()

    def abandon_loop(self) -> None:
        """Do without the loop from now on: it stands still, for good. From any thread."""
        for outbox in self._by_tag.values():
            outbox.abandon_loop()

    def close(self, patience: float) -> bool:
        """Take no more calls, and wait for the open ones; see `Outbox.close`. All of them share the time to wait."""
        self.detach()
        end = monotonic() + patience
        answered = [outbox.close(max(end - monotonic(), 0.0)) for outbox in self._by_tag.values()]
        return all(answered)


class Renewers:
    """A renewer for each partition, see `Renewer`.

    Args:
        by_tag: By the tag of its partition.
    """

    def __init__(self, by_tag: Mapping[str, Renewer]) -> None:
        self._by_tag = dict(by_tag)

    def renewed_at(self, tag: str) -> float:
        """Return the time of the last call that renewed the lease in a partition; 0: none has."""
        return self._by_tag[tag].renewed

    def start(self) -> None:
        """Start to renew, unless it is started already."""
        for renewer in self._by_tag.values():
            renewer.start()

    def stop(self) -> None:
        """Stop renewing, without waiting."""
        for renewer in self._by_tag.values():
            renewer.stop()

    def wake(self) -> None:
        """Renew now, see `Renewer.wake`."""
        for renewer in self._by_tag.values():
            renewer.wake()


class Sweepers:
    """A sweeper for each partition, see `Sweeper`.

    Args:
        by_tag: By the tag of its partition.
    """

    def __init__(self, by_tag: Mapping[str, Sweeper]) -> None:
        self._by_tag = dict(by_tag)

    def start(self) -> None:
        """Start to sweep, unless it is started already."""
        for sweeper in self._by_tag.values():
            sweeper.start()

    def stop(self) -> None:
        """Stop sweeping. All of them share the time to wait for calls in progress."""
        for sweeper in self._by_tag.values():
            sweeper.stop(0.0)
        end = monotonic() + STOP_SECONDS
        for sweeper in self._by_tag.values():
            sweeper.stop(max(end - monotonic(), 0.0))

    def wake_in(self, seconds: float, tag: str = "") -> None:
        """Let the next sweep of a partition come within so many seconds; without a tag, of all. This does not wait."""
        for known, sweeper in self._by_tag.items():
            if tag in ("", known):
                sweeper.wake_in(seconds)
