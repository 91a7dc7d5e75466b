"""The checks of the workers that answer, for doctor.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery import Celery
from celery.utils.serialization import jsonify
from kombu.utils.encoding import safe_repr

from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Check
from celery_groupfifo.groups.workers import Workers

#: Settings that must be equal in all processes of an app.
SHARED = (
    "groupfifo_namespace",
    "groupfifo_partitions",
    "groupfifo_url",
    "groupfifo_lease_ttl",
    "broker_url",
    "timezone",
)


def check_workers(app: Celery, reader: Reader) -> Iterator[Check]:
    """Yield every check of the workers."""
    workers = Workers(app)
    queues = workers.queues()
    yield Check.of(
        "workers",
        bool(queues),
        f"Workers that answer: {len(queues)}." if queues else "No worker answers.",
        "No worker takes tasks, releases held ones, or takes back the tasks of lost workers.",
        "Start a worker, or check that workers and this command use the same broker.",
    )
    consumed = {queue for names in queues.values() for queue in names}
    idle = sorted(queues_with_heads(app, reader) - consumed)
    yield Check.of(
        "consumers",
        not idle,
        f"Heads wait in queues that no answering worker consumes: {', '.join(idle)}."
        if idle
        else "Every queue with heads has a consumer.",
        "Groups whose head is in such a queue stand still.",
        "Start a worker with -Q for them, or route the tasks to a queue that is consumed.",
    )
    yield from check_package(app, reader, workers, queues)
    if queues:
        yield _settings(app, workers)


def queues_with_heads(app: Celery, reader: Reader) -> set[str]:
    """Return the queues that hold released heads, as the workers name them."""
    heads = (head for keys in reader.partitions for head in reader.gate.every_head(keys))
    return {reader.queue_name(app, head.queue) for head in heads}


def check_package(app: Celery, reader: Reader, workers: Workers, queues: dict[str, list[str]]) -> Iterator[Check]:
    """Check that every worker that gets tickets knows them, and has told the gate all of its ends.

    Only workers that consume a queue with tickets, now or before, are asked: others need not have the package.
    """
    begun = (name.decode() for keys in reader.partitions for name in reader.one("hkeys", keys.begins))
    ordered = queues_with_heads(app, reader) | {reader.queue_name(app, name) for name in begun}
    asked = sorted(worker for worker, names in queues.items() if ordered & set(names))
    answers = workers.refused(asked)
    plain = workers.unaware(answers)
    yield Check.of(
        "package",
        not plain,
        f"Workers that consume queues of ordered tasks and do not know celery-groupfifo: {', '.join(plain)}."
        if plain
        else f"Workers that consume queues of ordered tasks: {len(asked)}; all that answer know celery-groupfifo.",
        "Such a worker runs tickets as plain tasks: out of order, and without telling the gate.",
        "Install celery-groupfifo there, let its app use GroupFifoTask or GroupFifo(app), and restart it.",
        unsafe=True,
    )
    refused = {worker: _count(answer) for worker, answer in answers.items() if _count(answer)}
    yield Check.of(
        "refused",
        not refused,
        "Calls to the gate that failed and are repeated: "
        + (", ".join(f"{count} on {worker}" for worker, count in sorted(refused.items())) or "nothing")
        + ".",
        "Their groups stand still until the gate has taken the call, or the lease is over.",
        "Check the network from these workers to the gate's Redis, and its log. The workers try again by themselves.",
    )


def _count(answer: Any) -> int:
    return len(answer.get("calls") or ()) if isinstance(answer, dict) else 0


def _settings(app: Celery, workers: Workers) -> Check:
    answers = workers.ask(lambda inspect: inspect.conf(with_defaults=True))
    # The same conversion as in a worker's answer, see celery.worker.control.conf.
    mine = jsonify(app.conf.table(with_defaults=True), unknown_type_filter=safe_repr)
    tables = [mine, *(table for table in answers.values() if "error" not in table)]
    differing = [name for name in SHARED if len({repr(table.get(name)) for table in tables}) > 1]
    return Check.of(
        "settings",
        not differing,
        f"The workers and this process differ in: {', '.join(differing)}."
        if differing
        else "The workers and this process have the same settings.",
        "Processes of one app that see different gates, or measure leases differently, do not recognise each other.",
        "Give all of them the same configuration.",
        unsafe=True,
    )
