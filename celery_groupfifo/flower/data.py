"""The data of pages and API, as JSON values. Every function here asks the gate, so it runs in a thread of the board."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest, nsmallest
from time import time
from typing import Any

from celery_groupfifo.errors import UnknownGroup
from celery_groupfifo.flower.board import Board
from celery_groupfifo.flower.index import ORDERS, Row
from celery_groupfifo.flower.outcome_counts import outcome_counts
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.records import Flight
from celery_groupfifo.groups import Group, content
from celery_groupfifo.groups.view import Running, moment, plain

#: Leases that the workers' page shows at most.
LEASES = 500

#: The columns that a table can be sorted by.
SORTS = (*ORDERS, "succeeded", "failed")


def groups(
    board: Board, search: str, state: str, sort: str, descending: bool, offset: int, limit: int
) -> dict[str, Any]:
    """Return a page of groups.

    Returns:
        `groups`, and counts of the whole selection: `total` and `matched` groups, the `depth` of these, and how many
        of their tasks are `running`.
    """
    index = board.index()
    rows = index.select(search, state)
    first = (nlargest if descending else nsmallest)(offset + limit, rows, _order(sort))  # keeps the order of equal ones
    return {
        "groups": [_row(group) for group in _read(board, first[offset:])],
        "total": len(index.rows),
        "matched": len(rows),
        "depth": sum(row.depth for row in rows),
        "running": sum(len(row.running) for row in rows),
    }


def _order(sort: str) -> Any:
    if sort == "succeeded":
        return lambda row: outcome_counts.of(row.key).succeeded
    if sort == "failed":
        return lambda row: outcome_counts.of(row.key).failed
    return ORDERS[sort]


def _read(board: Board, rows: list[Row]) -> Iterable[Group]:
    """Return the groups of some rows as they are now, in the order of the rows, without those that ended meanwhile."""
    found = {}
    for at, keys in enumerate(board.reader.partitions):
        for group in board.reader.groups(keys, [row.name for row in rows if row.at == at]):
            found[group.key] = group
    return (found[row.key] for row in rows if row.key in found)


def _row(group: Group) -> dict[str, Any]:
    counts = outcome_counts.of(group.key)
    return {**plain(group), "succeeded": counts.succeeded, "failed": counts.failed}


def summary(board: Board) -> dict[str, Any]:
    """Return the numbers of the cards, and the warnings."""
    index = board.index()
    fleet = board.fleet_known
    return {
        "groups": len(index.rows),
        "states": index.states,
        "running": index.running,
        "parked": max(index.tasks - index.in_flight, 0),
        "oldest_age": index.oldest,
        "dead_letters": int(board.groups.stats()["dead_letters"]),
        "throughput": board.throughput(),
        "unconsumed_queues": fleet["unconsumed_queues"] if fleet else [],
        "workers": len(fleet["queues"]) if fleet else None,
    }


# -- one group -------------------------------------------------------------


def group(board: Board, key: str, limit: int = 50, offset: int = 0, ask_workers: bool = False) -> dict[str, Any]:
    """Return the data of one group; `group` is None when it is empty."""
    try:
        found: Group | None = board.groups.get(key)
    except UnknownGroup:
        found = None
    counts = outcome_counts.of(key)
    letters = board.groups.dead_letters(key, 20)
    actions = [action for action in board.groups.actions(1000) if key in (action.key, action.more.get("to"))]
    return {
        "key": key,
        "sentence": board.groups.explain(key, ask_workers),
        "group": None if found is None else plain(found),
        "running": [_run(board, key, run) for run in found.running] if found else [],
        "head": _head(board, found),
        "tasks": tasks(board, key, limit, offset)["tasks"] if found else [],
        "scheduled": _scheduled(board, key) if found else [],
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "failures": [
            {"task_id": each.task_id, "task": each.task, "worker": each.worker, "when": each.when}
            for each in counts.failures
        ],
        "dead_letters": plain(letters),
        "actions": plain(actions[:50]),
    }


def tasks(board: Board, key: str, limit: int, offset: int) -> dict[str, Any]:
    """Return tasks in line, from a place on."""
    now = board.reader.now() / 1000
    parked = board.groups.tasks(key, limit, offset)
    return {"tasks": [{**plain(task), "age": max(now - task.parked_at.timestamp(), 0)} for task in parked]}


def _run(board: Board, key: str, run: Running) -> dict[str, Any]:
    """Return a run, with data from its message's headers; the body is never read."""
    return {**plain(run), "seconds": max(time() - run.since.timestamp(), 0), **_message(board, key, run.task_id)}


