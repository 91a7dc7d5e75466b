"""One run of a task in this worker: what happened to it, until the gate has been told."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from celery_groupfifo.model import Failure, Ticket
from celery_groupfifo.worker.delivery import Delivery

if TYPE_CHECKING:
    from celery_groupfifo.worker.request import GroupRequest

#: What Celery decided about the message.
ACK, REJECT, REQUEUE = "ack", "reject", "requeue"


class Run:
    """One run.

    Acknowledged is not over: on a hard time limit or a termination Celery acknowledges while the child still runs.
    The group may move only when the execution is over, or never began.

    Args:
        ticket: Begun by this worker.
        key: The group's key.
        delivery: The broker's message it came with, or that its chain is on.
        settle: Called once, when the run is over and Celery has decided.

    Attributes:
        begun: Monotonic time of the begin.
        renewed: The same of the last renewal that came through; 0 before the first one.
        submitted: The pool was given it.
        started: The pool has accepted it.
        over: Its execution has ended.
        settled: The gate has been told, or is being told.
        job: What the pool gave for it; Celery keeps none.
        lost: Its lease is lost.
        worker_lost: It ended with its worker process.
        disposition: What Celery decided; None: nothing yet.
        failure: How it failed for good, when its group does not just go on; see `model.Failure`.
    """

    __slots__ = (
        "begun",
        "delivery",
        "disposition",
        "failure",
        "job",
        "key",
        "lost",
        "over",
        "renewed",
        "request",
        "settle",
        "settled",
        "started",
        "submitted",
        "ticket",
        "worker_lost",
    )

    def __init__(self, ticket: Ticket, key: str, delivery: Delivery, settle: Callable[[Run], None]) -> None:
        self.ticket, self.key, self.delivery, self.settle = ticket, key, delivery, settle
        self.begun, self.renewed = monotonic(), 0.0
        self.request: GroupRequest | None = None
        self.job: Any = None
        self.disposition: str | None = None
        self.failure: Failure | None = None
        self.submitted = self.started = self.over = self.settled = self.lost = self.worker_lost = False

    def on_ack(self, logger: Any, errors: Any) -> None:
        """Stands where the acknowledgement of the broker's message stood."""
        self._decide(ACK)

    def on_reject(self, logger: Any, errors: Any, requeue: bool = False) -> None:
        """Stands where the rejection of the broker's message stood."""
        self._decide(REQUEUE if requeue else REJECT)

    def ended(self) -> None:
        """The execution is over, whatever Celery decided."""
        self.over = True
        self.settle(self)

    def _decide(self, disposition: str) -> None:
        self.disposition = self.disposition or disposition
        if self.over or not self.started:
            self.settle(self)

    @property
    def done(self) -> bool:
        """Whether it has had its outcome; else it goes back to the head of its group."""
        return self.disposition in (ACK, REJECT)

    def __repr__(self) -> str:
        return f"<Run {self.ticket.id} of {self.key!r} fence={self.ticket.fence}>"
