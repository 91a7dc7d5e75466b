"""Looks at what is around the gate: the server, the broker, the app's settings and the workers that answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from celery import Celery
from redis.exceptions import RedisError

from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Check
from celery_groupfifo.groups.workers import Workers
from celery_groupfifo.keys import unquote
from celery_groupfifo.release import ELSEWHERE
from celery_groupfifo.store import LEAST_VERSION

#: Share of `maxmemory` from which on it is time to act.
FULL = 0.8
#: Seconds that a clock may differ.
SKEW = 2.0
#: Settings that all workers of an app should have in common.
SHARED = (
    "groupfifo_namespace",
    "groupfifo_partitions",
    "groupfifo_url",
    "groupfifo_lease_ttl",
    "broker_url",
    "timezone",
)


def doctor(app: Celery, reader: Reader) -> list[Check]:
    """See `Groups.doctor`."""
    info: dict[str, Any] = reader.one("info")
    checks = [*_server(info), *_persistence(reader, info), _clock(reader), *_app(app, reader)]
    return [*checks, *_fleet(app, reader)]


def _check(name: str, ok: bool, what: str, why: str, remedy: str) -> Check:
    return Check(name, ok, what) if ok else Check(name, ok, what, why, remedy)


# -- the server ------------------------------------------------------------


def _server(info: dict[str, Any]) -> Iterator[Check]:
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    yield _check(
        "version",
        numbers >= LEAST_VERSION,
        f"The gate's server is {name} {version}.",
        "The gate's scripts use commands that came with Redis 6.2.",
        "Update the server to Redis 6.2 or Valkey 7.2, or newer.",
    )
    most, used = int(info.get("maxmemory") or 0), int(info.get("used_memory") or 0)
    policy = str(info.get("maxmemory_policy") or "unknown")
    yield _check(
        "eviction",
        not most or policy == "noeviction",
        f"The eviction policy is {policy}"
        + (f", with maxmemory {most // 2**20} MB." if most else ", without a limit."),
        "When memory is short, the server would delete keys of the gate: tasks would be lost, and groups stand still.",
        "Set maxmemory-policy noeviction, or give the gate a server of its own (groupfifo_url).",
    )
    yield _check(
        "memory",
        not most or used < FULL * most,
        f"{used // 2**20} MB are used" + (f" of {most // 2**20} MB." if most else "."),
        "A full server refuses new tasks.",
        "Raise maxmemory, or find what fills it: `groupfifo list` shows the deepest groups first.",
    )
    role = str(info.get("role") or "master")
    yield _check(
        "role",
        role == "master",
        f"The server's role is {role}.",
        "A replica refuses writes.",
        "Point groupfifo_url (or the broker URL) to the primary.",
    )


def _persistence(reader: Reader, info: dict[str, Any]) -> Iterator[Check]:
    if int(info.get("aof_enabled") or 0):
        yield Check("persistence", True, "The append-only file is on.")
        return
    try:
        save = str(reader.gate.store.client.config_get("save").get("save", ""))
    except RedisError:  # many hosted servers forbid CONFIG
        save = "unknown"
    saved = f"snapshots only (save {save})" if save else "neither the append-only file nor snapshots"
    yield Check(
        "persistence",
        False,
        f"The server keeps {saved}.",
        "The gate is the source of truth: when the server restarts, tasks that were parked since the last snapshot "
        "are lost, with everything else it holds.",
        "Set appendonly yes with appendfsync everysec.",
    )


def _clock(reader: Reader) -> Check:
    before = time.time()
    theirs = reader.now() / 1000
    skew = theirs - (before + time.time()) / 2
    return _check(
        "clock",
        abs(skew) < SKEW,
        f"The clocks of this machine and of the server differ by {abs(skew):.1f} s.",
        "The order of groups takes no clock, but an ETA is turned into a delay by the sender's.",
        "Let both keep their time by NTP.",
    )


# -- the app ---------------------------------------------------------------


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
    prefetch = int(app.conf.worker_prefetch_multiplier)
    yield _check(
        "prefetch",
        0 < prefetch <= 4,
        f"worker_prefetch_multiplier is {prefetch}.",
        "What a worker has prefetched waits for its slots, while others may be idle; the heads of groups too.",
        "Set worker_prefetch_multiplier = 1.",
    )
    timeout = float(dict(app.conf.broker_transport_options or {}).get("visibility_timeout", 3600))
    limit = float(app.conf.task_time_limit or 0)
    if app.connection_for_write().transport.driver_type == "redis":
        yield _check(
            "visibility",
            timeout > max(limit, 2 * gate.settings.lease_ttl),
            f"The broker's visibility timeout is {timeout:g} s, the tasks' time limit "
            + (f"{limit:g} s." if limit else "not set."),
            "After it the broker delivers again what is not acknowledged: of ordered tasks a stale ticket, no more, "
            "but of plain tasks with acks_late a second run.",
            "Set broker_transport_options = {'visibility_timeout': …} above the longest task.",
        )
    early = sorted(name for name, task in app.tasks.items() if getattr(task, "ordered", False) and not task.acks_late)
    yield _check(
        "acks_late",
        not early,
        f"Ordered tasks with acks_late = False: {', '.join(early)}." if early else "All ordered tasks have acks_late.",
        "Without it Celery does not run a task again when its process is killed.",
        "Leave acks_late as GroupFifoTask sets it, unless such a task must never run twice.",
    )


# -- the workers -----------------------------------------------------------


def _fleet(app: Celery, reader: Reader) -> Iterator[Check]:
    workers = Workers(app)
    queues = workers.queues()
    yield _check(
        "workers",
        bool(queues),
        f"Workers that answer: {len(queues)}." if queues else "No worker answers.",
        "Nobody takes tasks, ends holds or takes back what lost workers had.",
        "Start a worker, or look whether workers and this command share the broker.",
    )
    consumed = {queue for names in queues.values() for queue in names}
    idle = sorted(queue for queue in _queues_with_heads(app, reader) if queue not in consumed)
    yield _check(
        "consumers",
        not idle,
        f"Heads wait in queues that no answering worker consumes: {', '.join(idle)}."
        if idle
        else "Every queue with heads has a consumer.",
        "Groups whose head is in such a queue stand still.",
        "Start a worker with -Q for them, or route the tasks to a queue that is consumed.",
    )
    if queues:
        yield _hearts(reader, len(queues))
        yield _settings(workers)


def _queues_with_heads(app: Celery, reader: Reader) -> set[str]:
    separator = dict(app.conf.broker_transport_options or {}).get("sep", "\x06\x16")
    found = set()
    for keys in reader.partitions:
        for name, _ in reader.gate.store.rung_queues(keys):
            prefix = "" if name.startswith(ELSEWHERE) else reader.gate.server.prefix
            found.add(unquote(name.removeprefix(ELSEWHERE)).removeprefix(prefix).split(separator)[0])
    return found


def _hearts(reader: Reader, workers: int) -> Check:
    """Each worker with the package has a connection of its heartbeat to the gate."""
    try:
        clients = reader.gate.store.client.client_list()
    except RedisError:
        return Check("package", True, "The server does not tell who is connected: not looked at.")
    hearts = sum(client.get("name") == "groupfifo-heart" for client in clients)
    return _check(
        "package",
        hearts >= workers,
        f"Workers that answer: {workers}; connections of their heartbeats to the gate: {hearts}.",
        "A worker without the package runs tickets as plain tasks: out of order, and without telling the gate.",
        "Install celery-groupfifo where every worker runs, let its app import it, and give all the same gate.",
    )


def _settings(workers: Workers) -> Check:
    answers = workers.ask(lambda inspect: inspect.conf(with_defaults=True))
    differing = []
    for name in SHARED:
        values = {repr(conf.get(name)) for conf in answers.values()}
        if len(values) > 1:
            differing.append(name)
    return _check(
        "settings",
        not differing,
        f"Workers differ in: {', '.join(differing)}." if differing else "The workers' settings agree.",
        "Workers of one app that see different gates, or measure leases differently, do not recognise each other.",
        "Give all workers the same configuration.",
    )
