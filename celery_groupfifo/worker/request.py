"""The request of an ordered run: it sees every outcome, on every pool, and ends the run exactly once.

The calls of Celery (the whole table is in docs/how-it-works.md):

- success, failure, retry, Ignore, Reject, a lost child: `on_success` or `on_failure`, when the execution is over;
- hard time limit: prefork calls `on_failure` *before* it kills the child, gevent only `on_timeout`, afterwards;
- terminated: acknowledged at once, `on_failure` when the child is gone;
- revoked or expired before the start: acknowledged, never started.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging import ERROR
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from celery import signals
from celery.exceptions import Ignore, Reject, Retry, TaskRevokedError, Terminated, TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import Request

from celery_groupfifo.gate.model import ETA_HEADER, HEADERS, TRAVELLING
from celery_groupfifo.sending.context import continuing
from celery_groupfifo.sending.options import option_of
from celery_groupfifo.worker import events
from celery_groupfifo.worker.failures import failure
from celery_groupfifo.worker.log_context import about
from celery_groupfifo.worker.precomputed import custom_headers, decoded_body
from celery_groupfifo.worker.run import ENDING, Run, State
from celery_groupfifo.worker.scoped import Scoped
from celery_groupfifo.worker.trace import Carried, split_batch, split_result

if TYPE_CHECKING:
    from celery_groupfifo.worker.member import Member

#: Exceptions that end a process from inside.
EXITS = (SystemExit, KeyboardInterrupt)
#: A run that raised one of these, and was not asked to end, has lost its worker.
GONE = (Terminated, *EXITS)
#: The result of a killed greenlet in Celery's pools: no result, after no time.
KILLED = (False, None, None)
#: Outcome by the type of the exception; any other one is a failure.
OUTCOMES = ((Retry, "retry"), (Ignore, "ignored"), (Reject, "rejected"), (Terminated, "revoked"))
#: The run of which Celery makes a request.
_requested: ContextVar[Run] = ContextVar("groupfifo_requested")


def requesting(run: Run) -> Scoped:
    """Let the request that Celery makes in this block be that of a run. The ticket can't tell: it may have several."""
    return Scoped(_requested, run)


