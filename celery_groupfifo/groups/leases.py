"""The leases of workers, read from the gate as they are now: who holds one, until when, and on which runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from celery_groupfifo.gate import counts
from celery_groupfifo.gate.keys import Quoted, unquote
from celery_groupfifo.gate.records import Flight, node_of
from celery_groupfifo.groups.view import count, moment, span
from celery_groupfifo.worker.inspect import STATS

if TYPE_CHECKING:
    from celery_groupfifo.groups.reader import Reader


@dataclass(frozen=True, slots=True)
class Lease:
    """A run under the lease of its worker.

    Attributes:
        key: Of the group.
        task_id: Of the task.
        worker: The node's name.
        owner: Its name at the gate, different after each start.
        fence: Of the run.
        since: Time when the run began.
        renewed: Time when the worker last renewed its lease, or began the run; when it is silent, that time at the
            latest.
        lease_left: Seconds until the lease ends unless the worker renews it; negative when it is over.
    """

    key: str
    task_id: str
    worker: str
    owner: str
    fence: int
    since: datetime
    renewed: datetime
    lease_left: float


@dataclass(slots=True)
class Holder:
    """A worker with a lease, until its heads are taken back: it is alive, frozen or lost.

    Attributes:
        owner: Its name at the gate, different after each start.
        worker: The node's name.
        renewed: Time when it last renewed its lease; when it is silent, that time at the latest: after a time without
            sweeps nobody knows more.
        silent_for: Seconds since then.
        lease_left: Seconds until the lease ends unless the worker renews it; negative when it is over.
        leases: Its runs under the lease.
    """

    owner: Quoted
    worker: str
    renewed: datetime
    silent_for: float
    lease_left: float
    leases: list[Lease]


def read_holders(reader: Reader) -> list[Holder]:
    """Return every worker that has a lease, with runs or without, by its name.

    Args:
        reader: Of the gate.
    """
    found: dict[Quoted, Holder] = {}
    ttl = reader.gate.settings.ttl_ms
    for keys in reader.partitions:
        reading = counts.read(reader.ask, keys)
        now = reader.now()
        for owner, ends in reading.leases.items():
            left, last = (ends - now) / 1000, ends - ttl
            known = found.get(owner)
            if known is None or left > known.lease_left:
                leases = known.leases if known else []
                silent_for = max(now - last, 0) / 1000
                found[owner] = Holder(owner, node_of(owner), moment(last), silent_for, left, leases)
        for flight in reading.running:
            found[flight.owner].leases.append(_lease(flight, reading.leases[flight.owner], now, ttl))
    return sorted(found.values(), key=lambda holder: holder.owner)


def _lease(flight: Flight, ends: float, now: float, ttl: int) -> Lease:
    return Lease(
        key=unquote(flight.group),
        task_id=flight.task_id,
        worker=flight.worker,
        owner=flight.owner,
        fence=flight.fence,
        since=moment(flight.since),
        renewed=moment(max(ends - ttl, flight.since)),
        lease_left=(ends - now) / 1000,
    )


def silent(holders: list[Holder], stats: Mapping[str, dict[str, Any]]) -> list[Holder]:
    """Return those of the holders that none of the answers in `stats` is of: an earlier life of a node, too."""
    answering = {answer[STATS]["owner"] for answer in stats.values() if isinstance(answer.get(STATS), dict)}
    return [holder for holder in holders if holder.owner not in answering]


def said_of(holder: Holder) -> str:
    """Return a silent holder in words: its runs, and since when it has not renewed its lease."""
    left = holder.lease_left
    rest = f"it ends in {span(left)}" if left > 0 else f"it ended {span(-left)} ago"
    runs = count(len(holder.leases), "run")
    return f"{holder.worker} ({runs}, lease not renewed for {span(holder.silent_for)}: {rest})"


# -- the lease of one run --------------------------------------------------


def members_of(flight: Flight) -> tuple[str, str]:
    """Return the members of `due` for the lease of a run's worker: while it holds, and when it is over."""
    return counts.lease_of(flight.owner), counts.loss_of(flight.owner)


def ends_of(flight: Flight, due: Mapping[str, float], now: float) -> float:
    """Return the time (ms) when the lease of a run's worker ends or has ended.

    Args:
        flight: The run.
        due: The times of its members, see `members_of`.
        now: The time of Redis (ms): nobody knows a better one of a worker without a lease.
    """
    holds, over = (due.get(member) for member in members_of(flight))
    return holds if holds is not None else now if over is None else counts.ended_before(over)


__all__ = ["Holder", "Lease", "ends_of", "members_of", "read_holders", "said_of", "silent"]
