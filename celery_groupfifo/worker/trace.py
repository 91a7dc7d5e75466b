"""The code around Celery's own function that runs a task, in the pool.

- It brings the continuation of a run (its retry, or what replaces it) to the main process, with the run's end.
- It asks the gate before the task starts, and when it has come to its end, if the lease may be lost: a late result must
  not be stored, nor its callbacks be sent. It works outside of the task's class, whatever that overrides.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

from billiard.einfo import ExceptionInfo
from celery import current_app
from celery.app import trace
from celery.app.trace import fast_trace_task, loads_message, prepare_accept_content, trace_task_ret
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.log import get_logger

from celery_groupfifo.errors import GateUnavailable, UnsupportedState
from celery_groupfifo.gate import doubts
from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.model import Entry, Ticket
from celery_groupfifo.printing import escaping, printable
from celery_groupfifo.sending.batch import BatchCall, Followers, ending, executing, forget_outcomes
from celery_groupfifo.sending.context import Continuation, continuing
from celery_groupfifo.worker.max_hold import limited
from celery_groupfifo.worker.quiet import quiet_end

logger = escaping(get_logger(__name__))

#: Seconds that a run waits for the gate to say whether it is late.
LEASE_PATIENCE = 1.0

#: Stands for the outcome of a call that has none.
NO_OUTCOME = object()

Target = Callable[..., Any]


def in_pool(target: Target) -> Target:
    """Return the function that a pool runs in place of Celery's."""
    return _KNOWN.get(target) or partial(run_traced, target)


def run_fast(*args: Any) -> Any:
    """Run Celery's `fast_trace_task`. A function with a name is sent to a child in few bytes."""
    return run_traced(fast_trace_task, *args)


def run_full(*args: Any) -> Any:
    """Run Celery's `trace_task_ret`."""
    return run_traced(trace_task_ret, *args)


_KNOWN = {fast_trace_task: run_fast, trace_task_ret: run_full}


Carried = tuple[Any, ...]
"""A run's values for the pool, behind Celery's arguments: ticket, fence, key, retries, options, time when the lease may
have started (see `clock`), its length (s); and one more when it has a batch: its followers, see batch.py. It is no part
of Celery's request, which tasks read and send on."""


def run_traced(target: Target, name: str, task_id: str, *args: Any) -> Any:
    """Run a task of a group.

    Args:
        target: Celery's function that runs a task.
        name: Of the task.
        task_id: For the function.
        *args: For the function; and last, a run's `Carried`.

    Returns:
        The function's result; with one item more, the entry, when a task was sent under the run's id.
    """
    carried: Carried = args[-1]
    text, fence, key, retries, options, since, seconds, *others = carried
    if others:
        return _run_batch(target, name, task_id, *args)
    ticket = Ticket.parse(text)
    assert ticket is not None, "the worker has read it"
    ticket = ticket.begun(fence)
    continuation = Continuation(ticket, key, retries, options)
    guard = _Guard(ticket, key, (since, seconds))
    token = _guards.set(guard)
    _watch(name)
    try:
        with continuing(continuation):
            result = target(name, task_id, *args[:-1])
    except MemoryError:
        raise
    except _failures():
        # A sent continuation stays sent: a result backend that is away, or hangs beyond the time limit, must not undo
        # it.
        if continuation.entry is None:
            raise
        result = (1, _outcome(continuation), 0.0)
    finally:
        _guards.reset(token)
    entry = None if guard.refused else continuation.close()
    return result if entry is None else (*result, entry)


def split_result(result: tuple[Any, ...]) -> tuple[tuple[Any, ...], Entry | None]:
    """Split a result of `run_traced` into Celery's and the continuation."""
    return (result[:3], result[3]) if len(result) > 3 else (result, None)


class Batched(NamedTuple):
    """The result of a run with a batch: its own, and those of its followers, in order; of one without an outcome None.

    One that has none gets another run.
    """

    own: tuple[Any, ...]
    others: list[Any]


def split_batch(result: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[Any]]:
    """Split a result of `run_traced` into the run's own and those of its followers."""
    return (result.own, result.others) if isinstance(result, Batched) else (result, [])


def _run_batch(target: Target, name: str, task_id: str, *args: Any) -> Batched:
    """Run a task with the calls of a batch: the function once, and Celery's code around it for each call."""
    *celerys, carried = args
    others, calls = carried[-1], []
    for each in others:
        _, id, request, body, kind, encoding = each.call
        if kind:
            body = loads_message(body, kind, encoding, accept=prepare_accept_content(current_app.conf.accept_content))
        calls.append((name, id, request, body, None, None))
    batch = Followers([BatchCall(id, [*body[0]], {**body[1]}) for _, id, _, body, *_ in calls])
    with executing(batch):
        own = run_traced(target, name, task_id, *celerys, carried[:-1])
    if len(own) > 3:  # it goes on, and they with it
        return Batched(own, [None] * len(calls))
    if batch.raised is not None:
        outcomes = [NO_OUTCOME if each.stays else batch.raised for each in others]
    else:
        outcomes = [*batch.outcomes, *[NO_OUTCOME] * (len(calls) - len(batch.outcomes))]
    key, fence = carried[2], carried[1]
    found: list[Any] = []
    quiet = quiet_end(name, target)
    for each, call, outcome in zip(others, calls, outcomes, strict=True):
        run = partial(_continuation, each, key, fence)
        short = None if outcome is NO_OUTCOME else quiet(call, outcome, run)
        if short is None and outcome is not NO_OUTCOME:
            short = _end_call(target, call, run(), outcome)
        found.append(short)
    return Batched(own, found)