class GroupRequest(Request):  # type: ignore[misc]
    """The mixin for the task's own request class, see receiver.py.

    Attributes:
        member: The worker as a member of the gate; set on the mixed class.
        run: The run of this request.
    """

    member: Member
    run: Run
    _is_stopped = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Wrap two methods that Celery overrides in a subclass per task, without calling ours."""
        super().__init_subclass__(**kwargs)
        own = cls.__dict__
        if "on_success" in own:
            cls.on_success = _wrap_on_success(own["on_success"])
        if "execute_using_pool" in own:
            cls.execute_using_pool = _wrap_execute(own["execute_using_pool"])

    def __init__(self, message: Any, **options: Any) -> None:
        self.run = run = _requested.get()
        super().__init__(message, **options)
        run.set_request(self)
        request = self._request_dict
        request["eta"] = request.get(ETA_HEADER)  # the task may read the ETA, but must not wait for it
        for name in HEADERS:
            request.pop(name, None)
        if self.member.pool.precomputes:
            self._precompute(message)

    def _precompute(self, message: Any) -> None:
        request = self._request_dict
        if request.get("headers") is None:
            request["headers"] = custom_headers(request)
        body = decoded_body(message, request) if self.content_type else None  # else: an older protocol has decoded it
        if body is not None:
            self._body = body
            self._content_type = self._content_encoding = None

    @property
    def carried(self) -> Carried:
        """Return the values of the run that go to the pool."""
        run, about, ttl = self.run, self.run.continuation, self.member.gate.settings.lease_ttl
        own = run.header, run.ticket.fence, run.key, about.retries, about.options, run.renewed, ttl
        return own if run.batch is None else (*own, run.batch.carried())

    def terminate(self, *args: Any, **options: Any) -> None:
        """Terminate as Celery does; not one call of a batch, whose process executes the others, too."""
        if self.run.follows:
            said = "is executed in a batch with others: terminate the first task of the batch."
            events.log(ERROR, said, self.name, events.of_run(self.run))
        else:
            super().terminate(*args, **options)

    def cancel(self, *args: Any, **options: Any) -> None:
        """Cancel as Celery does: the worker stops, or has lost its broker. Greenlets may end before this returns."""
        self._is_stopped = True
        if self.run.follows:  # its execution is that of the run that it follows, which is cancelled by its own request
            super().cancel(_Unharmed(), *args[1:], **options)
        else:
            super().cancel(*args, **options)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Note the start, as Celery does."""
        self.run.started(pid)
        super().on_accepted(pid, time_accepted)
        if self.run.batch is not None:
            self.run.batch.accepted(pid, time_accepted)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Handle a time limit. Where runs are no processes, the execution has been unwound already."""
        run = self.run
        if soft or self.member.pool.has_processes:
            with continuing(run.continuation):
                super().on_timeout(soft, timeout)
            return
        if run.state in ENDING or run.state is State.ENDED:
            return  # the limit has struck while its end was on its way, which stays its outcome
        lost = run.is_lost
        self._fails(TimeLimitExceeded(timeout))
        try:
            if lost:
                state.task_ready(self)  # the task is another run's by now: no state is stored, no event sent
            else:
                self._celerys_timeout(soft, timeout)
        finally:
            run.over()
            run.settle()

    def _celerys_timeout(self, soft: bool, timeout: float) -> None:
        """Let Celery handle a time limit; if a result backend or a hook of the task raises, decide as Celery would."""
        try:
            with continuing(self.run.continuation):
                super().on_timeout(soft, timeout)
        except Exception as error:  # of a result backend or of the user's code: anything
            said = f"was stopped by its time limit; what was to follow raised {error!r}"
            events.log(ERROR, said, self.name, events.of_run(self.run), exc_info=True)
            acks = getattr(self._task, "acks_on_timeout", None)  # Celery 5.7
            if not self._task.acks_late or (self._task.acks_on_failure_or_timeout if acks is None else acks):
                self.acknowledge()

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Handle every outcome but success."""
        run, error = self.run, exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        unasked = not (self._already_revoked or self._already_cancelled)
        if isinstance(error, GONE) and unasked:
            # Terminated: Celery never clears this child's "terminated" flag. The child was told to end an earlier task
            # and did not; now something else has killed it, and this task was not revoked. The others: the process is
            # gone, but Celery before 5.7 takes the exception for a failure.
            exc_info = _lost_info(f"Worker exited prematurely: {error!r}.")
            error = exc_info.exception.exc
        run.set_outcome(next((word for kind, word in OUTCOMES if isinstance(error, kind)), "failure"))
        if run.outcome == "failure":
            self._fails(error, exc_info.traceback)
        if isinstance(error, TimeLimitExceeded) and self.member.pool.has_processes and self.worker_pid:
            run.set_dying(self.worker_pid)  # Celery calls before it kills the child
            try:
                with continuing(run.continuation):
                    super().on_failure(exc_info, send_failed_event, return_ok)
            finally:
                self.member.when_child_gone(run)
            return
        lost = run.is_lost
        if run.batch is None:  # else its acknowledgement would send its end before its followers have theirs
            run.over()
        gone = isinstance(error, (WorkerLostError, SystemExit, MemoryError))
        if self._already_cancelled and (gone or isinstance(error, Terminated)):
            run.clear_decision()  # stopped with the worker, on purpose: it goes back
        elif gone:
            run.mark_worker_lost()
        try:
            if lost or (isinstance(error, EXITS) and not unasked):
                # Another run's task by now, or ended on purpose: no state is stored, no event sent.
                state.task_ready(self)
            elif isinstance(error, Reject):
                try:  # Celery stores the state first: if that fails, the task would come back for ever
                    with self._unstored():
                        super().on_failure(exc_info, send_failed_event, return_ok)
                finally:
                    self.reject(error.requeue)
            else:
                with continuing(run.continuation):
                    super().on_failure(exc_info, send_failed_event, return_ok)
        finally:
            if run.batch is not None and run.done and not lost and run.continuation.entry is None:
                if isinstance(error, MemoryError):
                    run.batch.lose(_lost_info(f"Worker exited prematurely: {error!r}."))
                elif gone:
                    run.batch.lose(exc_info)
                elif not isinstance(error, Exception):  # such as asyncio.CancelledError: it comes here without a result
                    run.batch.fail(exc_info)
            run.settle()

    def _retry_worker_lost(self, *args: Any) -> bool:
        """Retry the task as Celery 5.7 does (`retry_on_worker_lost`), unless the calls of its batch run again alone."""
        runs_again = self._task.acks_late and self._task.reject_on_worker_lost
        if self.run.follows or (self.run.batch is not None and runs_again):
            return False
        return bool(super()._retry_worker_lost(*args))

    def _fails(self, error: BaseException, traceback: object = None) -> None:
        self.run.set_outcome("failure", failure(self.member, self.run.message.headers, self._task, error, traceback))
        if self.run.batch is not None and not self.run.is_lost and isinstance(error, TimeLimitExceeded):
            self.run.batch.time_out(error)

    @property
    def max_lost(self) -> int:
        """Return the runs that may end with a lost worker: as set by the call, else the task, else the setting."""
        said = self.run.continuation.options.get(TRAVELLING["group_max_lost"])
        if said is None:
            said = option_of(self._task, "group_max_lost")
        return int(said) if said is not None else self.member.gate.settings.max_lost

    def fail_as_lost(self) -> None:
        """Fail for good, without another run: too many workers were lost with this task."""
        times = self.run.ticket.lost
        message = (
            f"{times} workers were lost with task {self.id}: it is not run again (group_max_lost={self.max_lost})."
        )
        info, error = _lost_info(message), WorkerLostError(message)
        self._fails(error)
        events.log(ERROR, f"fails for good: {message}", self.name, events.of_run(self.run))
        state.task_ready(self)
        with self._unstored():
            self.task.backend.mark_as_failure(self.id, error, request=self._context, store_result=self.store_errors)
        self.task.request_stack.push(self._context)
        try:
            with continuing(self.run.continuation):
                signals.task_failure.send(
                    sender=self.task,
                    task_id=self.id,
                    exception=error,
                    args=self.args,
                    kwargs=self.kwargs,
                    traceback=info.traceback,
                    einfo=info,
                )
        finally:
            self.task.request_stack.pop()
        self.send_event("task-failed", exception=repr(error), traceback=info.traceback)
        self.acknowledge()

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        """Announce a revoked task. A result backend that is away must not keep its group and slot."""
        with self._unstored():
            super()._announce_revoked(reason, terminated, signum, expired)
        self._already_revoked = True
        self.acknowledge()

    @contextmanager
    def _unstored(self) -> Iterator[None]:
        """Log the error of a state that can't be stored: the group does not wait for the result backend."""
        try:
            yield
        except Exception as error:  # any backend may raise anything
            said = f"has a state that can't be stored: {error!r}"
            events.log(ERROR, said, self.name, events.of_run(self.run), exc_info=True)


