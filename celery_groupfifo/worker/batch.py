"""The batch of a run, in the main process: the calls that are executed with the run's own, its followers.

Each has a request of Celery's, so that its events, signals, states and log lines are those of a usual task; but only
the run is given to the pool, with the arguments of all. The gate knows the followers, see lua/lib/follow.lua: one
without an outcome goes back to its place in line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from billiard.einfo import ExceptionInfo
from celery.exceptions import TimeLimitExceeded
from celery.utils.log import get_logger
from celery.worker import state

from celery_groupfifo.gate.model import HEADER, Ticket
from celery_groupfifo.printing import escaping
from celery_groupfifo.sending.batch import size_of
from celery_groupfifo.worker.delivery import HandedOffMessage, decode, decode_bodies
from celery_groupfifo.worker.failures import blocks
from celery_groupfifo.worker.log_context import about
from celery_groupfifo.worker.request import requesting
from celery_groupfifo.worker.run import Run

if TYPE_CHECKING:
    from celery_groupfifo.worker.member import Member

logger = escaping(get_logger(__name__))

_ENDS = "A batch ends before a message that can't be read: %r"


class Carried(NamedTuple):
    """One follower on its way to the pool.

    Attributes:
        call: Arguments for Celery's function that runs a task: name, id, request, body, content type and encoding.
        header: The ticket.
        retries: Of the call.
        options: Headers with options of the call.
        stays: True when it has no outcome if the function raises: the group halts at the run's own call.
    """

    call: tuple[Any, ...]
    header: str
    retries: int
    options: dict[str, Any]
    stays: bool


#: Requests that a handler of Celery's has made in this thread, ready for a pool.
_requests: ContextVar[list[Any]] = ContextVar("groupfifo_followers")


class _NoPool:
    """A consumer for Celery's handler of messages that keeps its requests, instead of giving them to the pool.

    The rate limit of a worker counts a batch once.
    """

    disable_rate_limits = True

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def on_task_request(self, request: Any) -> None:
        _requests.get().append(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


def no_pool(consumer: Any) -> Any:
    """Return a consumer whose handlers of messages give nothing to the pool."""
    return _NoPool(consumer)


class Sizes:
    """The calls that tasks take at once, at most.

    Args:
        consumer: Celery's, whose app knows the tasks.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._known: dict[str | None, int] = {}

    def of(self, name: str | None) -> int:
        """Return that of a task; 1 for one that takes its calls one by one, or is unknown."""
        size = self._known.get(name)
        if size is None:
            task = self._consumer.app.tasks.get(name)
            size = size_of(task) or 1
            if task is not None:
                self._known[name] = size
        return size


