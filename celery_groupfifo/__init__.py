"""Celery tasks in order, one at a time per key, groups in parallel.

Importing the package changes five places in Celery, for every app of the process: `AMQP._create_task_sender` asks for
the group of what is sent, `Router.route` keeps the first route of what has one, `Celery.send_task` returns the result
of the task that a duplicate finds, `Task.apply` checks the key and the options of what runs in place, and
`filter_hidden_settings` hides the password of `groupfifo_url`. Everything else belongs to apps that use groups, and
what only workers or operators need is loaded by them.

What `Groups` returns is in `celery_groupfifo.groups`: `Group`, `Running`, `Page`, `Parked`, `Found`, `Limit`,
`DeadLetter`, `Redriven`, `Action`, `Stats`, `Report`, `Observed`, `Example`,
`Breach`, `Check`, `Worker`. The guards of writes by the fence are in
`celery_groupfifo.fencing`, the tools for tests in `celery_groupfifo.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery_groupfifo import masks, signals
from celery_groupfifo.app import GroupFifo
from celery_groupfifo.errors import (
    DuplicateTask,
    GateUnavailable,
    GroupDraining,
    GroupFifoError,
    GroupFull,
    GroupLeaseLost,
    HeadChanged,
    InvalidBatchResult,
    InvalidGroupKey,
    InvalidOption,
    InvalidRoute,
    InvalidSetting,
    MissingGroupKey,
    NotReplicated,
    PartiallyParked,
    ScriptRefused,
    UnknownGroup,
    UnknownTask,
    UnsupportedServer,
    UnsupportedState,
    WrongState,
)
from celery_groupfifo.sending import in_place, publish
from celery_groupfifo.sending.batch import BatchCall
from celery_groupfifo.sending.bulk import park_many
from celery_groupfifo.sending.on_commit import park_on_commit
from celery_groupfifo.signals import (
    group_begun,
    group_blocked,
    group_finished,
    group_held,
    group_lease_lost,
    group_parked,
    group_reclaimed,
    group_stale,
    group_surrendered,
    group_tickets_lost,
)
from celery_groupfifo.task import GroupFifoTask, GroupRun

if TYPE_CHECKING:
    from celery_groupfifo.groups import Groups

publish.hook()
in_place.hook()
masks.hook()

__version__ = "0.1.0"

__all__ = [
    "BatchCall",
    "DuplicateTask",
    "GateUnavailable",
    "GroupDraining",
    "GroupFifo",
    "GroupFifoError",
    "GroupFifoTask",
    "GroupFull",
    "GroupLeaseLost",
    "GroupRun",
    "Groups",
    "HeadChanged",
    "InvalidBatchResult",
    "InvalidGroupKey",
    "InvalidOption",
    "InvalidRoute",
    "InvalidSetting",
    "MissingGroupKey",
    "NotReplicated",
    "PartiallyParked",
    "ScriptRefused",
    "UnknownGroup",
    "UnknownTask",
    "UnsupportedServer",
    "UnsupportedState",
    "WrongState",
    "group_begun",
    "group_blocked",
    "group_finished",
    "group_held",
    "group_lease_lost",
    "group_parked",
    "group_reclaimed",
    "group_stale",
    "group_surrendered",
    "group_tickets_lost",
    "park_many",
    "park_on_commit",
    "signals",
]


def __getattr__(name: str) -> Any:
    """Load `Groups` when it is first asked for: a process that only sends does without it."""
    if name != "Groups":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from celery_groupfifo.groups import Groups

    return Groups
