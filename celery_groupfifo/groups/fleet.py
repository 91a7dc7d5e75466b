"""The workers that answer, and those that do not: their list, and the checks of them for doctor.py and status.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from celery import Celery

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.common import common_settings, is_same
from celery_groupfifo.groups.leases import read_holders, said_of, silent
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Check, Worker
from celery_groupfifo.groups.workers import Workers, pool_of
from celery_groupfifo.worker.inspect import STATS

#: Fields of a hash that are read at a time.
CHUNK = 500

Stats = Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The answers of the workers.

    Attributes:
        queues: The queues of each.
        stats: Celery's statistics of each.
        error: The reason why they could not be asked; empty: they were.
    """

    queues: dict[str, list[str]]
    stats: Stats
    error: str


def ask_fleet(app: Celery) -> Fleet:
    """Ask the workers for their queues and statistics."""
    workers = Workers(app)
    queues = workers.queues()
    stats = {} if workers.error else workers.stats()
    return Fleet(queues, stats, workers.error)


def check_workers(app: Celery, reader: Reader) -> Iterator[Check]:
    """Yield every check of the workers."""
    fleet = ask_fleet(app)
    yield from check_presence(app, reader, fleet)
    if not fleet.error:
        yield from _package(app, reader, fleet)
        if any(STATS in answer for answer in fleet.stats.values()):
            yield _settings(app, reader, fleet.stats)


def check_presence(app: Celery, reader: Reader, fleet: Fleet) -> Iterator[Check]:
    """Yield the checks of who answers, who consumes queues, and who holds leases."""
    if fleet.error:
        yield Check(
            "workers",
            False,
            f"The workers could not be asked: {fleet.error}.",
            "Nothing is known of the workers and the queues that they consume. They may live all the same.",
            "Make the broker answer this command, and run it again. `doctor` says how full the gate's server is.",
        )
        return
    yield Check.of(
        "workers",
        bool(fleet.queues),
        f"Workers that answer: {len(fleet.queues)}." if fleet.queues else "No worker answers.",
        "No worker takes tasks, releases held ones, or takes back the tasks of lost workers.",
        "Start a worker, or check that workers and this command use the same broker.",
    )
    consumed = {queue for names in fleet.queues.values() for queue in names}
    idle = sorted(queues_with_heads(app, reader) - consumed)
    yield Check.of(
        "consumers",
        not idle,
        f"Heads wait in queues that no answering worker consumes: {', '.join(idle)}."
        if idle
        else "Every queue with heads has a consumer.",
        "Groups whose head is in such a queue stand still.",
        "Start a worker with -Q for them, or route the tasks to a queue that is consumed.",
        found=idle,
    )
    yield _silent(reader, fleet.stats)


def queues_with_heads(app: Celery, reader: Reader) -> set[str]:
    """Return the queues that hold released heads, as the workers name them."""
    heads = (head for keys in reader.partitions for head in reader.gate.every_head(keys))
    return {reader.queue_name(app, head.queue) for head in heads}


def _package(app: Celery, reader: Reader, fleet: Fleet) -> Iterator[Check]:
    """Check that every worker that gets tickets knows them, and has told the gate all of its ends.

    Only workers that consume a queue with tickets, now or before, count: others need not have the package.
    """
    pages = (page for keys in reader.partitions for page in reader.scan("hscan", keys.begins, CHUNK))
    begun = (name for page in pages for name, _ in page if " " not in name)  # others are identities
    ordered = queues_with_heads(app, reader) | {reader.queue_name(app, name) for name in begun}
    asked = sorted(worker for worker, names in fleet.queues.items() if ordered & set(names))
    plain = Workers.unaware(fleet.stats, asked)
    yield Check.of(
        "package",
        not plain,
        f"Workers that consume queues of ordered tasks and do not know celery-groupfifo: {', '.join(plain)}."
        if plain
        else f"Workers that consume queues of ordered tasks: {len(asked)}; all that answer know celery-groupfifo.",
        "Such a worker runs tickets as plain tasks: out of order, and without telling the gate.",
        "Install celery-groupfifo there, let its app use GroupFifoTask or GroupFifo(app), and restart it.",
        unsafe=True,
        found=plain,
    )
    stats = fleet.stats
    refused = {worker: stats[worker][STATS]["refused"] for worker in asked if STATS in stats.get(worker, ())}
    refused = {worker: count for worker, count in refused.items() if count}
    yield Check.of(
        "refused",
        not refused,
        "Calls to the gate that failed and are repeated: "
        + (", ".join(f"{count} on {worker}" for worker, count in sorted(refused.items())) or "nothing")
        + ".",
        "Their groups stand still until the gate has taken the call, or the lease is over.",
        "Check the network from these workers to the gate's Redis, and its log. The workers try again by themselves.",
    )


def _silent(reader: Reader, stats: Stats) -> Check:
    quiet = [holder for holder in silent(read_holders(reader), stats) if holder.leases]
    return Check.of(
        "silent",
        not quiet,
        f"Workers that hold leases and do not answer: {', '.join(map(said_of, quiet))}."
        if quiet
        else "Every worker that holds a lease answers.",
        "Such a worker is frozen, killed, or cut off from the broker; or its pool is solo and runs a task. Until it "
        "lets go of its leases, or they end, its groups stand still.",
        "Look at its process and its log. When it does not renew its leases any more, other workers take its tasks "
        "back as they end; end the process with SIGKILL.",
        found=[each.worker for each in quiet],
    )


def roster(app: Celery, reader: Reader) -> list[Worker]:
    """Return the workers, see `Groups.workers`."""
    fleet = ask_fleet(app)
    held = {holder.owner: holder for holder in read_holders(reader)}
    if fleet.error and not held:
        raise GroupFifoError(f"The workers could not be asked: {fleet.error}.")
    found = []
    for worker in sorted({*fleet.queues, *fleet.stats}):
        stats = fleet.stats.get(worker, {})
        pool, own = stats.get("pool") or {}, stats.get(STATS) or {}
        holder = held.pop(own.get("owner", ""), None)
        found.append(
            Worker(
                worker,
                True,
                STATS in stats or not stats,
                pool=pool_of(stats),
                slots=pool.get("max-concurrency"),
                leases=len(holder.leases) if holder else 0,
                renewed=holder.silent_for if holder else None,
                queues=tuple(sorted(fleet.queues.get(worker, ()))),
                version=str(own.get("version", "")),
            )
        )
    answers = None if fleet.error else False
    others = [Worker(each.worker, answers, leases=len(each.leases), renewed=each.silent_for) for each in held.values()]
    return sorted([*found, *others], key=lambda each: (each.worker, bool(each.answers)))


def _settings(app: Celery, reader: Reader, stats: Stats) -> Check:
    mine = common_settings(app, reader.gate)
    differing = []
    for worker, answer in sorted(stats.items()):
        theirs = answer[STATS]["settings"] if STATS in answer else mine
        differing += [
            f"{name} is {theirs.get(name)!r} on {worker} and {value!r} here"
            for name, value in mine.items()
            if not is_same(name, theirs.get(name), value)
        ]
    return Check.of(
        "settings",
        not differing,
        f"The workers and this process differ: {'; '.join(differing)}."
        if differing
        else "The workers and this process have the same settings.",
        "Processes of one app that see different gates, or measure leases differently, do not recognise each other.",
        "Give all of them the same configuration.",
        unsafe=True,
    )
