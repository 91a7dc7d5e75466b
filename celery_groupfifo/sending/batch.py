"""Tasks with `group_batch`: the function gets a list of calls, and returns or raises what becomes of each.

`called` is the `__call__` of such a task. It makes a batch of one call, but in a worker that
has gathered others: there `executing` brings them, and takes their outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from celery import Task
from celery.exceptions import Ignore, Reject, Retry

from celery_groupfifo.errors import InvalidBatchResult, InvalidOption
from celery_groupfifo.sending.grouping import is_ordered_class
from celery_groupfifo.sending.options import policy_of
from celery_groupfifo.settings import Settings

OPTION = "group_batch"
#: Calls of one batch, at most: the gate takes so many in one step.
MOST = 100


class BatchCall(NamedTuple):
    """One call of a task with `group_batch`.

    Attributes:
        id: The task's id; empty when the task was called as a function.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
    """

    id: str
    args: list[Any]
    kwargs: dict[str, Any]


def size_of(task: Any) -> int | None:
    """Return the calls that a task takes at once, at most; None: it takes none as a list."""
    size: int | None = getattr(task, OPTION, None) if is_ordered_class(type(task)) else None
    return size


def check_task_batch(task: Any, size: object) -> None:
    """Check `group_batch` of a task.

    Raises:
        InvalidOption: It is no number that fits, or the task's class is not ordered.
    """
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MOST:
        raise InvalidOption(f"{OPTION}={size!r} does not work: set it to a whole number from 1 to {MOST}.")
    if not is_ordered_class(type(task)):
        raise InvalidOption(f"{OPTION} of {task.name} has no effect in a plain task: base it on GroupFifoTask.")


def check_batch_call(task: Any, said: Mapping[str, Any], settings: Settings) -> None:
    """Check that the options of a call go with batches; see `policy_of`.

    Raises:
        InvalidOption: They do not.
    """
    if task is None or not size_of(task):
        return
    together = policy_of(task, said, "group_concurrency", settings)
    if together > 1:
        raise InvalidOption(
            f"{task.name} has {OPTION}={size_of(task)} and group_concurrency={together}: a batch is one run of its "
            "group, so leave out one of the two."
        )
    if policy_of(task, said, "group_hold_until", settings) == "chain":
        raise InvalidOption(
            f"{task.name} has {OPTION}={size_of(task)} and group_hold_until='chain': a batch has calls of several "
            "canvases. Set group_hold_until='task'."
        )
    if policy_of(task, said, "group_on_retry", settings) == "release":
        raise InvalidOption(
            f"{task.name} has {OPTION}={size_of(task)} and group_on_retry='release': a batch is retried in its place. "
            "Set group_on_retry='hold' on the task."
        )


# -- the calls of a run ------------------------------------------------------


class Followers:
    """The other calls of a run's batch.

    Args:
        others: The calls behind the run's own, in order.

    Attributes:
        others: The same.
        outcomes: Of the first ones of them: results, and exceptions of those that failed; the rest has not run.
        raised: The exception that the function has raised: the outcome of all.
        replaced: The function has replaced the first call: the others have not run.
    """

    def __init__(self, others: Sequence[BatchCall]) -> None:
        self.others = others
        self.outcomes: list[Any] = []
        self.raised: Exception | None = None
        self.replaced = False
        self._entered = False

    def enter(self) -> bool:
        """Return True the first time: calls that the function makes itself are not of this batch."""
        entered, self._entered = self._entered, True
        return not entered

    def forget(self) -> None:
        """Forget all outcomes: the lease of the run is lost."""
        self.outcomes, self.raised = [], None


_batch: ContextVar[Followers | None] = ContextVar("groupfifo_batch", default=None)
#: The outcome of a call that was executed with others: the next call of its task returns it. It is used once.
_ready: ContextVar[list[Any] | None] = ContextVar("groupfifo_outcome", default=None)


@contextmanager
def executing(batch: Followers) -> Iterator[None]:
    """Let the call that comes in this block bring other calls."""
    token = _batch.set(batch)
    try:
        yield
    finally:
        _batch.reset(token)


@contextmanager
def ending(outcome: Any) -> Iterator[None]:
    """Let the call that comes in this block have an outcome already."""
    token = _ready.set([outcome])
    try:
        yield
    finally:
        _ready.reset(token)


def forget_outcomes() -> None:
    """Forget the outcomes of the batch in progress, if there is one: its lease is lost."""
    if (batch := _batch.get()) is not None:
        batch.forget()


def install(kind: Any) -> None:
    """Let a task class with `group_batch` take its calls as a list."""
    call = kind.__call__
    if not getattr(call, "groupfifo_batch", False):
        kind.__call__ = _called(call, any("__call__" in each.__dict__ for each in _own(kind)))
        kind.replace = _replacing(kind.replace)
    kind.typing = False  # the parameters of a call are not those of the function


def _own(kind: type) -> Iterator[type]:
    return (each for each in kind.__mro__ if each is not object and each not in Task.__mro__)


def _called(call: Callable[..., Any], is_own: bool) -> Callable[..., Any]:
    """Return the `__call__` of a task class.

    Args:
        call: The one that it has.
        is_own: It is not Celery's, which would make a new request for a run in progress.
    """

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        if ready := _ready.get():
            return _result(ready.pop())
        batch = _batch.get()
        if batch is None or not batch.enter():
            batch = Followers(())
        request = self.request
        calls = [BatchCall(request.id or "", [*args], {**kwargs}), *batch.others]
        try:
            returned = call(self, calls) if is_own or request.called_directly else self.run(calls)
            own, *batch.outcomes = _outcomes(self.name, returned, len(calls))
        except Retry:
            raise
        except Reject as error:
            batch.raised = None if error.requeue else error
            raise
        except Ignore as error:
            batch.raised = None if batch.replaced else error
            raise
        except Exception as error:  # the function may raise anything
            batch.raised = error
            raise
        return _result(own)

    called.groupfifo_batch = True  # type: ignore[attr-defined]
    return called


def _replacing(replace: Callable[..., Any]) -> Callable[..., Any]:
    """Return the `replace` of a task class."""

    def replacing(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (batch := _batch.get()) is not None:
            batch.replaced = True
        return replace(self, *args, **kwargs)

    return replacing


def _result(outcome: Any) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _outcomes(name: str, returned: Any, many: int) -> list[Any]:
    """Return the outcomes of calls, as the function has returned them.

    Raises:
        InvalidBatchResult: It has not.
    """
    if returned is None:
        return [None] * many
    if not isinstance(returned, (list, tuple)):
        raise InvalidBatchResult(
            f"{name} returned a {type(returned).__name__} for {many} calls: return a list with the result of each, or "
            "None."
        )
    if not 1 <= len(returned) <= many:
        raise InvalidBatchResult(
            f"{name} returned {len(returned)} results for {many} calls: return one for each, or fewer when the calls "
            "behind them have not run; raise an exception when none has."
        )
    wrong = next((each for each in returned if isinstance(each, (Retry, Reject))), None)
    if wrong is not None:
        raise InvalidBatchResult(
            f"{name} returned {wrong!r} for one call: only the whole batch can be retried or rejected. Return the "
            "results before it, or raise."
        )
    return [*returned]


__all__ = ["BatchCall", "Followers", "check_batch_call", "check_task_batch", "executing", "install", "size_of"]
