"""Celery tasks in order, one at a time per key, groups in parallel.

Importing the package makes every Celery app of the process ask for the group of what it sends.
"""

from __future__ import annotations

from celery_groupfifo import masks, publish, revoke, signals
from celery_groupfifo.app import GroupFifo
from celery_groupfifo.bulk import park_many
from celery_groupfifo.errors import (
    DuplicateTask,
    GateUnavailable,
    GroupDraining,
    GroupFifoError,
    GroupLeaseLost,
    HeadChanged,
    InvalidGroupKey,
    InvalidOption,
    InvalidRoute,
    InvalidSetting,
    MissingGroupKey,
    PartiallyParked,
    ScriptRefused,
    UnknownGroup,
    UnknownTask,
    UnsupportedServer,
    WrongState,
)
from celery_groupfifo.groups import Groups
from celery_groupfifo.signals import (
    group_begun,
    group_blocked,
    group_finished,
    group_held,
    group_lease_lost,
    group_parked,
    group_reclaimed,
    group_rung,
    group_stale,
    group_surrendered,
)
from celery_groupfifo.task import GroupFifoTask, GroupRun

publish.hook()
revoke.hook()
masks.hook()

__version__ = "0.1.0"

__all__ = [
    "DuplicateTask",
    "GateUnavailable",
    "GroupDraining",
    "GroupFifo",
    "GroupFifoError",
    "GroupFifoTask",
    "GroupLeaseLost",
    "GroupRun",
    "Groups",
    "HeadChanged",
    "InvalidGroupKey",
    "InvalidOption",
    "InvalidRoute",
    "InvalidSetting",
    "MissingGroupKey",
    "PartiallyParked",
    "ScriptRefused",
    "UnknownGroup",
    "UnknownTask",
    "UnsupportedServer",
    "WrongState",
    "group_begun",
    "group_blocked",
    "group_finished",
    "group_held",
    "group_lease_lost",
    "group_parked",
    "group_reclaimed",
    "group_rung",
    "group_stale",
    "group_surrendered",
    "park_many",
    "signals",
]