def _message(board: Board, key: str, task_id: str) -> dict[str, Any]:
    keys = board.groups.gate.keyspace.of_group(quote(key))
    found = board.reader.entry(keys, quote(key), task_id)
    entry = content.read(found[1]) if found else None
    if entry is None:
        return {"args": "", "kwargs": "", "attempt": None}
    return {"task": entry.task, "args": entry.args, "kwargs": entry.kwargs, "attempt": entry.retries + 1}


def _head(board: Board, found: Group | None) -> dict[str, Any] | None:
    """Return the head when it does not run: released, held, or first in line."""
    if found is None or found.head is None or found.running:
        return None
    return {"task_id": found.head, "due": plain(found.due), **_message(board, found.key, found.head)}


def _scheduled(board: Board, key: str) -> list[dict[str, Any]]:
    """Return the scheduled tasks of a group, see `Reader.scheduled`."""
    found = board.reader.scheduled(board.groups.gate.keyspace.of_group(quote(key)), quote(key))
    return [{"task_id": task_id, "due": plain(moment(ms))} for task_id, ms in found]


# -- other pages -----------------------------------------------------------


def dead_letters(board: Board, key: str, limit: int) -> dict[str, Any]:
    """Return dead letters, newest first, and their total number."""
    found = board.groups.dead_letters(key or None, limit)
    return {"dead_letters": plain(found), "total": int(board.groups.stats()["dead_letters"])}


def actions(board: Board, limit: int) -> dict[str, Any]:
    """Return the actions of operators, newest first."""
    return {"actions": plain(board.groups.actions(limit))}


def workers(board: Board) -> dict[str, Any]:
    """Return `workers` with their queues and leases, and `unconsumed_queues`.

    Workers that only hold leases, without an answer, are included. Each of `leases` has `key`, `task_id`, `worker`,
    `fence`, `since` and `lease_left` in seconds: the first `LEASES` ones, in the order of their ends.
    """
    fleet, index = board.fleet(), board.index()
    runs = [(row, flight) for row in index.rows for flight in row.running]
    found: dict[str, dict[str, Any]] = {
        name: {"name": name, "answers": True, "queues": queues, "leases": 0, "lease_left": None}
        for name, queues in fleet["queues"].items()
    }
    leases = sorted(_leases(board, runs, index.now), key=lambda lease: float(lease["lease_left"]))
    for lease in leases:
        name = lease["worker"]
        blank = {"name": name, "answers": False, "queues": [], "leases": 0, "lease_left": None}
        worker = found.setdefault(name, blank)
        worker["leases"] += 1
        if worker["lease_left"] is None:
            worker["lease_left"] = lease["lease_left"]
    return {
        "workers": sorted(found.values(), key=lambda worker: str(worker["name"])),
        "leases": leases[:LEASES],
        "total": len(leases),
        "unconsumed_queues": fleet["unconsumed_queues"],
    }


def _leases(board: Board, runs: list[tuple[Row, Flight]], now: float) -> list[dict[str, Any]]:
    leases = []
    for at, keys in enumerate(board.reader.partitions):
        mine = [(row, flight) for row, flight in runs if row.at == at]
        ends = board.reader.many("zmscore", keys.due, [f"l {flight.id}" for _, flight in mine])
        for (row, flight), end in zip(mine, ends, strict=True):
            leases.append(
                {
                    "key": row.key,
                    "task_id": flight.task_id,
                    "worker": flight.worker,
                    "fence": flight.fence,
                    "since": plain(moment(flight.since)),
                    "lease_left": ((end or now) - now) / 1000,
                }
            )
    return leases
