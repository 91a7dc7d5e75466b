"""The explanation of a group in one sentence: why it moves or does not, and when next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from celery import Celery

from celery_groupfifo.gate.keys import Keys, quote, task_of, unquote
from celery_groupfifo.gate.records import AWAITS, LIMITED, TURN, Flight, Limits, StoredEntry
from celery_groupfifo.gate.releaser import ELSEWHERE
from celery_groupfifo.groups import content
from celery_groupfifo.groups.identities import dedup_key_of
from celery_groupfifo.groups.orders import order_values
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.several import awaited
from celery_groupfifo.groups.view import DeadLetter, Group, Limit, Running, count, span
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

    def explain(self, keys: Keys, group: Group | None, key: str, letters: int, newest: DeadLetter | None) -> str:
        """Return the sentence for a group as it was read; None: it is empty.

        Args:
            keys: Of its partition.
            group: The group.
            key: Its key.
            letters: The number of its dead letters.
            newest: The newest of them.
        """
        return self._sentence(keys, group, key) + (_set_aside(letters, newest) if newest else "")

    def _sentence(self, keys: Keys, group: Group | None, key: str) -> str:
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
        say = states.get(group.state, self._moving if group.depth else self._resting)
        limited = _limited(group.limit, self._reader.now()) if group.limit else ""
        return f"Group {key!r} {say(keys, group)}{limited}"

    def _resting(self, keys: Keys, group: Group) -> str:
        return "is empty: the next task that is sent starts at once."

    # -- groups with a flag ------------------------------------------------

    def _paused(self, keys: Keys, group: Group) -> str:
        now = self._reader.now()
        text = f"is paused{_by(group, now)}: {_count(group.depth - len(group.running), 'task')} "
        text += "waits" if group.depth - len(group.running) == 1 else "wait"
        if group.running:
            text += f", and {group.running[0].task_id} still runs on {group.running[0].worker}"
        text += "; nothing more starts until it is resumed."
        if group.last_error and group.due is None:
            text += f" Its head has failed, too, and blocks it ({group.last_error}): retry, skip or drop it after that."
        return text

    def _blocked(self, keys: Keys, group: Group) -> str:
        head = self._head(keys, group)
        named = self._named(keys, head) if head else "a task that is gone"
        since = "" if group.since is None else f" {span(self._ago(group.since))} ago, at {_clock(group.since)}"
        name = quote(group.key)
        flights = self._reader.stored_groups(keys, [name])[name].flights
        failed = [each.task_id for each in flights if each.stop == "b"]
        return (
            f"is blocked by the failure of {named}{since}, on {group.by or 'a worker'}: {group.reason}. "
            f"{_broken(group)}{_rest(group, len(failed))}. "
            f"It goes on after retry, skip or drop{self._by_itself(group)}."
            f"{_beside([id for id in failed if id != group.head])}"
        )

    def _by_itself(self, group: Group) -> str:
        if group.blocked_until is None:
            return ""
        left = group.blocked_until.timestamp() - self._reader.now() / 1000
        when = f"in {span(left)}, at {_clock(group.blocked_until)}" if left > 0 else "with the next sweep of any worker"
        return f", or by itself and without this task {when}"

    def _draining(self, keys: Keys, group: Group) -> str:
        by = _by(group, self._reader.now())
        return (
            f"is draining{by}: it refuses new tasks and ends the {group.depth} it has. It {self._moving(keys, group)}"
        )

    # -- other groups ------------------------------------------------------

    def _moving(self, keys: Keys, group: Group) -> str:
        if group.running:
            batches = Counter(run.fence for run in group.running)  # the first one of each stands for the others
            firsts = {run.fence: run for run in reversed(group.running)}
            said = [self._runs(firsts[fence], many - 1) for fence, many in batches.items()]
            return "; it ".join(said) + self._next(keys, group)
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

    def _runs(self, run: Running, others: int) -> str:
        known = self._workers.leases(run.worker) if self._workers else []
        mine = [lease for lease in known or () if (lease["task_id"], lease["fence"]) == (run.task_id, run.fence)]
        pid = mine[0]["pid"] if mine else None
        where = run.worker + (f" (process {pid})" if pid else "")
        since = f"since {_clock(run.since)} ({span(self._ago(run.since))} ago)"
        batch = f", in a batch with {_count(others, 'other task')}," if others else ""
        text = f"runs {_task(run.task, run.task_id)}{batch} on {where} {since} under fence {run.fence}"
        if run.lease_left <= 0:
            return (
                f"{text}; the worker's lease ended {span(-run.lease_left)} ago, so it is lost or can't reach Redis: "
                "the next sweep of any worker takes the task back"
            )
        return f"{text}; {self._lease(run, known is None, bool(mine))}"

    def _lease(self, run: Running, silent: bool, known: bool) -> str:
        """Say what becomes of a worker's lease, given whether it is silent, and whether it knows the run."""
        left = f"the worker's lease has {span(run.lease_left)} left"
        if self._workers is None or known:
            return f"{left} and is renewed while it lives"
        if self._workers.error:
            return f"{left} and is renewed while it lives; the worker could not be asked: {self._workers.error}"
        renewed = max(self._reader.gate.settings.lease_ttl - run.lease_left, 0)
        left = f"{left} and was not renewed for {span(renewed)}"
        then = "the next sweep of any other worker after its end takes the task back"
        if not silent:
            return f"{left}. The worker answers and does not know this run, so it was restarted meanwhile: {then}"
        return (
            f"{left}. The worker does not answer: it is frozen, killed or cut off from the broker, or its pool is "
            f"solo. Unless it renews the lease, {then}"
        )

    def _next(self, keys: Keys, group: Group) -> str:
        rest = group.depth - len(group.running)
        if not rest:
            return ". Nothing waits behind it."
        return f". {_rest(group)}; the next one starts when it ends.{self._part(keys, group)}"

    def _part(self, keys: Keys, group: Group) -> str:
        """Return a sentence about a part of a canvas that stands first in line."""
        for place in self._reader.line(keys, quote(group.key), 0, 1):
            entry = content.read(place.text)
            if entry is not None and entry.is_part:
                part = _task(entry.task, task_of(place.id))
                return f" That is {part}, a part of a canvas that has begun, for which the group waits."
        return ""

    def _waits(self, keys: Keys, group: Group, head: Flight) -> str:
        before, messages = self._before(keys, head)
        queue, ago = self._reader.queue_name(self._app, head.queue), span((self._reader.now() - head.since) / 1000)
        named = self._named(keys, head)
        queues = self._workers.queues() if self._workers else {}
        consumers = sorted(worker for worker, names in queues.items() if queue in names)
        if self._workers and not consumers and not self._workers.error:
            nobody = "no worker that answers consumes" if queues else "no worker answers, so none is known to consume"
            return (
                f"stands still: {nobody} queue {queue!r}, to which its head {named} was released {ago} ago. "
                f"Start a worker with -Q {queue}, or route the task to a queue that is consumed. {_rest(group)}."
            )
        text = f"waits for a slot: its head {named} was released to queue {queue!r} {ago} ago, "
        if head.lost and messages is not None:  # its number is that of its new release, and its place is not
            text += f"as a rule to the front, because its worker was lost, {_count(messages, 'message')} in the queue"
        else:
            text += f"{_count(before, 'ticket')} of the gate before it"
            text += f" and {_count(messages, 'message')} in the queue" if messages is not None else ""
        return f"{text}{self._consumed(self._workers, consumers) if self._workers else ''}. {_rest(group)}."

    def _consumed(self, workers: Workers, consumers: list[str]) -> str:
        if not consumers:
            return f"; the workers could not be asked: {workers.error}"
        text = f"; consumed by {_several(consumers)}"
        unaware = workers.unaware(workers.stats(consumers), consumers)
        if unaware:
            text += (
                f". The app of {_several(unaware)} does not use celery-groupfifo: it takes ordered tasks from this "
                "queue and runs them as plain ones. `doctor` has the remedy"
            )
        return text

    def _turn(self, keys: Keys, group: Group, head: Flight) -> str:
        line = f"\x7fw {head.queue} {quote(group.turn)} "
        (before,) = self._reader.ask(
            "turns", lambda pipe: pipe.zlexcount(keys.on_the_way, f"[{line}", f"({line}{head.release} ")
        )
        return (
            f"waits for its turn among the groups of {group.turn!r}: {_count(int(before), 'head')} of them "
            f"{'goes' if before == 1 else 'go'} out before its head {self._named(keys, head)}; `retry` lets it go at "
            f"once. {_rest(group)}."
        )

    def _held(self, keys: Keys, group: Group, head: Flight) -> str:
        if head.stop == AWAITS:
            return f"{awaited(self._reader, keys, head)}. {_rest(group)}."
        if head.stop == TURN:
            return self._turn(keys, group, head)
        entry = content.read(self._reader.texts(keys, [head.id])[0] or b"")
        when = "as soon as any worker sweeps"
        if group.due is not None:
            left = group.due.timestamp() - self._reader.now() / 1000
            if left > 0:
                when = f"in {span(left)}, at {_clock(group.due)}"
        if head.stop == LIMITED:
            own = _limits_of(self._reader.texts(keys, [head.id])[0])
            if own.due is not None and own.due == head.due:
                return f"holds its head {self._named(keys, head)} until its ETA: it goes out {when}. {_rest(group)}."
            rate = (group.limit.rate if group.limit else None) or own.rate
            return (
                f"holds its head {self._named(keys, head)} back, as its rate of {rate} is used up: it goes out {when}. "
                f"{_rest(group)}."
            )
        if entry is None or not entry.retries:
            return f"holds its head {self._named(keys, head)}: it goes out {when}. {_rest(group)}."
        error = f" Its last run ended with {group.last_error}." if group.last_error else ""
        return (
            f"waits for {self._retry_of(entry, head.task_id)}, which goes out {when}; "
            f"`retry` lets it go at once.{error} {_rest(group)}."
        )

    def _scheduled(self, keys: Keys, group: Group) -> str:
        for name, ms in self._reader.scheduled(keys, quote(group.key)):
            left = span(max(ms - self._reader.now(), 0) / 1000)
            if (value := order_values(self._reader, keys, [name])[0]) is not None:
                return (
                    f"has nothing in line: {_count(group.depth, 'task')} {'waits' if group.depth == 1 else 'wait'} to "
                    f"be sorted, or for an ETA. The first window is that of {task_of(name)}, with the order value "
                    f"{value}: it joins the line in {left}, behind those with lower values."
                )
            entry = content.read(self._reader.texts(keys, [name])[0] or b"")
            next_one = self._retry_of(entry, task_of(name)) if entry and entry.retries else task_of(name)
            return (
                f"has nothing in line: {_count(group.depth, 'task')} with an ETA "
                f"{'joins' if group.depth == 1 else 'join'} it when due, the next one, {next_one}, in {left}."
            )
        return f"has nothing in line: the ETA of {_count(group.depth, 'task')} has not come yet."

    # -- parts -------------------------------------------------------------

    def _head(self, keys: Keys, group: Group) -> Flight | None:
        name = quote(group.key)
        flights = self._reader.stored_groups(keys, [name])[name].flights
        return next((flight for flight in flights if flight.task_id == group.head), None)

    def _retry_of(self, entry: content.Content, task_id: str) -> str:
        most = getattr(self._app.tasks.get(entry.task), "max_retries", None)
        of = f" of {most}" if most is not None and most >= entry.retries else ""
        return f"retry {entry.retries}{of} of {_task(entry.task, task_id)}"

    def _named(self, keys: Keys, head: Flight) -> str:
        entry = content.read(self._reader.texts(keys, [head.id])[0] or b"")
        dedup_key = dedup_key_of(self._reader, keys, head.id)
        return _task(entry.task if entry else "", head.task_id) + (f" (dedup key {dedup_key!r})" if dedup_key else "")

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
        text += f" since {_clock(group.since)} ({span(max(now / 1000 - group.since.timestamp(), 0))} ago)"
    return text + (f", because: {group.reason}" if group.reason else "")


