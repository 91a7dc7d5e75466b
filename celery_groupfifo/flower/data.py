"""The data of pages and API, as JSON values. Every function here asks the gate, so it runs in a thread of the board."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest, nsmallest
from time import time
from typing import Any

from celery_groupfifo.errors import UnknownGroup
from celery_groupfifo.flower.board import Board
from celery_groupfifo.flower.index import ORDERS, Row
from celery_groupfifo.flower.letters import shown
from celery_groupfifo.flower.outcome_counts import outcome_counts
from celery_groupfifo.gate.keys import quote, task_of
from celery_groupfifo.groups import Group, content
from celery_groupfifo.groups.find import traceback_of
from celery_groupfifo.groups.leases import Holder, read_holders
from celery_groupfifo.groups.orders import order_values
from celery_groupfifo.groups.view import Running, moment, plain

#: Leases that the workers' page shows at most.
LEASES = 500

#: The columns that a table can be sorted by.
SORTS = (*ORDERS, "succeeded", "failed")


def groups(
    board: Board, search: str, state: str, sort: str, descending: bool, offset: int, limit: int, wait: bool = True
) -> dict[str, Any]:
    """Return a page of groups; without `wait`, the first one of many comes before the index of all is read.

    Returns:
        `groups`, and counts of the whole selection: `total` and `matched` groups, the `depth` of these, and how many
        of their tasks are `running`.
    """
    deepest = (search, state, sort, descending, offset) == ("", "", "depth", True, 0)
    if deepest and not wait and board.index_takes_long():
        return _deepest(board, limit)
    rows = board.select(search, state)
    first = (nlargest if descending else nsmallest)(offset + limit, rows, _order(sort))  # keeps the order of equal ones
    return {
        "groups": [_row(group) for group in _read(board, first[offset:])],
        "total": len(board.index().rows) if search or state else len(rows),
        "matched": len(rows),
        "depth": sum(row.depth for row in rows),
        "running": sum(len(row.running) for row in rows),
    }


def observed(board: Board, limit: int) -> dict[str, Any]:
    """Return what observe mode has counted, of all groups and of those with the most breaches; see `Groups.report`."""
    return {"report": plain(board.groups.report(limit))}


def _deepest(board: Board, limit: int) -> dict[str, Any]:
    """Return the first page of the deepest groups: it needs less of each than the index, whose reading begins later."""
    found, counts = board.groups.list(limit=max(limit, 1)), board.groups.stats()
    return {
        "groups": [_row(group) for group in found[:limit]],
        "total": counts.groups,
        "matched": counts.groups,
        "depth": counts.depth,
        "running": counts.running,
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


def summary(board: Board, wait: bool = True) -> dict[str, Any]:
    """Return the numbers of the cards, and the warnings; without `wait`, `states` are None until groups are counted."""
    index = board.index() if wait else board.index_soon()
    fleet, counts = board.fleet_known, board.groups.stats()
    return {
        "groups": len(index.rows) if index else counts.groups,
        "states": index.states if index else None,
        "running": index.running if index else counts.running,
        "parked": max(index.tasks - index.in_flight, 0) if index else counts.parked,
        "oldest_age": index.oldest if index else None,
        "dead_letters": counts.dead_letters,
        "throughput": board.throughput(),
        "unconsumed_queues": fleet["unconsumed_queues"] if fleet else [],
        "workers": len(fleet["queues"]) if fleet and not fleet["error"] else None,
    }


def blocked(board: Board) -> dict[str, Any]:
    """Return the number of `blocked` groups."""
    return {"blocked": board.groups.stats().blocked_groups}


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
        "dead_letters": [shown(letter) for letter in letters],
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
    keys = board.groups.gate.home(quote(key))
    found = board.reader.entry(keys, quote(key), task_id)
    entry = content.read(found[1]) if found else None
    if entry is None:
        return {"args": "", "kwargs": "", "attempt": None}
    return {"task": entry.task, "args": entry.args, "kwargs": entry.kwargs, "attempt": entry.retries + 1}


def _head(board: Board, found: Group | None) -> dict[str, Any] | None:
    """Return the head when it does not run: released, held, or first in line."""
    if found is None or found.head is None or found.running:
        return None
    failed = found.state == "blocked"
    traceback = traceback_of(board.app, found.head) if failed else ""
    return {
        "task_id": found.head,
        "due": plain(found.due),
        "traceback": traceback,
        **_message(board, found.key, found.head),
    }


def _scheduled(board: Board, key: str) -> list[dict[str, Any]]:
    """Return the scheduled tasks of a group, see `Reader.scheduled`."""
    keys = board.groups.gate.home(quote(key))
    found = dict(board.reader.scheduled(keys, quote(key)))
    values = order_values(board.reader, keys, list(found))
    return [
        {"task_id": task_of(name), "due": plain(moment(ms)), "order_value": value}
        for (name, ms), value in zip(found.items(), values, strict=True)
    ]


# -- other pages -----------------------------------------------------------


def actions(board: Board, limit: int) -> dict[str, Any]:
    """Return the actions of operators, newest first."""
    return {"actions": plain(board.groups.actions(limit))}


def workers(board: Board) -> dict[str, Any]:
    """Return `workers` with their queues and leases, `unconsumed_queues`, and the `error` when none could be asked.

    A worker that does not answer is there as long as it has a lease: until its groups move on. So is an earlier life
    of one that answers. Each of `leases` has the fields of `Lease`: the first `LEASES` ones, in the order of their
    ends.
    """
    fleet = board.fleet()
    holders = {str(holder.owner): holder for holder in read_holders(board.reader)}
    owners = [fleet["owners"].get(name, name) for name in fleet["queues"]]
    found = [
        _worker(name, True, queues, holders.get(owner))
        for owner, (name, queues) in zip(owners, fleet["queues"].items(), strict=True)
    ]
    silent = None if fleet["error"] else False
    found += [_worker(holder.worker, silent, [], holder) for owner, holder in holders.items() if owner not in owners]
    leases = [lease for holder in holders.values() for lease in holder.leases]
    return {
        "workers": plain(sorted(found, key=lambda worker: (str(worker["name"]), not worker["answers"]))),
        "leases": plain(nsmallest(LEASES, leases, key=lambda lease: lease.lease_left)),
        "total": len(leases),
        "unconsumed_queues": fleet["unconsumed_queues"],
        "error": fleet["error"],
    }


def _worker(name: str, answers: bool | None, queues: list[str], holder: Holder | None) -> dict[str, Any]:
    return {
        "name": name,
        "answers": answers,
        "queues": queues,
        "leases": len(holder.leases) if holder else 0,
        "lease_left": holder.lease_left if holder else None,
        "renewed": holder.renewed if holder else None,
    }
