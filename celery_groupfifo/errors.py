"""The errors of the package, with one root; each message says what to do.

A class's docstring is its default message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.exceptions import ImproperlyConfigured
from kombu.exceptions import OperationalError

from celery_groupfifo.printing import printable

if TYPE_CHECKING:
    from celery.result import AsyncResult


class GroupFifoError(Exception):
    """Something is wrong with the ordered groups."""

    def __init__(self, message: str | None = None, *args: object) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip(), *args)

    def __str__(self) -> str:
        return printable(str(self.args[0]))


class MissingGroupKey(GroupFifoError):
    """The task needs a group key: set group_key on the task, or pass group_key=... with the call."""


class InvalidGroupKey(GroupFifoError):
    """A group key is any non-empty text of up to 512 bytes in UTF-8."""


class InvalidOption(GroupFifoError):
    """A group option has a value that it can't have."""


class InvalidRoute(GroupFifoError):
    """A task of a group has to go to exactly one queue: route it to one, or send a task without a group."""


class InvalidSetting(GroupFifoError, ImproperlyConfigured):  # type: ignore[misc]
    """A groupfifo_ setting is unknown or has a value that it can't have."""


class DuplicateTask(GroupFifoError):
    """A task with this id is parked or running already: use another task_id."""


class GroupLeaseLost(GroupFifoError):
    """The lease of this run is lost: another run of the task may have begun. Stop, and change nothing more."""


class GroupDraining(GroupFifoError):
    """The group is draining: it takes new tasks again when its last one has ended, or when it is resumed."""


class InvalidBatchResult(GroupFifoError):
    """A function with group_batch has to return a list with the result of each call, or None."""


class GroupFull(GroupFifoError):
    """The group has as many parked tasks as its group_max_depth allows: send the task later."""


class UnknownGroup(GroupFifoError):
    """The group holds no task: it was never used, or all of its tasks have ended."""


class UnknownTask(GroupFifoError):
    """No task with this id is at the gate: it has ended, or was never sent."""


class WrongState(GroupFifoError):
    """The group is not in the state that this needs: look at it again."""


class HeadChanged(WrongState):
    """Another task is the head of the group by now: nothing was done. Look at it again."""


class PartiallyParked(GroupFifoError):
    """Not every signature was parked: `.parked` holds the results of those that were, in order.

    Attributes:
        parked: `AsyncResult` of each signature that was parked, in the order given.
        cause: The error of the next one.
    """

    def __init__(self, message: str, parked: list[AsyncResult[Any]], cause: BaseException) -> None:
        super().__init__(message, parked, cause)
        self.parked = parked
        self.cause = cause


class GateUnavailable(GroupFifoError, OperationalError):
    """The gate's Redis can't be used right now: it is tried again until it can be."""

    #: True when the right server has answered and refuses this call for now (it is full, or busy): another call may
    #: pass.
    answered = False


class NotReplicated(GateUnavailable):
    """Too few replicas have confirmed a task that was parked: call again with the same task_id, it is parked once.

    Attributes:
        replies: Of the gate to the calls.
    """

    answered = True

    def __init__(self, message: str | None = None, replies: list[Any] | None = None) -> None:
        super().__init__(message)
        self.replies = replies or []


class UnsupportedServer(GroupFifoError):
    """The gate needs Redis 6.2 or newer, or Valkey."""


class UnsupportedState(GroupFifoError):
    """The stored state has a version that this release can't read, or another number of partitions."""


class ScriptRefused(GroupFifoError):
    """Redis refused a script of the gate: allow the user EVALSHA, SCRIPT LOAD and the gate's keys."""