def _continuation(each: Any, key: str, fence: int) -> Continuation:
    """Return that of one call of a batch."""
    ticket = Ticket.parse(each.header)
    assert ticket is not None, "the worker has read it"
    return Continuation(ticket.begun(fence), key, each.retries, each.options)


def _end_call(target: Target, call: tuple[Any, ...], run: Continuation, outcome: Any) -> Any:
    """Let Celery's function end a call that has an outcome: it stores the state, and sends what follows."""
    before = getattr(outcome, "__traceback__", None)
    try:
        with continuing(run), ending(outcome):
            return target(*call)
    except MemoryError:
        raise
    except Exception:  # a result backend may raise anything: the call has failed, as a run would have
        return 1, ExceptionInfo(), 0.0
    finally:
        if isinstance(outcome, Exception):
            outcome.__traceback__ = before  # it may be that of many calls, and grows with each


def _failures() -> tuple[type[BaseException], ...]:
    """Return the exceptions that are failures of a run: gevent's hard time limit, too, which is no Exception."""
    gevent = sys.modules.get("gevent")
    return (Exception,) if gevent is None else (Exception, gevent.Timeout)


def _outcome(continuation: Continuation) -> ExceptionInfo:
    try:
        raise Retry("retried") if continuation.is_retry else Ignore("replaced")
    except (Retry, Ignore):
        return ExceptionInfo()


# -- late runs ---------------------------------------------------------------


class _Guard:
    """The guard of a run, which refuses late results.

    Args:
        ticket: Of the run.
        key: Of its group.
        begun: Time when the lease may have started (see `clock`), and its length; seconds.

    Attributes:
        entered: True once the task is called: calls that it makes itself are not guarded.
        refused: True when the lease was lost.
    """

    __slots__ = ("_begun", "_key", "_ticket", "entered", "refused")

    def __init__(self, ticket: Ticket, key: str, begun: tuple[float, float]) -> None:
        self._ticket, self._key, self._begun = ticket, key, begun
        self.entered = self.refused = False

    def check(self, what: str) -> None:
        """Ask the gate whether the run still holds its group, when its lease may be over.

        Args:
            what: Sentence that says what is refused.

        Raises:
            Ignore: Another run may have begun.
        """
        since, seconds = self._begun
        # No call to the gate for each task: before its lease may be over, a run has lost its group only when Redis has
        # lost the begin, as a server that has taken over may have, or when it was surrendered by mistake.
        if now() - since <= seconds and since > doubts.last():
            return
        try:
            gate = gate_of(current_app, "groupfifo-late", timeout=LEASE_PATIENCE, patient=False)
            lost = gate.lease(self._ticket) is None
        except UnsupportedState:
            lost = True  # its group goes on with another release
        except GateUnavailable as error:
            logger.warning("Can't check whether the lease of group %r is lost: %s", self._key, error)
            return
        if lost:
            self.refused = True
            forget_outcomes()
            run = f"task {printable(self._ticket.id)} (group {self._key!r}, fence {self._ticket.fence})"
            said = f"{what} The lease of {run} is lost: another run may have begun."
            logger.warning("%s", said)
            raise Ignore(said)


_guards: ContextVar[_Guard | None] = ContextVar("groupfifo_guard", default=None)
#: Tasks of this process whose calls are guarded.
_watched: dict[str, Any] = {}


def _watch(name: str) -> None:
    """Let the calls of a task pass the guard, and its retries their limit; once per process, before its first run.

    That is before its first run in a group. Celery calls `task.run`, or `task.__call__` where a class has its own; then
    it sends callbacks and stores the result. A late result must be refused between the two.
    """
    task = current_app.tasks.get(name)
    if task is None or _watched.get(name) is task:
        return
    kind = type(task)
    if not getattr(kind.__call__, "groupfifo", False):
        kind.__call__ = _guarded(kind.__call__)
    if not getattr(kind.retry, "groupfifo", False):
        kind.retry = limited(kind.retry)
    hostname = trace._localized[2] if len(trace._localized) == 3 else None
    app = current_app._get_current_object()
    task.__trace__ = trace.build_tracer(name, task, app.loader, hostname, app=app)
    _watched[name] = task


def _guarded(call: Target) -> Target:
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        guard = _guards.get()
        if guard is None or guard.entered:
            return call(self, *args, **kwargs)
        guard.entered = True
        guard.check("The task is not started.")
        try:
            result = call(self, *args, **kwargs)
        except (Ignore, Reject):
            raise
        except Retry:
            guard.check("The retry is refused.")
            raise
        except Exception:  # a task may raise anything; it is raised on
            guard.check("The exception is refused.")
            raise
        guard.check("The result is refused.")
        return result

    guarded.groupfifo, guarded.guards = True, call  # type: ignore[attr-defined]
    return guarded