class Batch:
    """The followers of one run.

    Args:
        member: The worker.
        run: The run that they follow.

    Attributes:
        settled: True once their ends are on the way to the gate.
    """

    def __init__(self, member: Member, run: Run) -> None:
        self._member, self._run = member, run
        self._followers: list[tuple[Run, Any]] = []
        self._revoked: list[Run] = []
        self._ended: set[Run] = set()
        self.settled = False

    def read(self, messages: Sequence[bytes], handle: Any) -> None:
        """Make requests of the followers' messages, up to the first one that can't be read: it gets a run of its own.

        Args:
            messages: As the gate has given them.
            handle: Celery's handler of messages, over `no_pool`.
        """
        made: list[Any] = []
        token = _requests.set(made)
        try:
            self._read(messages, handle, made)
        finally:
            _requests.reset(token)

    def _read(self, messages: Sequence[bytes], handle: Any, made: list[Any]) -> None:
        for message in self._decoded(messages):
            made.clear()
            try:
                follower = self._run_of(message)
                self._handle(follower, message, handle)
                if made:
                    self._member.events.begun(follower)
            except Exception as error:  # a message may break any code; Celery handles it when it is the head
                logger.debug(_ENDS, error)
                return
            if made:
                follower.given()
                self._followers.append((follower, made[0]))
            elif follower.done:  # revoked, or expired
                self._revoked.append(follower)
            else:
                return

    def _run_of(self, message: HandedOffMessage) -> Run:
        run, header = self._run, message.headers[HEADER]
        ticket = Ticket.parse(header)
        assert ticket is not None, "a script has made it"
        follower = Run(header, ticket, message, run.delivery, _nothing)
        follower.set_follows()
        follower.begun(ticket.begun(run.ticket.fence), run.since, run.renewed)
        return follower

    def _decoded(self, raws: Sequence[bytes]) -> list[HandedOffMessage]:
        """Return messages, up to the first one that can't be decoded."""
        accept, found = self._member.consumer.task_consumer.accept, []
        for raw, decoded in zip(raws, decode(raws), strict=True):
            try:
                message = HandedOffMessage(raw, self._run.delivery.channel, decoded)
            except Exception as error:  # a message may break any code
                logger.debug(_ENDS, error)
                break
            message.accept = accept
            found.append(message)
        decode_bodies(found, accept)
        return found

    @staticmethod
    def _handle(follower: Run, message: HandedOffMessage, handle: Any) -> None:
        """Let Celery make a request of a message."""
        if message.errors:
            message._reraise_error()
        with about(follower.continuation), requesting(follower):
            handle(message, None, follower.on_ack, follower.on_reject, ())

    # -- from the pool ------------------------------------------------------------

    def carried(self) -> list[Carried]:
        """Return what goes to the pool."""
        found = []
        for follower, request in self._followers:
            call = (
                request.type,
                request.task_id,
                request.request_dict,
                request.body,
                request.content_type,
                request.content_encoding,
            )
            more = follower.continuation
            stays = blocks(self._member, follower.message.headers, request.task)
            found.append(Carried(call, follower.header, more.retries, dict(more.options), stays))
        return found

    def accepted(self, pid: int, when: float) -> None:
        """Note that the pool executes them. Those that are acknowledged early have no outcome yet."""
        for _, request in self._followers:
            request.on_accepted(pid, when)

    def end(self, outcomes: Sequence[Any]) -> None:
        """Note the outcomes that the pool has returned, in order: of those without one, None."""
        for (follower, request), outcome in zip(self._followers, outcomes, strict=True):
            if outcome is not None:
                self._end(follower, partial(request.on_success, outcome))

    def time_out(self, error: TimeLimitExceeded) -> None:
        """Let all fail: the time limit of the run was theirs. Those whose failure blocks the group stay in line."""
        try:
            raise error
        except TimeLimitExceeded:
            self.fail(ExceptionInfo())

    def fail(self, info: ExceptionInfo) -> None:
        """Let all fail with the run. Those whose failure blocks the group stay in line."""
        self._fail(info, lambda follower, task: not blocks(self._member, follower.message.headers, task))

    def lose(self, info: ExceptionInfo) -> None:
        """Let all fail: their process is lost, and the run's task is not run again."""
        self._fail(info, lambda follower, task: True)

    def _fail(self, info: ExceptionInfo, may: Callable[[Run, Any], bool]) -> None:
        for follower, request in self._followers:
            if follower not in self._ended and may(follower, request.task):
                request.worker_pid = None  # its process is the run's, which watches its end
                self._end(follower, partial(request.on_failure, info))

    def _end(self, follower: Run, end: Callable[[], Any]) -> None:
        self._ended.add(follower)
        with about(follower.continuation):
            end()

    # -- to the gate ---------------------------------------------------------------

    def ends(self) -> tuple[list[Run], list[Run]]:
        """Return the followers that are over, and those of them that failed with a policy."""
        over = [*self._revoked, *(follower for follower, _ in self._followers if self._is_over(follower))]
        failed = [follower for follower in over if follower.failure is not None]
        return [follower for follower in over if follower.failure is None], failed

    def close(self) -> None:
        """Let go of the requests without an outcome."""
        for follower, request in self._followers:
            if not self._is_over(follower):
                with suppress(KeyError):
                    state.task_ready(request)

    def _is_over(self, follower: Run) -> bool:
        """Return whether it has an outcome: to be acknowledged early, when it starts, is none."""
        return follower in self._ended and follower.done


def _nothing(run: Run) -> None:
    """Do nothing: the end of the run that it follows is its end."""
