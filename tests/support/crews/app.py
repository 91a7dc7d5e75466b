"""The app of these tests: workers import it, and tests send with an app made of the same parts.

Every run writes its start, its signs of life and its end to a file, with one write each, under the clock that
all processes of a machine share. The tests judge by this history, not by what the gate says of itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery, shared_task
from celery.concurrency.asynpool import AsynPool
from celery.worker.control import inspect_command

import celery_groupfifo
from celery_groupfifo import BatchCall, GroupFifoTask, GroupRun
from tests.support.crews.deeds import DEEDS

#: Where a worker's app finds its settings (JSON) and the directory of the tests.
CONF, DIRECTORY = "WORKER_TESTS_CONF", "WORKER_TESTS_DIRECTORY"

#: Not the defaults, but what the package's own configuration advises.
ADVISED = {
    "worker_prefetch_multiplier": 2,  # one task per slot may wait in the worker: so that some do
    "broker_connection_retry_on_startup": True,
    "task_ignore_result": False,
}


def make_app(**conf: Any) -> Celery:
    """An app with the tasks of this file."""
    app = Celery("worker-tests", set_as_current=False)
    app.conf.update(ADVISED | conf)
    celery_groupfifo.GroupFifo(app)
    app.set_default()  # shared tasks that are called from a task find it
    return app


def directory() -> Path:
    """Return the folder of the history, and of whatever else the tasks and the tests tell each other by."""
    return Path(os.environ[DIRECTORY])


def write(task: Any, event: str, number: int) -> None:
    """Append one line to the history."""
    group = GroupRun.of(task)
    request = task.request
    line = {
        "event": event,
        "at": time.clock_gettime(time.CLOCK_MONOTONIC),
        "key": group.key if group else None,
        "number": number,
        "fence": group.fence if group else 0,
        "attempt": request.retries + 1,
        "lost": group.lost if group else 0,
        "id": request.id,
        "pid": os.getpid(),
        "worker": request.hostname,
    }
    descriptor = os.open(directory() / "history", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


@contextmanager
def recorded(task: Any, number: int) -> Iterator[None]:
    """Start and end of a run. A run that is killed has no end."""
    write(task, "start", number)
    try:
        yield
    finally:
        write(task, "end", number)


def _act(self: Any, key: str, number: int, deed: str = "succeed", **more: Any) -> Any:
    with recorded(self, number):
        return DEEDS[deed](self, number, **more)


def _task(name: str, **options: Any) -> Any:
    return shared_task(_act, name=f"worker.{name}", base=GroupFifoTask, group_key="{key}", bind=True, **options)


act = _task("act")
early = _task("early", acks_late=False, reject_on_worker_lost=False)
refused = _task("refused", acks_on_failure=False)
blocking = _task("blocking", group_on_failure="block")
halting = _task("halting", group_on_failure="block", group_block_for=0.5)
patient = _task("patient", group_max_hold=0.5)
fragile = _task("fragile", group_break_after="2/1h/0.5s")
silent = _task("silent", ignore_result=True)
backoff = _task("backoff", autoretry_for=(ValueError,), retry_backoff=1, retry_jitter=False, max_retries=1)
limited = _task("limited", rate_limit="20/s")
released = _task("released", group_on_retry="release")
strict = _task("strict", group_eta="reject", group_on_duplicate="raise")


#: With Celery 5.7; others do not know the option.
RETRIED = {"retry_on_worker_lost": True, "default_retry_delay": 0.1, "max_retries": 1}
relentless = _task("relentless", **RETRIED)


def _act_on(self: Any, calls: list[BatchCall]) -> list[Any]:
    """Act on each call of a batch; a note for the batch says which there were."""
    numbers = [call.args[1] for call in calls]
    note = {"key": calls[0].args[0], "fence": self.group.fence, "lost": self.group.lost, "numbers": numbers}
    with (directory() / "batches").open("a") as notes:
        notes.write(json.dumps(note) + "\n")
    with recorded(self, numbers[0]):
        results: list[Any] = []
        for call in calls:
            _, number, *deed = call.args
            what = deed[0] if deed else "succeed"
            if what == "stop" and results:
                break
            if what == "result":
                results.append(ValueError("as told"))
            else:
                results.append(DEEDS["succeed" if what == "stop" else what](self, number, **call.kwargs))
    return results


def _batch(name: str, **options: Any) -> Any:
    key = {"group_key": lambda key, *_, **__: key}
    return shared_task(_act_on, name=f"worker.{name}", base=GroupFifoTask, bind=True, **{**key, **options})


batch = _batch("batch", group_batch=10)
batch_blocking = _batch("batch_blocking", group_batch=10, group_on_failure="block")
batch_early = _batch("batch_early", group_batch=10, acks_late=False)
batch_early_blocking = _batch("batch_early_blocking", group_batch=10, acks_late=False, group_on_failure="block")
batch_relentless = _batch("batch_relentless", group_batch=10, **RETRIED)
batch_backoff = _batch("batch_backoff", group_batch=10, autoretry_for=(ValueError,), retry_backoff=1, max_retries=1)


@shared_task(name="worker.gather", base=GroupFifoTask, group_key="{key}", bind=True)
def gather(self: Any, results: list[int], key: str, number: int) -> int:
    """The body of a chord."""
    with recorded(self, number):
        return sum(results)


@shared_task(name="worker.plain", bind=True)
def plain(self: Any, number: int = 0, deed: str = "succeed", **more: Any) -> Any:
    """Of plain Celery; it may be sent with a group all the same."""
    with recorded(self, number):
        return DEEDS[deed](self, number, **more)


@shared_task(name="worker.add")
def add(first: int, *rest: int) -> int:
    """Of plain Celery."""
    return first + sum(rest)


@inspect_command()
def loop(state: Any) -> dict[str, Any]:
    """Name the modules of the functions that the worker's loop and its pool call for each turn, job and answer."""
    consumer = state.consumer
    hub, pool = consumer.hub, consumer.pool._pool
    pipes = [pipe for pipe in pool._fileno_to_outq if pipe in hub.readers]  # a new child's is not there yet
    return {
        "turn": sorted(function.__module__ for function in hub.on_tick),
        "job": pool._quick_put.__module__,
        "answer": sorted({getattr(hub.readers[pipe][0], "__module__", "part") for pipe in pipes}),
    }


if CONF in os.environ:
    app = make_app(**json.loads(os.environ[CONF]))
    # Celery hears of a killed child at once, unless it looks before the system has buried it: then after 5 s.
    AsynPool.timers = property(lambda pool: {pool.maintain_pool: 0.2})
