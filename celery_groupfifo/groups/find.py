"""The search for tasks at the gate, and for the tasks in line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from celery import Celery, states

from celery_groupfifo.gate.keys import Keys, entry_names, quote, task_of, unquote
from celery_groupfifo.gate.records import Flight, StoredEntry
from celery_groupfifo.groups import content
from celery_groupfifo.groups.identities import dedup_key_of
from celery_groupfifo.groups.leases import members_of
from celery_groupfifo.groups.orders import order_values
from celery_groupfifo.groups.reader import STATES_IN_FLIGHT, Reader, hold_of, running_of
from celery_groupfifo.groups.several import task_texts
from celery_groupfifo.groups.view import DeadLetter, Found, Group, Parked, TaskState, moment
from celery_groupfifo.printing import escaping

logger = escaping(logging.getLogger(__name__))


def find(reader: Reader, task_id: str) -> Found | None:
    """Find a task, see `Groups.find`."""
    return next(find_all(reader, task_id), None)


def found_dead(letter: DeadLetter | None) -> Found | None:
    """Return a task that was set aside; None without a letter."""
    if letter is None:
        return None
    return Found(
        task_id=letter.id,
        key=letter.key,
        state="dead_letter",
        task=letter.task,
        place=None,
        parked_at=None,
        dead_letter=letter,
        args=letter.args,
        kwargs=letter.kwargs,
        traceback=letter.traceback,
    )


def find_all(reader: Reader, task_id: str) -> Iterator[Found]:
    """Yield each entry of a task at the gate: its run, and its continuation under the same id with another key."""
    names = entry_names(task_id)
    for keys in reader.partitions:
        texts = zip(names, reader.texts(keys, names), strict=True)
        known = {name: (text, StoredEntry.parse(text)) for name, text in texts if text is not None}
        groups = reader.stored_groups(keys, {entry.group for _, entry in known.values() if entry})
        for name, (text, where) in known.items():
            flights = groups[where.group].flights if where else ()
            yield _found(reader, keys, name, text, next((flight for flight in flights if flight.id == name), None))


def _found(reader: Reader, keys: Keys, id: str, text: bytes, flight: Flight | None) -> Found:
    entry, where = content.read(text), StoredEntry.parse(text)
    group = where.group if where else quote("")
    task = entry.task if entry else ""
    state: TaskState = STATES_IN_FLIGHT[flight.state] if flight else "parked"
    place, run = None, None
    if flight is not None and flight.stop == "b":
        state = "blocked"
    runs = flight is not None and flight.state == "running"
    member = f"e {group} {id}" if flight is None else hold_of(flight)
    due = reader.due(keys, members_of(flight) if flight and runs else [member])
    if flight is None:
        place = reader.place(keys, group, where.us, id) if where and not due else None
        state = "scheduled" if place is None and due else "parked"
    elif runs:
        run, due = running_of(flight, due, {id: task}, reader.now()), {}
    return Found(
        task_id=task_of(id),
        key=unquote(group),
        state=state,
        task=task,
        place=place,
        parked_at=moment(int(where.us) / 1000) if where else None,
        due=moment(due[member]) if due else None,
        running=run,
        args=entry.args if entry else "",
        kwargs=entry.kwargs if entry else "",
        order_value=order_values(reader, keys, [id])[0] if state == "scheduled" else None,
        dedup_key=dedup_key_of(reader, keys, id),
    )


def tasks_in_line(reader: Reader, key: str, limit: int, offset: int) -> list[Parked]:
    """Return the tasks in line, see `Groups.tasks`."""
    group = quote(key)
    keys = reader.gate.home(group)
    found = []
    places = list(reader.line(keys, group, offset, limit))
    for place, text in zip(places, task_texts(reader, keys, places), strict=True):
        entry = content.read(text)
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
    meta = _meta(app, group.head)
    result = meta.get("result")
    if meta.get("status") != states.RETRY or not isinstance(result, BaseException):
        return group
    return replace(group, last_error=f"{type(result).__name__}: {result}")


def with_traceback(app: Celery, found: Found) -> Found:
    """Return the task with the traceback of the failure by which it blocks its group, if the result backend has it."""
    return replace(found, traceback=traceback_of(app, found.task_id)) if found.state == "blocked" else found


def traceback_of(app: Celery, task_id: str) -> str:
    """Return the traceback of a failed task, if the result backend has it."""
    return str(_meta(app, task_id).get("traceback") or "")


def _meta(app: Celery, task_id: str) -> dict[str, Any]:
    """Return what the result backend knows of a task; empty when it does not answer."""
    try:
        return dict(app.backend.get_task_meta(task_id))
    except Exception as error:  # any backend may raise anything, and its answer is optional
        logger.debug("The result backend has no answer about task %s: %r", task_id, error)
        return {}
