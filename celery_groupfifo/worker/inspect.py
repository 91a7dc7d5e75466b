"""The worker's own answers to `celery inspect`; and `celery control groupfifo_sweep`.

They come from the worker's memory, so they work while Redis is away, too. Importing this file registers the verbs: the
worker and the command line do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from importlib import metadata
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from celery.worker.control import control_command, inspect_command, nok, ok

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.common import common_settings
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.worker.run import State

if TYPE_CHECKING:
    from celery_groupfifo.worker.member import Member
    from celery_groupfifo.worker.run import Run

Answer = dict[str, Any]

#: The members of this process, by Celery's consumer.
members: WeakKeyDictionary[Any, Member] = WeakKeyDictionary()

#: The part of the groups in the answer to `celery inspect stats`.
STATS = "groupfifo"

#: The state of a lease in an answer, by the state of its run.
STATES = {
    State.RECEIVED: "beginning",
    State.BEGUN: "waiting for a slot",
    State.GIVEN: "waiting for a slot",
    State.STARTED: "running",
    State.OVER: "ending",
    State.FINISHING: "ending",
    State.SURRENDERING: "ending",
    State.LOST: "lost",
    State.ENDED: "ended",
}

#: The answer of a worker that uses no groups.
NO_MEMBER = (
    "This worker uses no groups: none of its tasks is a GroupFifoTask, and its app has no GroupFifo(app); or its "
    "groupfifo_mode is 'observe'."
)


@inspect_command()
def groupfifo(state: Any, **kwargs: Any) -> Answer:
    """Show the worker's gate, leases and chains, and the calls that Redis has refused."""
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
    """Show the leases that the worker holds: group, task, fence, seconds left, process, attempt, since."""
    member = _member(state)
    return nok(NO_MEMBER) if member is None else _leases(member)


@inspect_command()
def groupfifo_chains(state: Any, **kwargs: Any) -> Any:
    """Show the broker's deliveries under chains of runs: the number of runs of each, and since when."""
    member = _member(state)
    return nok(NO_MEMBER) if member is None else _chains(member)


@inspect_command()
def groupfifo_refused(state: Any, **kwargs: Any) -> Any:
    """Show the calls that the gate could not take yet, and that are repeated: begins, ends of runs, and surrenders."""
    member = _member(state)
    return nok(NO_MEMBER) if member is None else _refused(member)


@control_command()
def groupfifo_sweep(state: Any, **kwargs: Any) -> Answer:
    """Sweep now: release due tasks, and reclaim the heads of lost workers."""
    member = _member(state)
    if member is None:
        return nok(NO_MEMBER)  # type: ignore[no-any-return]
    member.sweeper.wake_in(0.0)
    return ok("sweeping")  # type: ignore[no-any-return]


def summary(member: Member) -> Answer:
    """Return what `celery inspect stats` shows of a worker: a question that workers without groups know, too."""
    return {
        "version": version(),
        "owner": member.owner,
        "leases": len(list(member.runs)),
        "refused": sum(len(call.runs) for call in member.outbox.kept()),
        "stopping": member.stopping,
        "terminates": member.pool.terminates,
        "settings": common_settings(member.consumer.app, member.gate),
    }


def observing(app: Any) -> Answer:
    """Return the same of a worker that observes only: it has no leases, and the gate's address as it is set."""
    try:
        settings = common_settings(app, gate_of(app))
    except GroupFifoError:  # no Redis is known: nothing is counted, and all goes on
        settings = {}
    nothing: Answer = {"owner": "", "leases": 0, "refused": 0, "stopping": False, "terminates": False}
    return {**nothing, "version": version(), "settings": settings}


def version() -> str:
    """Return the installed version of the package; empty when it runs from its sources."""
    try:
        return metadata.version("celery-groupfifo")
    except metadata.PackageNotFoundError:
        return ""


def _member(state: Any) -> Member | None:
    return members.get(state.consumer)


def _leases(member: Member) -> list[Answer]:
    return [_lease(member, run) for run in _in_order(member)]


def _lease(member: Member, run: Run) -> Answer:
    ttl, pid = member.gate.settings.lease_ttl, run.pid
    if pid is not None and not member.pool.has_processes:
        pid = os.getpid()  # Celery's may be a greenlet's id
    return {
        **_named(run),
        "lease_left": round(max((run.renewed or run.since) + ttl - now(), 0.0), 3),
        "state": STATES[run.state],
        "pid": pid,
        "since": _moment(run.since),
    }


def _chains(member: Member) -> list[Answer]:
    found: dict[int, Answer] = {}
    for run in _in_order(member):
        delivery = run.delivery
        found[id(delivery)] = {
            "delivery": delivery.tag,
            "runs": delivery.runs,
            "since": _moment(delivery.since),
            **_named(run),
        }
    return list(found.values())


def _refused(member: Member) -> Answer:
    calls = [
        {"call": call.script, "why": str(call.refused or ""), **_named(run)}
        for call in member.outbox.kept()
        for run in call.runs
    ]
    return {"calls": calls}


def _in_order(member: Member) -> Iterable[Run]:
    return sorted(member.runs, key=lambda run: run.since)


def _named(run: Run) -> Answer:
    ticket = run.ticket
    return {
        "task_id": ticket.id,
        "fence": ticket.fence,
        "lost": ticket.lost,
        "key": run.key,
        "task": run.name,
        "attempt": run.attempt,
    }


def _moment(at: float) -> str:
    """Return a time of `clock.now` as text, by this machine's clock."""
    return (datetime.now(timezone.utc) - timedelta(seconds=now() - at)).isoformat(timespec="milliseconds")
