"""The completion of Celery's own log lines about an ordered run: each names the run's group and fence.

Nothing in Celery is changed for it. The loggers of the modules that write these lines get a filter, which completes
records about the run in progress. Other records pass as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar

from celery_groupfifo.printing import escape
from celery_groupfifo.sending.context import Continuation, current
from celery_groupfifo.worker.scoped import Scoped

#: The modules of Celery whose log lines are about one task: received; succeeded, retry, raised, ignored, rejected;
#: revoked and timed out.
LOGGERS = ("celery.worker.strategy", "celery.app.trace", "celery.worker.request")
#: The one that does not always name the task: "Task handler raised error".
_UNNAMED = LOGGERS[2]

_about: ContextVar[Continuation | None] = ContextVar("groupfifo_about", default=None)


def about(run: Continuation) -> Scoped:
    """Let log lines about a run name it in this block, where no run is in progress."""
    return Scoped(_about, run)


class _Completion(logging.Filter):
    """A filter that completes records about the run in progress, and lets all pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        run = _about.get() or current()
        if run is not None:
            _complete(record, run)
        return True


def _complete(record: logging.LogRecord, run: Continuation) -> None:
    """Name the group of a run at the end of a record about it, and escape the control characters in its values.

    The text before it stays Celery's, so searches in logs still find it. The group comes as an argument, so that the
    text of the record is the same for all groups.
    """
    args, task_id = record.args, run.ticket.id
    group = f"group {run.key!r}, fence {run.ticket.fence})"
    if isinstance(args, Mapping):
        if args.get("id") != task_id:
            return
        record.args, more = {**args, "of_group": f" ({group}"}, "%(of_group)s"
    elif isinstance(args, tuple) and task_id in args:
        record.args, more = (*args, f" ({group}"), "%s"
    elif isinstance(args, tuple) and record.name == _UNNAMED:  # records of this logger in a run are about that run
        record.args, more = (*args, f" (task {task_id}, {group}"), "%s"
    else:
        return
    record.msg = f"{record.msg}{more}"
    record.group_key, record.fence = run.key, run.ticket.fence
    escape(record)


_COMPLETION = _Completion()


def install() -> None:
    """Let Celery's log lines name groups, in this process and those it forks. A second call changes nothing."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_COMPLETION)
