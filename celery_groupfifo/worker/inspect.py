"""What only a worker knows, for `celery inspect`; and `celery control groupfifo_sweep`.

Answered from the worker's own memory: no question to Redis, so it is answered while Redis is away, too. Importing this
file makes the verbs known, to workers and to the command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from time import monotonic
from typing import TYPE_CHECKING, Any

from celery.worker.control import control_command, inspect_command, nok, ok

if TYPE_CHECKING:
    from celery_groupfifo.model import Ticket
    from celery_groupfifo.worker.member import Member
    from celery_groupfifo.worker.run import Run

Answer = dict[str, Any]

#: What a worker says that uses no groups.
NO_MEMBER = "This worker uses no groups: none of its tasks is a GroupFifoTask, and its app has no GroupFifo(app)."


@inspect_command()
def groupfifo(state: Any, **kwargs: Any) -> Answer:
    """All that the worker knows of ordered groups: its gate, leases, chains and what Redis has refused."""
    member = _member(state)
    if member is None:
        return nok(NO_MEMBER)  # type: ignore[no-any-return]
    gate = member.gate
    return {
        "gate": gate.server.shown,
        "namespace": gate.settings.namespace,
        "lease_ttl": gate.settings.lease_ttl,
        "owner": member.owner,
        "stopping": member.stopping,
        "leases": _leases(member),
        "chains": _chains(member),
        "refused": _refused(member),
    }


@inspect_command()
def groupfifo_leases(state: Any, **kwargs: Any) -> Any:
    """Leases that the worker holds: group, task, fence, seconds left, process, attempt, since."""
    member = _member(state)
    return nok(NO_MEMBER) if member is None else _leases(member)


@inspect_command()
def groupfifo_chains(state: Any, **kwargs: Any) -> Any:
    """Deliveries of the broker that the worker goes on with: how many runs each has had, and since when."""
    member = _member(state)
    return nok(NO_MEMBER) if member is None else _chains(member)


@inspect_command()
def groupfifo_refused(state: Any, **kwargs: Any) -> Any:
    """What Redis could not take yet, and is told again: ends of runs, and tickets to give back."""
    member = _member(state)
    return nok(NO_MEMBER) if member is None else _refused(member)


@control_command()
def groupfifo_sweep(state: Any, **kwargs: Any) -> Answer:
    """Sweep now: what is due goes out, and heads of lost workers are taken back."""
    member = _member(state)
    if member is None:
        return nok(NO_MEMBER)  # type: ignore[no-any-return]
    member.wake(0.0)
    return ok("sweeping")  # type: ignore[no-any-return]


def _member(state: Any) -> Member | None:
    return getattr(state.consumer, "groupfifo", None)


def _leases(member: Member) -> list[Answer]:
    return [_lease(member, run) for run in _in_order(member)]


def _lease(member: Member, run: Run) -> Answer:
    request, ttl, pid = run.request, member.gate.settings.lease_ttl, None
    if request is not None and run.started:
        pid = request.worker_pid if member.prefork else os.getpid()  # elsewhere Celery's may be a greenlet's id
    return {
        **_named(run.ticket, run),
        "lease_left": round(max(max(run.begun, run.renewed) + ttl - monotonic(), 0.0), 3),
        "state": "ending" if run.settled else "running" if run.started else "waiting for a slot",
        "pid": pid,
        "since": _moment(run.begun),
    }


def _chains(member: Member) -> list[Answer]:
    found: dict[int, Answer] = {}
    for run in _in_order(member):
        delivery = run.delivery
        found[id(delivery)] = {
            "delivery": delivery.tag,
            "runs": delivery.runs,
            "since": _moment(delivery.since),
            **_named(run.ticket, run),
        }
    return list(found.values())


def _refused(member: Member) -> Answer:
    return {
        "finishes": [_named(call.ticket, run) for call, run in list(member.finishes.refused)],
        "tickets": [{**_named(ticket), "worker_lost": lost} for ticket, lost in list(member.unreturned)],
    }


def _in_order(member: Member) -> Iterable[Run]:
    """A snapshot: other threads begin and end runs meanwhile."""
    return sorted(member.runs.values(), key=lambda run: run.begun)


def _named(ticket: Ticket, run: Run | None = None) -> Answer:
    said: Answer = {"id": ticket.id, "fence": ticket.fence, "lost": ticket.lost}
    if run is not None:
        request = run.request
        said |= {
            "group": run.key,
            "task": None if request is None else request.name,
            "attempt": None if request is None else int(request.request_dict.get("retries") or 0) + 1,
        }
    return said


def _moment(at: float) -> str:
    """A monotonic time, by this machine's clock."""
    return (datetime.now(timezone.utc) - timedelta(seconds=monotonic() - at)).isoformat(timespec="milliseconds")