class _Unharmed:
    """Stands for the pool: it terminates nothing."""

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Do nothing."""


def _is_memory_error(result: tuple[Any, ...]) -> bool:
    """Return whether a run has failed with one, for which Celery ends the worker."""
    error = result[1].exception if result[0] else None
    return isinstance(error.exc if isinstance(error, ExceptionWithTraceback) else error, MemoryError)


def _lost_info(message: str) -> ExceptionInfo:
    try:
        raise WorkerLostError(message)
    except WorkerLostError:
        return ExceptionInfo(sys.exc_info())


def _wrap_on_success(inner: Callable[..., Any]) -> Callable[..., Any]:
    def on_success(self: GroupRequest, result: Any, **kwargs: Any) -> Any:
        run = self.run
        if not isinstance(result, tuple):
            # A SystemExit in a thread or greenlet: Celery passes an ExceptionInfo here, and can't unpack it.
            return self.on_failure(result)
        result, others = split_batch(result)
        result, entry = split_result(result)
        run.set_continuation(entry)
        lost, stopped = run.is_lost, self._is_stopped and tuple(result) == KILLED
        if run.batch is not None and others and not lost and not _is_memory_error(result):
            try:
                run.batch.end(others)
            except MemoryError:  # Celery ends the worker: that is a loss, or it would come back for ever
                run.mark_worker_lost()
                run.settle()
                raise
        run.over()
        run.set_outcome("success")  # unless on_failure follows
        if stopped:
            run.clear_decision()  # with the worker, on purpose: it goes back
        try:
            return state.task_ready(self) if lost or stopped else inner(self, result, **kwargs)
        finally:
            run.settle()

    return on_success


def _wrap_execute(inner: Callable[..., Any]) -> Callable[..., Any]:
    def execute_using_pool(self: GroupRequest, pool: Any, **kwargs: Any) -> Any:
        run = self.run
        with about(run.continuation):
            if run.ticket.lost >= self.max_lost and not run.is_lost and not self.revoked():
                self.fail_as_lost()
            if not run.given():
                raise TaskRevokedError(self.id)  # failed, or surrendered meanwhile: it is another run's
            job = inner(self, pool, **kwargs)
        if job is not None:
            run.set_job(self.member.pool.reference(job))
        return job

    return execute_using_pool
