"""The reports of a worker about its runs: signals in its process, `groupfifo-*` events to monitors, lines in its log.

The worker's code reports an event once, and receivers attach here. The report is built only when there is a receiver,
as it is on the hot path.

Events go through the worker's own dispatcher, and only where task events are on (`-E`, `worker_send_task_events`,
`celery control enable_events`). They have a group of their own, `groupfifo`: monitors that do not know it ignore them,
and none takes a client for a worker because of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from logging import DEBUG, ERROR, INFO
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

from celery.utils.dispatch import Signal
from celery.utils.log import get_logger

from celery_groupfifo import signals
from celery_groupfifo.gate.clock import now
from celery_groupfifo.printing import escaping
from celery_groupfifo.signals import EVENT_GROUP

if TYPE_CHECKING:
    from celery_groupfifo.worker.run import Run

logger = escaping(get_logger(__name__))

#: Names the run of a log line; its values are in the record, too (`extra`).
_LINE = "%s[%s] (group %r, fence %s, attempt %s) %s"


class _Kind(NamedTuple):
    """A kind of event of a run: its signal, its event's name without the first word, the level of its log line."""

    signal: Signal
    event: str
    level: int


_BEGUN = _Kind(signals.group_begun, "begun", DEBUG)
_FINISHED = _Kind(signals.group_finished, "finished", DEBUG)
_HELD = _Kind(signals.group_held, "held", DEBUG)
_SURRENDERED = _Kind(signals.group_surrendered, "surrendered", INFO)
_STALE = _Kind(signals.group_stale, "stale", DEBUG)
_BLOCKED = _Kind(signals.group_blocked, "blocked", ERROR)
_LEASE_LOST = _Kind(signals.group_lease_lost, "lease-lost", ERROR)


