"""The search for tasks at the gate, and for the tasks in line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from celery import Celery, states

from celery_groupfifo.gate.keys import Keys, due_ms, entry_names, quote, task_of, unquote
from celery_groupfifo.gate.records import Flight, StoredEntry
from celery_groupfifo.groups import content
from celery_groupfifo.groups.reader import STATES_IN_FLIGHT, Reader, running_of
from celery_groupfifo.groups.view import Found, Group, Parked, moment

logger = logging.getLogger(__name__)


def find(reader: Reader, task_id: str) -> Found | None:
    """Find a task, see `Groups.find`."""
    return next(find_all(reader, task_id), None)


def find_all(reader: Reader, task_id: str) -> Iterator[Found]:
    """Yield each entry of a task at the gate: its run, and its continuation under the same id with another key."""
    names = entry_names(task_id)
    for keys in reader.partitions:

        def build(pipe: Any, keys: Keys = keys) -> None:
            pipe.hmget(keys.entries, names).hmget(keys.flight, names)
            pipe.zmscore(keys.due, [f"{kind} {name}" for name in names for kind in "lh"])

        texts, records, times = reader.ask("find", build)
        for at, (name, text, record) in enumerate(zip(names, texts, records, strict=True)):
            if text is not None:
                yield _found(reader, keys, name, text, Flight.parse(name, record), *times[2 * at : 2 * at + 2])


def _found(
    reader: Reader, keys: Keys, id: str, text: bytes, flight: Flight | None, lease: float | None, hold: float | None
) -> Found:
    entry, where = content.read(text), StoredEntry.parse(text)
    group = flight.group if flight else where.group if where else quote("")
    task = entry.task if entry else ""
    state, place, due, run = STATES_IN_FLIGHT[flight.state] if flight else "parked", None, hold, None
    if flight is not None and flight.stop == "b":
        state = "blocked"
    if flight is not None and flight.state == "running":
        run = running_of(flight, {f"l {id}": lease}, {id: task}, reader.now())
    elif flight is None:
        due = reader.one("zscore", keys.due, f"e {group} {id}")
        place = reader.place(keys, group, where.us, id) if where and due is None else None
        state = "scheduled" if place is None and due is not None else "parked"
    return Found(
        task_id=task_of(id),
        key=unquote(group),
        state=state,
        task=task,
        place=place,
        parked_at=moment(int(where.us) / 1000) if where else None,
        due=None if due is None else moment(due_ms(due)),
        running=run,
    )


def tasks_in_line(reader: Reader, key: str, limit: int, offset: int) -> list[Parked]:
    """Return the tasks in line, see `Groups.tasks`."""
    group = quote(key)
    keys = reader.gate.keyspace.of_group(group)
    found = []
    for place in reader.line(keys, group, offset, limit):
        entry = content.read(place.text)
        found.append(
            Parked(
                task_id=task_of(place.id),
                task=entry.task if entry else "",
                args=entry.args if entry else "",
                kwargs=entry.kwargs if entry else "",
                place=place.number,
                parked_at=moment(int(place.us) / 1000),
                retries=entry.retries if entry else 0,
            )
        )
    return found


def with_error(app: Celery, group: Group) -> Group:
    """Return the group with the error of its held head's last run, if the result backend has it."""
    if group.head is None or group.due is None:
        return group
    try:
        meta = app.backend.get_task_meta(group.head)
    except Exception as error:  # any backend may raise anything, and its answer is optional
        logger.debug("The result backend has no answer about task %s: %r", group.head, error)
        return group
    result = meta.get("result")
    if meta.get("status") != states.RETRY or not isinstance(result, BaseException):
        return group
    return replace(group, last_error=f"{type(result).__name__}: {result}")