def _limited(limit: Limit, now: float) -> str:
    """Return a sentence about what an operator has set."""
    by = f" by {limit.by}" if limit.by else ""
    since = f" {span(max(now / 1000 - limit.since.timestamp(), 0))} ago" if limit.since else ""
    until = f", until {_clock(limit.until)}" if limit.until else ""
    reason = f", because: {limit.reason}" if limit.reason else ""
    return f" It is limited to {limit}{by}{since}{until}{reason}."


def _limits_of(text: bytes | None) -> Limits:
    """Return the limits that an entry brings."""
    entry = StoredEntry.parse(text)
    return Limits.parse(entry.limits) if entry else Limits()


def _broken(group: Group) -> str:
    if not group.breaker:
        return ""
    return f"Its circuit breaker is open ({group.breaker}, or a failed probe), and the next run is a probe. "


def _rest(group: Group, failed: int = 0) -> str:
    rest = group.depth - max(len(group.running) + failed, 1)
    return f"{_count(rest, 'task')} {'waits' if rest == 1 else 'wait'} behind it" if rest else "Nothing waits behind it"


def _beside(failed: list[str]) -> str:
    if not failed:
        return ""
    return f" {_several(failed)} failed beside it, and {'blocks' if len(failed) == 1 else 'block'} it after that."


def _set_aside(letters: int, newest: DeadLetter) -> str:
    """Return a sentence about a group's dead letters, and the ways out."""
    kept = f" {_count(letters, 'dead letter')} of it {'is' if letters == 1 else 'are'} kept"
    last = f"{_task(newest.task, newest.id)}, set aside at {_clock(newest.when)}: {newest.why}"
    return f"{kept}, {'' if letters == 1 else 'the last one '}{last}. `redrive` parks it again, `discard` removes it."


def _several(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")


def _task(name: str, task_id: str) -> str:
    return f"{name}[{task_id}]" if name else f"task {task_id}"


def _count(number: int, noun: str) -> str:
    return count(number, noun) if number else f"no {noun}s"


def _clock(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")