class Events:
    """The reports of one worker.

    Args:
        consumer: Celery's; its dispatcher comes and goes with the broker's connection.
        soon: Calls on the consumer's loop, from any thread: buffered events belong to that loop.
        aside: Calls in a thread where receivers of signals may hang: sweeps must not wait for them.
    """

    def __init__(
        self,
        consumer: Any,
        soon: Callable[[Callable[[], Any]], None],
        aside: Callable[[Callable[[], None]], None],
    ) -> None:
        self._consumer, self._soon, self._aside = consumer, soon, aside

    # -- of one run ----------------------------------------------------------

    def begun(self, run: Run, handoff: float | None = None) -> None:
        """Tell that a lease was taken.

        Args:
            run: The run that begins.
            handoff: Time when the run that brought it was over; None: it came through the broker.
        """
        if self._has_receivers(_BEGUN):
            moment, ticket = time(), run.ticket
            more = {
                "lost": ticket.lost,
                "task_wait": max(moment - ticket.parked_us / 1e6, 0.0),
                "slot_wait": max(moment - ticket.release / 1e6, 0.0),
                "handoff": None if handoff is None else now() - handoff,
            }
            self._tell(_BEGUN, run, more, "begins.")

    def finished(self, run: Run, due: float | None) -> None:
        """Tell that the gate has finished a run; `due`: seconds until its continuation may start."""
        if self._has_receivers(_FINISHED):
            outcome = outcome_of(run, due)
            more = {"outcome": outcome, "seconds": now() - run.since}
            self._tell(_FINISHED, run, more, f"is over: {outcome}.")
        if due is not None and not run.continuation.rejoins and self._has_receivers(_HELD):
            self._tell(_HELD, run, {"delay": due}, f"goes on in {due:.3g} s.")

    def blocked(self, run: Run) -> None:
        """Tell that a run has failed for good, and its group halts."""
        error = run.failure.error if run.failure is not None else ""
        halts = run.failure.halts_ms if run.failure is not None else 0
        lasts = f", for {halts / 1000:g} s at most" if halts else ""
        said = f"has failed for good and blocks its group until it is retried, skipped or dropped{lasts}: {error}"
        self._tell(_BLOCKED, run, {"exception": error}, said)

    def surrendered(self, run: Run) -> None:
        """Tell that a run goes back to the head of its group."""
        if self._has_receivers(_SURRENDERED):
            said = "goes back to the head of its group" + (": its process was lost." if run.worker_lost else ".")
            self._tell(_SURRENDERED, run, {"worker_lost": run.worker_lost}, said)

    def lease_lost(self, run: Run) -> None:
        """Tell that a lease is lost, from any thread."""
        said = "has lost its lease: another run of it may have begun. What this run still returns is refused."
        self._tell(_LEASE_LOST, run, {}, said)

    def stale(self, run: Run) -> None:
        """Tell that a delivery had a stale ticket."""
        if self._has_receivers(_STALE):
            self._tell(_STALE, run, {}, f"came with a stale ticket, of release {run.ticket.release}.")

    # -- of many runs, from the sweeper's thread, which does not wait for receivers

    def reclaimed(self, count: int) -> None:
        """Tell that heads of lost workers were taken back."""
        logger.warning("%d tasks of lost workers were taken back to the heads of their groups.", count)
        self._aside(lambda: self._count(signals.group_reclaimed, "reclaimed", count))

    def tickets_lost(self, count: int) -> None:
        """Tell that tickets were lost, and their heads released again."""
        logger.warning("%d tickets were lost on their way to a worker: their tasks were released again.", count)
        self._aside(lambda: self._count(signals.group_tickets_lost, "tickets-lost", count))

    # -- parts ---------------------------------------------------------------

    def _has_receivers(self, kind: _Kind) -> bool:
        return bool(kind.signal.receivers) or logger.isEnabledFor(kind.level) or self._dispatcher() is not None

    def _dispatcher(self) -> Any:
        """Return Celery's dispatcher, ready for our events; None unless task events are on."""
        dispatcher = getattr(self._consumer, "event_dispatcher", None)
        if dispatcher is None or not dispatcher.enabled:
            return None
        if dispatcher.groups:  # the groups that it sends; none named: all
            if "task" not in dispatcher.groups:
                return None
            dispatcher.groups.add(EVENT_GROUP)
        if dispatcher.buffer_group and EVENT_GROUP not in dispatcher.buffer_group:
            dispatcher.buffer_group = {*dispatcher.buffer_group, EVENT_GROUP}  # buffered, as Celery's own task events
        return dispatcher

    def _tell(self, kind: _Kind, run: Run, more: dict[str, Any], said: str) -> None:
        task, what = run.name, of_run(run)
        log(kind.level, said, task, what)
        kind.signal.send(sender=task, worker=self._consumer.hostname, **what, **more)
        fields = {**what, **more, "task": task, "uuid": what["task_id"]}  # Celery's events call the id `uuid`
        del fields["task_id"]
        self._send(kind.event, fields)

    def _count(self, signal: Signal, event: str, count: int) -> None:
        signal.send(sender=None, count=count, worker=self._consumer.hostname)
        self._send(event, {"count": count})

    def _send(self, event: str, fields: dict[str, Any]) -> None:
        dispatcher = self._dispatcher()
        if dispatcher is None:
            return
        if threading.current_thread().name.startswith("groupfifo-"):
            # One of our own threads: Celery's connection belongs to its own.
            self._soon(lambda: self._send(event, fields))
            return
        try:
            dispatcher.send(f"{EVENT_GROUP}-{event}", **fields)
        except Exception as error:  # a monitor that can't be reached must not hold a group
            logger.debug("An event was not sent: %r", error)


def log(level: int, said: str, task: str | None, what: dict[str, Any], **more: Any) -> None:
    """Log a line about a run that names its group, fence and attempt, in the text and in `extra`.

    Args:
        level: Of `logging`.
        said: The rest of the sentence.
        task: The task's name.
        what: From `of_run`.
        **more: For the logger, such as `exc_info`.
    """
    if logger.isEnabledFor(level):
        values = (task or "Task", what["task_id"], what["key"], what["fence"], what["attempt"])
        extra = {"group_key": what["key"], **{name: what[name] for name in ("task_id", "fence", "attempt")}}
        logger.log(level, _LINE, *values, said, extra=extra, **more)


def of_run(run: Run) -> dict[str, Any]:
    """Return the names that identify a run: key, task id, fence and attempt."""
    return {"key": run.key, "task_id": run.ticket.id, "fence": run.ticket.fence, "attempt": run.attempt}


def outcome_of(run: Run, due: float | None) -> str:
    """Return the outcome of a run, in one word; see `signals.group_finished`."""
    if due is None:
        return run.outcome
    return "replaced" if run.outcome == "ignored" else "retry"


__all__ = ["Events", "log", "of_run", "outcome_of"]
