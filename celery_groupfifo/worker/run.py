"""One run of a task in this worker: the states of its life, and its data.

The diagram with its lettered edges is in docs/how-it-works.md.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.model import (
    HELD_HEADER,
    HOLD_HEADER,
    KEY_HEADER,
    KEYS_HEADER,
    TRAVELLING,
    Entry,
    Failure,
    Ticket,
)
from celery_groupfifo.printing import printable
from celery_groupfifo.sending.context import Continuation

if TYPE_CHECKING:
    from celery_groupfifo.worker.batch import Batch
    from celery_groupfifo.worker.delivery import Delivery


class State(Enum):
    """The states in the life of a run."""

    RECEIVED = "received"
    BEGUN = "begun"
    GIVEN = "given to the pool"
    STARTED = "started"
    OVER = "over"
    FINISHING = "finishing"
    SURRENDERING = "surrendering"
    LOST = "lost"
    ENDED = "ended"


#: The states that each one may follow.
FOLLOWS: dict[State, frozenset[State]] = {
    State.BEGUN: frozenset({State.RECEIVED}),
    State.GIVEN: frozenset({State.BEGUN}),
    State.STARTED: frozenset({State.GIVEN}),
    State.OVER: frozenset({State.BEGUN, State.GIVEN, State.STARTED}),
    State.FINISHING: frozenset({State.OVER}),
    State.SURRENDERING: frozenset({State.BEGUN, State.GIVEN, State.OVER}),
    State.LOST: frozenset({State.BEGUN, State.GIVEN, State.STARTED, State.OVER}),
    State.ENDED: frozenset({State.RECEIVED, State.FINISHING, State.SURRENDERING, State.LOST}),
}
#: States in which the end is on its way to the gate.
ENDING = frozenset({State.FINISHING, State.SURRENDERING})
#: States in which a call to the gate is open.
CALLING = ENDING | {State.RECEIVED}
#: States in which the worker holds the lease, or may hold it: it has to be renewed.
LEASED = CALLING | {State.BEGUN, State.GIVEN, State.STARTED, State.OVER}


#: Headers with options of a call that its continuation inherits.
_KEPT = (HELD_HEADER, HOLD_HEADER, KEYS_HEADER, *TRAVELLING.values())


class Disposition(Enum):
    """The decisions of Celery about the message of a run."""

    ACK = "ack"
    REJECT = "reject"
    REQUEUE = "requeue"


class Run:
    """One run.

    Acknowledged is not over: on a hard time limit or a termination Celery acknowledges while the child still runs.
    The group may move only when the execution is over, or never began.

    Transitions come from the main loop, from threads of the pool and from the renewer: each is one step under the run's
    own lock, and answers whether it was possible. Other attributes are set by methods of the run only.

    Args:
        header: The ticket as the message carries it.
        ticket: The same, read, with the run's lane; when it has begun, with its fence.
        message: The broker's, or one that was handed off.
        delivery: The broker's delivery it came with, or that its chain is on.
        decided: Called with the run when Celery has decided, and the execution is over or never began.
        call: Name of the call that begins it; empty when the end of another run has begun it.

    Attributes:
        since: Time when it may have begun: that of the call that asked for it.
        renewed: Time since when the worker's lease runs, at least; 0 before the run has begun.
        name: The task's name.
        attempt: From 1; counts retries.
        pid: The process that runs it, once started.
        disposition: The decision of Celery; None: there is none yet.
        outcome: The end of the execution, in one word; see `signals.group_finished`.
        failure: The final failure, when its group's policy is not `continue`; see `model.Failure`.
        continuation: Its retry or replacement at the head of its group.
        worker_lost: True when it ended with its worker process.
        in_hand: True while our own code has it, between the begin and Celery.
        dying: Id of the child that has to be gone before the run counts as over; 0: none.
        job: Finds the pool's job for it.
        gathered: Messages of the calls that it executes together with its own.
        batch: The same, once they are read; None: it executes its own call alone.
        follows: True for such a call itself, which is executed with another run's.
    """

    __slots__ = (
        "__weakref__",
        "_decided",
        "_lock",
        "_request",
        "attempt",
        "batch",
        "call",
        "continuation",
        "delivery",
        "disposition",
        "dying",
        "failure",
        "follows",
        "gathered",
        "header",
        "in_hand",
        "job",
        "key",
        "message",
        "name",
        "outcome",
        "pid",
        "renewed",
        "since",
        "state",
        "ticket",
        "worker_lost",
    )

    def __init__(
        self,
        header: str,
        ticket: Ticket,
        message: Any,
        delivery: Delivery,
        decided: Callable[[Run], None],
        call: str = "",
    ) -> None:
        headers = message.headers
        self.header, self.ticket, self.message, self.delivery = header, ticket, message, delivery
        self.call = call
        self.key: str = headers[KEY_HEADER]
        self.name: str | None = headers.get("task")
        self.attempt: int = (headers.get("retries") or 0) + 1
        self.since, self.renewed = now(), 0.0
        self.state = State.RECEIVED
        self.pid: int | None = None
        self.disposition: Disposition | None = None
        self.outcome = "revoked"  # the outcome when it is acknowledged without a run: revoked, or expired
        self.failure: Failure | None = None
        options = {name: headers[name] for name in _KEPT if name in headers}
        self.continuation = Continuation(ticket, self.key, self.attempt - 1, options)
        self.worker_lost = False
        self.in_hand = False
        self.dying = 0
        self.job: Callable[[], Any] | None = None
        self.gathered: Sequence[bytes] = ()
        self.batch: Batch | None = None
        self.follows = False
        self._request: Callable[[], Any] = _nothing
        self._decided = decided
        self._lock = threading.RLock()  # reentrant: a signal handler may end it while its thread is in a transition

    # -- transitions: each one's previous states are in FOLLOWS -----------------

    def begun(self, ticket: Ticket, since: float, leased: float | None = None) -> bool:
        """Enter the state after the gate has let it begin.

        Args:
            ticket: With the fence of the run.
            since: Time when the gate was asked first.
            leased: Time since when the worker's lease runs, at least; None: the same.
        """
        self.ticket = self.continuation.ticket = ticket
        leased = since if leased is None else leased
        self.since, self.renewed, self.in_hand = since, max(leased, self.renewed), True
        return self._enter(State.BEGUN)

    def given(self) -> bool:
        """Enter the state before the run is given to the pool."""
        return self._enter(State.GIVEN)

    def started(self, pid: int) -> bool:
        """Enter the state in which the pool runs it."""
        self.pid = pid
        return self._enter(State.STARTED)

    def over(self) -> bool:
        """Enter the state after its execution, or when it is known that there will be none."""
        self.dying = 0
        return self._enter(State.OVER)

    def finishing(self) -> bool:
        """Enter the state in which its finish is on the way to the gate."""
        return self._enter(State.FINISHING)

    def surrendering(self) -> bool:
        """Enter the state in which it is on the way back to the head of its group."""
        return self._enter(State.SURRENDERING)

    def lost(self) -> State | None:
        """Enter the state after the lease was lost; the execution may go on. Returns the state it was in."""
        return self._leave_for(State.LOST)

    def ended(self) -> bool:
        """Enter the last state."""
        return self._enter(State.ENDED)

    def _enter(self, state: State) -> bool:
        return self._leave_for(state) is not None

    def _leave_for(self, state: State) -> State | None:
        """Enter a state. Returns the previous one; None: there is no such edge.

        Python runs signal handlers at calls, so none comes between the last check and the assignment.
        """
        with self._lock:
            while (before := self.state) in FOLLOWS[state]:
                if self.state is before:  # else a signal handler was faster
                    self.state = state
                    return before
        return None

    # -- data ----------------------------------------------------------------

    def let_go(self) -> None:
        """Note that our code has passed the run on to Celery, or back."""
        self.in_hand = False

    def set_request(self, request: Any) -> None:
        """Note the request that Celery has made of the run."""
        self._request = weakref.ref(request)

    def set_job(self, job: Callable[[], Any]) -> None:
        """Note the job that the pool has made of the run, which `job` finds."""
        self.job = job

    def renew(self, since: float) -> None:
        """Note the time of a call that renewed the lease."""
        self.renewed = since

    def set_dying(self, pid: int) -> None:
        """Note that the execution was stopped, and is over when this child process is gone."""
        self.dying = pid

    def set_gathered(self, messages: Sequence[bytes]) -> None:
        """Note the messages of the calls that it executes together with its own."""
        self.gathered = messages

    def set_follows(self) -> None:
        """Note that it is executed with another run's call."""
        self.follows = True

    def set_batch(self, batch: Batch) -> None:
        """Note the calls that it executes together with its own."""
        self.batch = batch

    def set_outcome(self, outcome: str, failure: Failure | None = None) -> None:
        """Note the outcome of the execution, in one word, and the failure unless its policy is `continue`."""
        self.outcome, self.failure = outcome, failure or self.failure

    def set_continuation(self, entry: Entry | None) -> None:
        """Note the retry or replacement to store with the end of the run."""
        self.continuation.entry = entry

    def mark_worker_lost(self) -> None:
        """Note that the run ended with its process, or with another fault that must not come back for ever."""
        self.worker_lost = True

    def clear_decision(self) -> None:
        """Note that the run has no outcome, whatever Celery has said: it goes back to the head of its group."""
        self.disposition = None

    # -- the decision of Celery -----------------------------------------------

    def on_ack(self, logger: Any, errors: Any) -> None:
        """Take the acknowledgement of the broker's message as Celery's decision."""
        self._decide(Disposition.ACK)

    def on_reject(self, logger: Any, errors: Any, requeue: bool = False) -> None:
        """Take the rejection of the broker's message as Celery's decision."""
        self._decide(Disposition.REQUEUE if requeue else Disposition.REJECT)

    def _decide(self, disposition: Disposition) -> None:
        self.disposition = self.disposition or disposition
        running = self.state is State.STARTED or (self.state is State.LOST and self.pid is not None)
        if not running:
            self.settle()

    def settle(self) -> None:
        """Let the end be sent to the gate: the execution is over, or will not be."""
        self._decided(self)

    @property
    def done(self) -> bool:
        """Return whether it has an outcome; else it goes back to the head of its group."""
        return self.disposition in (Disposition.ACK, Disposition.REJECT)

    @property
    def is_lost(self) -> bool:
        """Return whether its lease is lost: another run may have begun."""
        return self.state is State.LOST

    # -- holders -------------------------------------------------------------

    @property
    def request(self) -> Any:
        """Return Celery's request, while other code than ours holds it; else None."""
        return self._request()

    @property
    def was_requested(self) -> bool:
        """Return whether Celery has made a request of it."""
        return self._request is not _nothing

    def __repr__(self) -> str:
        return f"<Run {printable(self.ticket.id)} of {self.key!r} fence={self.ticket.fence} {self.state.value}>"


def _nothing() -> None:
    return None


class Runs:
    """The runs of one worker. One ticket may have several: when Redis loses its begin, the ticket begins again."""

    def __init__(self) -> None:
        self._runs: dict[Run, None] = {}  # in their order
        self._latest: dict[str, Run] = {}

    def add(self, run: Run) -> Run | None:
        """Keep a run until it is removed.

        Returns:
            Of two runs of one ticket the one with the lower fence, whose lease is lost. It may be the given one: the
            answer to its begin has come late. None: there is one run only.
        """
        self._runs[run] = None
        latest = self._latest.get(run.header, run)
        if latest.ticket.fence > run.ticket.fence:
            return run
        self._latest[run.header] = run
        return latest if latest is not run else None

    def of(self, header: str) -> Run | None:
        """Return the latest run of a message with this header."""
        return self._latest.get(header)

    def remove(self, run: Run) -> None:
        """Forget a run."""
        self._runs.pop(run, None)
        if self._latest.get(run.header) is run:
            del self._latest[run.header]

    def __iter__(self) -> Iterator[Run]:
        """Iterate over a snapshot, as other threads add and remove runs meanwhile."""
        return iter(list(self._runs))

    def __len__(self) -> int:
        return len(self._runs)
