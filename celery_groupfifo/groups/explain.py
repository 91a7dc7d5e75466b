"""The explanation of a group in one sentence: why it moves or does not, and when next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from celery import Celery

from celery_groupfifo.gate.keys import Keys, entry_names, quote, unquote
from celery_groupfifo.gate.records import Flight
from celery_groupfifo.gate.releaser import ELSEWHERE
from celery_groupfifo.groups import content
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Group, Running, count
from celery_groupfifo.groups.workers import Workers


class Explainer:
    """An explainer of groups.

    Args:
        app: Knows the tasks.
        reader: Reads the gate.
        workers: Asks the living workers; None: they are not asked.
    """

    def __init__(self, app: Celery, reader: Reader, workers: Workers | None) -> None:
        self._app, self._reader, self._workers = app, reader, workers

    def explain(self, keys: Keys, group: Group | None, key: str) -> str:
        """Return the sentence for a group as it was read; None: it is empty."""
        if group is None:
            return (
                f"Group {key!r} is empty: no task of it is parked or under way. It was never used, or all of its "
                "tasks have ended; the next one that is sent starts at once."
            )
        states: dict[str, Callable[[Keys, Group], str]] = {
            "paused": self._paused,
            "blocked": self._blocked,
            "draining": self._draining,
        }
        say = states.get(group.state, self._moving)
        return f"Group {key!r} {say(keys, group)}"

    # -- groups with a flag ------------------------------------------------

    def _paused(self, keys: Keys, group: Group) -> str:
        now = self._reader.now()
        text = f"is paused{_by(group, now)}: {_count(group.depth - len(group.running), 'task')} "
        text += "waits" if group.depth - len(group.running) == 1 else "wait"
        if group.running:
            text += f", and {group.running[0].task_id} still runs on {group.running[0].worker}"
        return text + "; nothing more starts until it is resumed."

    def _blocked(self, keys: Keys, group: Group) -> str:
        head = self._head(keys, group)
        named = self._named(keys, head) if head else "a task that is gone"
        since = "" if group.since is None else f" {_span(self._ago(group.since))} ago, at {_clock(group.since)}"
        return (
            f"is blocked by the failure of {named}{since}, on {group.by or 'a worker'}: {group.reason}. "
            f"{_rest(group)}. It goes on after retry, skip or drop."
        )

    def _draining(self, keys: Keys, group: Group) -> str:
        by = _by(group, self._reader.now())
        return (
            f"is draining{by}: it refuses new tasks and ends the {group.depth} it has. It {self._moving(keys, group)}"
        )

    # -- other groups ------------------------------------------------------

    def _moving(self, keys: Keys, group: Group) -> str:
        if group.running:
            return "; it ".join(self._runs(run) for run in group.running) + self._next(group)
        head = self._head(keys, group)
        if head is not None and head.state == "released":
            return self._waits(keys, group, head)
        if head is not None and head.state == "held":
            return self._held(keys, group, head)
        if group.head is not None:
            return (
                f"has {_count(group.depth, 'task')} in line and none under way: the next sweep of any worker lets it "
                "go on. When it stays so, no worker lives, or verify names the breach."
            )
        return self._scheduled(keys, group)

    def _runs(self, run: Running) -> str:
        pid = self._workers.pid(run.worker, run.task_id, run.fence) if self._workers else None
        where = run.worker + (f" (process {pid})" if pid else "")
        since = f"since {_clock(run.since)} ({_span(self._ago(run.since))} ago)"
        text = f"runs {_task(run.task, run.task_id)} on {where} {since} under fence {run.fence}"
        if run.lease_left > 0:
            return f"{text}; its lease has {_span(run.lease_left)} left and is renewed while the worker lives"
        return (
            f"{text}; its lease ended {_span(-run.lease_left)} ago, so its worker is lost or can't reach Redis: "
            "the next sweep of any worker takes the task back"
        )

    def _next(self, group: Group) -> str:
        rest = group.depth - len(group.running)
        return f". {_rest(group)}; the next one starts when it ends." if rest else ". Nothing waits behind it."

    def _waits(self, keys: Keys, group: Group, head: Flight) -> str:
        before, messages = self._before(keys, head)
        queue = self._reader.queue_name(self._app, head.queue)
        text = f"waits for a slot: its head {self._named(keys, head)} was released to queue {queue!r} "
        text += (
            f"{_span((self._reader.now() - head.since) / 1000)} ago, {_count(before, 'ticket')} of the gate before it"
        )
        if messages is not None:
            text += f" and {_count(messages, 'message')} in the queue"
        return f"{text}{self._consumed(self._workers, queue) if self._workers else ''}. {_rest(group)}."

    def _consumed(self, workers: Workers, queue: str) -> str:
        consumers = workers.consumers(queue)
        if not consumers:
            return "; no worker that answers consumes this queue"
        text = f"; consumed by {_several(consumers)}"
        unaware = workers.unaware(workers.refused(consumers))
        if unaware:
            text += (
                f". The app of {_several(unaware)} does not use celery-groupfifo: it takes ordered tasks from this "
                "queue and runs them as plain ones. `doctor` has the remedy"
            )
        return text

    def _held(self, keys: Keys, group: Group, head: Flight) -> str:
        entry = content.read(self._reader.texts(keys, [head.id])[0] or b"")
        when = "as soon as any worker sweeps"
        if group.due is not None:
            left = group.due.timestamp() - self._reader.now() / 1000
            if left > 0:
                when = f"in {_span(left)}, at {_clock(group.due)}"
        if entry is None or not entry.retries:
            return f"holds its head {self._named(keys, head)}: it goes out {when}. {_rest(group)}."
        most = getattr(self._app.tasks.get(entry.task), "max_retries", None)
        of = f" of {most}" if most is not None and most >= entry.retries else ""
        error = f" Its last run ended with {group.last_error}." if group.last_error else ""
        return (
            f"waits for retry {entry.retries}{of} of {_task(entry.task, head.task_id)}, which goes out {when}; "
            f"`retry` lets it go at once.{error} {_rest(group)}."
        )

    def _scheduled(self, keys: Keys, group: Group) -> str:
        for task_id, ms in self._reader.scheduled(keys, quote(group.key)):
            left = _span(max(ms - self._reader.now(), 0) / 1000)
            return (
                f"has nothing in line: {_count(group.depth, 'task')} with an ETA "
                f"{'joins' if group.depth == 1 else 'join'} it when due, the next one, {task_id}, in {left}."
            )
        return f"has nothing in line: the ETA of {_count(group.depth, 'task')} has not come yet."

    # -- parts -------------------------------------------------------------

    def _head(self, keys: Keys, group: Group) -> Flight | None:
        names = [] if group.head is None else entry_names(group.head)
        records = self._reader.one("hmget", keys.flight, names) if names else []
        flights = (Flight.parse(name, text) for name, text in zip(names, records, strict=True))
        return next((flight for flight in flights if flight and flight.group == quote(group.key)), None)

    def _named(self, keys: Keys, head: Flight) -> str:
        entry = content.read(self._reader.texts(keys, [head.id])[0] or b"")
        return _task(entry.task if entry else "", head.task_id)

    def _before(self, keys: Keys, head: Flight) -> tuple[int, int | None]:
        """Return the number of the gate's tickets before a head in its queue, and of all messages there, if known."""
        own = not head.queue.startswith(ELSEWHERE)

        def build(pipe: Any) -> None:
            pipe.zlexcount(keys.on_the_way, f"[{head.queue} ", f"({head.queue} {head.release}")
            if own:
                pipe.llen(unquote(head.queue))

        before, *length = self._reader.ask("queue", build)
        return int(before), int(length[0]) if length else None

    def _ago(self, when: datetime) -> float:
        return max(self._reader.now() / 1000 - when.timestamp(), 0)


def _by(group: Group, now: float) -> str:
    text = f" by {group.by}" if group.by else ""
    if group.since is not None:
        text += f" since {_clock(group.since)} ({_span(max(now / 1000 - group.since.timestamp(), 0))} ago)"
    return text + (f", because: {group.reason}" if group.reason else "")


def _rest(group: Group) -> str:
    rest = group.depth - max(len(group.running), 1)
    return f"{_count(rest, 'task')} {'waits' if rest == 1 else 'wait'} behind it" if rest else "Nothing waits behind it"


def _several(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")


def _task(name: str, task_id: str) -> str:
    return f"{name}[{task_id}]" if name else f"task {task_id}"


def _count(number: int, noun: str) -> str:
    return count(number, noun) if number else f"no {noun}s"


def _clock(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(seconds: float) -> str:
    """Return a span in two words at most: 0.4 s, 12 s, 3 min 5 s, 2 h 4 min, 3 d 2 h."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{int(seconds)} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if seconds < 3600:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
