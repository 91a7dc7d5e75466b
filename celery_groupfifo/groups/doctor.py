"""The checks of the surroundings: the server, the broker, the app's settings and the workers that answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery import Celery

from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.server import RedisServer
from celery_groupfifo.gate.servers import connection_options
from celery_groupfifo.groups.fleet import check_workers, queues_with_heads
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.report import mode_check
from celery_groupfifo.groups.server import check_server
from celery_groupfifo.groups.view import Check, count, named
from celery_groupfifo.sending import reasons
from celery_groupfifo.sending.grouping import is_ordered_class


def doctor(app: Celery, reader: Reader) -> list[Check]:
    """Run all checks, see `Groups.doctor`."""
    return [*mode_check(reader), *check_server(reader), *_app(app, reader), _sends(app), *check_workers(app, reader)]


def unsafe_findings(app: Celery) -> list[Check]:
    """Return the unsafe findings, for the log of a starting worker.

    No question goes through the broker or the result backend: the worker's own consumer may find the question's reply
    channel among those that it polls, and end with it.

    Raises:
        GroupFifoError: The gate's Redis can't be asked.
    """
    gate = build_gate(app, "groupfifo-doctor")
    try:
        reader = Reader(gate)
        return [check for check in (*check_server(reader), *_app(app, reader)) if check.unsafe]
    finally:
        gate.store.close()


def _app(app: Celery, reader: Reader) -> Iterator[Check]:
    gate = reader.gate
    same = gate.releaser.takes
    yield Check(
        "broker",
        True,
        f"The gate is at {gate.server.shown}; "
        + (
            "the broker is the same server: finishing workers take their next task in the same step."
            if same
            else "the broker is another one: tickets are published after the step, and a lost one goes out again."
        ),
    )
    yield from _way(app, gate.server)
    prefetch = int(app.conf.worker_prefetch_multiplier)
    yield Check.of(
        "prefetch",
        0 < prefetch <= 4,
        f"worker_prefetch_multiplier is {prefetch}.",
        "Tasks that a worker has prefetched wait for its slots while other workers may be idle, heads of groups too.",
        "Set worker_prefetch_multiplier = 1.",
    )
    yield from _broker(app, gate.settings.lease_ttl)
    ordered = _ordered(app)
    endless = [name for name, task in ordered.items() if not (task.time_limit or app.conf.task_time_limit)]
    yield Check.of(
        "time_limit",
        not endless,
        f"Ordered tasks without a time limit: {', '.join(endless)}." if endless else "All ordered tasks have one.",
        "A task that never ends holds its group, and a slot, for ever: its worker lives, so its lease is renewed.",
        "Set task_time_limit, or time_limit on these tasks. Only prefork and gevent end a run by it.",
    )
    early = [name for name, task in ordered.items() if not task.acks_late]
    yield Check.of(
        "acks_late",
        not early,
        f"Ordered tasks with acks_late = False: {', '.join(early)}." if early else "All ordered tasks have acks_late.",
        "Without it Celery does not run a task again when its process is killed.",
        "Leave acks_late as GroupFifoTask sets it, unless such a task must never run twice.",
    )


def _ordered(app: Celery) -> dict[str, Any]:
    return {name: task for name, task in sorted(app.tasks.items()) if is_ordered_class(type(task))}


def _sends(app: Celery) -> Check:
    """Say which way sends of ordered tasks take; both are right, so it is never a finding."""
    whole, tasks = reasons.of_app(app), {name: reasons.of_task(app, task) for name, task in _ordered(app).items()}
    slow = {name: why for name, why in tasks.items() if why}
    if whole:
        text = f"In this process all sends go Celery's way, which takes longer: {'; '.join(whole)}."
    else:
        text = "In this process sends of ordered tasks are usual: they fill in a template."
    if slow:
        some = [f"{name} ({'; '.join(why)})" for name, why in slow.items()]
        text += f" {count(len(slow), 'task')} would go Celery's way: {named(some)}."
    return Check("sends", True, text)


def _broker(app: Celery, lease: float) -> Iterator[Check]:
    """Yield the findings about a broker on Redis."""
    timeout = float(dict(app.conf.broker_transport_options or {}).get("visibility_timeout", 3600))
    limit = float(app.conf.task_time_limit or 0)
    broker = app.connection_for_write()
    if broker.transport.driver_type != "redis":
        return
    yield Check.of(
        "visibility",
        timeout > max(limit, 2 * lease),
        f"The broker's visibility timeout is {timeout:g} s, the tasks' time limit "
        + (f"{limit:g} s." if limit else "not set."),
        "After it the broker delivers again what is not acknowledged: of ordered tasks a stale ticket, no more, "
        "but of plain tasks with acks_late a second run.",
        "Set broker_transport_options = {'visibility_timeout': …} above the longest task.",
    )
    patience = connection_options(broker).get("socket_timeout")
    yield Check.of(
        "socket_timeout",
        bool(patience),
        f"The broker's socket_timeout is {patience:g} s." if patience else "The broker's connections have no time-out.",
        "When a connection goes dead without being closed, Celery's main loop waits for an answer on it: the worker "
        "takes no task, and SIGTERM does not end it.",
        "Set broker_transport_options = {'socket_timeout': 10}.",
    )


def _way(app: Celery, server: RedisServer) -> Iterator[Check]:
    """Yield the findings about the connection to the gate."""
    count = 1 + len(server.others)
    yield Check.of(
        "addresses",
        count == 1,
        f"The broker's URL is a list of {count} servers, and the gate is at the one that works."
        if count > 1
        else "The gate has one address, or sentinels or nodes of a cluster that name it.",
        "Unless they hold the same data, each of them is a gate of its own: after a failover tasks of a group wait at "
        "both, and processes that disagree about it run them at the same time.",
        "Use sentinels or an address that moves, or set groupfifo_url to one of them.",
        unsafe=True,
    )
    broker = app.connection_for_write()
    plain = bool(broker.ssl) and not server.is_private
    yield Check.of(
        "encryption",
        not plain,
        "The broker is reached by TLS, and the gate is not."
        if plain
        else f"The gate is reached {'by TLS or a socket' if server.is_private else 'without TLS, as the broker is'}.",
        "Messages and the gate's password go over the network as they are: broker_use_ssl does not count for a "
        "groupfifo_url that leads to another server.",
        "Use rediss:// in groupfifo_url, with ssl_cert_reqs and ssl_ca_certs in its query.",
        unsafe=True,
    )


__all__ = ["doctor", "queues_with_heads", "unsafe_findings"]
