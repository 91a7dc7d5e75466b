"""Celery's own log lines about an ordered run: each names the run's group and fence.

Nothing of Celery is changed for it. The loggers of the modules that write these lines get a filter, which completes a
record that is about the run in progress. Records about anything else pass as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery_groupfifo.context import Continuation, current

#: The modules of Celery whose lines are about one task: received; succeeded, retry, raised, ignored, rejected; revoked
#: and out of time.
LOGGERS = ("celery.worker.strategy", "celery.app.trace", "celery.worker.request")
#: One of them does not always name the task: "Task handler raised error".
_UNNAMED = LOGGERS[2]

#: What Celery's lines have for a task's id, by the kind of their arguments. The group comes behind it.
NAMED, _PLACED = "[%(id)s]", "%s[%s]"

_about: ContextVar[Continuation | None] = ContextVar("groupfifo_about", default=None)


@contextmanager
def about(run: Continuation) -> Iterator[None]:
    """Let lines that are logged meanwhile, where no run is in progress, name a run that they are about."""
    token = _about.set(run)
    try:
        yield
    finally:
        _about.reset(token)


class _Completion(logging.Filter):
    """Completes records about the run in progress; lets all pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        run = _about.get() or current()
        if run is not None:
            _complete(record, run)
        return True


def _complete(record: logging.LogRecord, run: Continuation) -> None:
    """Name the group of a run in a record about it. It comes as an argument: the text is the same for all groups."""
    args, text, task_id = record.args, str(record.msg), run.ticket.id
    said = f" (group {run.key!r}, fence {run.ticket.fence})"
    if isinstance(args, Mapping):
        if args.get("id") != task_id:
            return
        completed: Any = {**args, "of_group": said}
        more = "%(of_group)s"
        record.msg = text.replace(NAMED, NAMED + more, 1) if NAMED in text else text + more
    elif isinstance(args, tuple) and task_id in args and _PLACED in text:
        place = args.index(task_id) + 1
        completed = (*args[:place], said, *args[place:])
        record.msg = text.replace(_PLACED, _PLACED + "%s", 1)
    elif record.name == _UNNAMED and isinstance(args, tuple):  # what is logged there meanwhile is about the run
        completed = (*args, f" (task {task_id}, {said[2:]}")
        record.msg = text + "%s"
    else:
        return
    record.args = completed
    record.group, record.fence = run.key, run.ticket.fence


_COMPLETION = _Completion()


def install() -> None:
    """Let Celery's lines name groups, in this process and those it forks. May be called again."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_COMPLETION)
