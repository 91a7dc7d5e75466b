"""The worker of observe mode: it runs tasks as plain Celery does, and tells the gate what starts and ends.

It tells in the process, thread or greenlet that runs the task, just before and after: so of two runs that the gate
sees one after the other, the first was over before the second began.
"""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import Any
from uuid import uuid4

from celery import Celery, signals
from celery.utils.log import get_logger

from celery_groupfifo.gate.model import HEADER, OBSERVED_HEADER
from celery_groupfifo.gate.observations import RUN_MS, Observations, Seen, Sent
from celery_groupfifo.printing import escaping
from celery_groupfifo.sending.observe import observer_of

logger = escaping(get_logger(__name__))

#: Options that GroupFifoTask sets for the gate; in observe mode those of the app count.
_OWN = ("acks_late", "reject_on_worker_lost")


#: Of the thread; and of the signals' receivers, so that a process has them once.
_NAME = "groupfifo-observer"


class Watcher:
    """The runs of one process.

    Args:
        app: The worker's.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._pid = 0
        self._runs: dict[str, Seen] = {}

    def install(self) -> None:
        """Listen to Celery's signals of this process, and of those that it forks."""
        signals.task_prerun.connect(self._on_start, weak=False, dispatch_uid=_NAME)
        signals.task_postrun.connect(self._on_end, weak=False, dispatch_uid=_NAME)

    def _on_start(self, task_id: str, task: Any, **_: Any) -> None:
        request = task.request
        headers = {**(request.headers or {}), **vars(request)}
        if headers.get(HEADER) is not None:
            logger.error(
                "Task %s[%s] has a ticket of the gate, but this worker observes only: it can't tell the gate of the "
                "run, which will be repeated. Give all processes the same groupfifo_mode.",
                task.name,
                task_id,
            )
        sent = Sent.parse(headers.get(OBSERVED_HEADER))
        if sent is None:
            return
        if self._pid != os.getpid():
            self._pid, self._runs = os.getpid(), {}
            threading.Thread(target=self._go_on, args=(self._runs,), name=_NAME, daemon=True).start()
        again = bool(request.retries or (request.delivery_info or {}).get("redelivered"))
        seen = self._runs[task_id] = Seen(sent, task_id, uuid4().hex)
        observer = observer_of(self._app)
        missed, observer.missed = observer.missed, 0
        if observer.tell(lambda observations: observations.start(seen, task.name, again, missed)) is None:
            observer.missed += missed + 1

    def _on_end(self, task_id: str, **_: Any) -> None:
        seen = self._runs.pop(task_id, None)
        if seen is not None:
            observer_of(self._app).tell(lambda observations: observations.end([seen]))

    def _go_on(self, runs: dict[str, Seen]) -> None:
        """Tell now and then which runs still go on: those of a process that was killed count no longer."""
        pause = threading.Event()
        while not pause.wait(RUN_MS / 3000):
            if living := list(runs.values()):
                observer_of(self._app).tell(partial(Observations.end, runs=living, goes_on=True))


def install(app: Celery) -> None:
    """Let a worker observe its runs, which it leaves to Celery.

    Args:
        app: The worker's.
    """
    Watcher(app).install()
    _use_plain_options(app)
    logger.info("Groups are observed only: the gate counts, and decides nothing (groupfifo_mode is 'observe').")


def _use_plain_options(app: Celery) -> None:
    """Let tasks have the app's options where only `GroupFifoTask` sets others."""
    for task in app.tasks.values():
        for name in _OWN:
            owner = next((kind for kind in type(task).__mro__ if name in vars(kind)), None)
            if owner is not None and "_groupfifo_ordered" in vars(owner) and name not in vars(task):
                setattr(task, name, app.conf[f"task_{name}"])
