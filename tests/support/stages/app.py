"""The app of this suite. Each run writes its history to a file and its effects to a store that knows fences.

Nothing that a verdict rests on passes through the gate's Redis: the history is a witness of its own.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from celery import Celery, chain, shared_task, signals
from celery.exceptions import Ignore

import celery_groupfifo
from celery_groupfifo import GroupFifoTask, GroupLeaseLost
from celery_groupfifo.testing import history
from celery_groupfifo.testing.history import record
from tests.support.stages.effects import Effects

#: Where a worker finds its settings (JSON) and the directory of the test.
CONF, DIRECTORY = "CHAOS_CONF", "CHAOS_DIRECTORY"
LEASE_TTL = 2.0

if hasattr(time, "unsuspended"):  # see suspendable/sitecustomize.py: the history is written by those who stay awake
    history.time = SimpleNamespace(monotonic=time.unsuspended)  # type: ignore[assignment, attr-defined]

#: How a sender goes on when the gate is away: until it answers.
PATIENCE = {"max_retries": None, "interval_start": 0.05, "interval_step": 0, "interval_max": 0.1}

#: Celery's own policy, in place of the patient one.
CELERYS_POLICY = {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}

#: The sweep's interval is the default: it must do for a short lease, too.
BASE: dict[str, Any] = {
    "groupfifo_lease_ttl": LEASE_TTL,
    "groupfifo_max_lost": 20,  # chance may strike one task several times
    "worker_prefetch_multiplier": 2,  # so that some tasks wait in the worker's buffer
    "broker_connection_retry_on_startup": True,
    "task_ignore_result": True,
    "task_publish_retry_policy": PATIENCE,
}


def make_app(**conf: Any) -> Celery:
    """An app with the tasks of this file, for workers and producers."""
    app = Celery("chaos-tests", set_as_current=False)
    app.conf.update(BASE | conf)
    celery_groupfifo.GroupFifo(app)
    app.set_default()
    return app


def directory() -> Path:
    return Path(os.environ[DIRECTORY])


def note(**event: Any) -> None:
    """Write to the history; each process has a file of its own."""
    record(directory() / "history" / f"{os.getpid()}.jsonl", **event)


# -- what a task does between its start and its end --------------------------

DEEDS: dict[str, Callable[..., None]] = {}


def deed(function: Callable[..., None]) -> Callable[..., None]:
    DEEDS[function.__name__] = function
    return function


@deed
def work(task: Any, seconds: float = 0.02) -> None:
    time.sleep(seconds)


@deed
def burn(task: Any, seconds: float) -> None:
    """Keep the processor busy, in calls that hold the interpreter's lock for long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000_000))


@deed
def wait(task: Any, name: str, seconds: float = 0.0) -> None:
    """Until the test says so, and some time longer."""
    end = time.monotonic() + 120
    while not (directory() / name).exists() and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(seconds)


@deed
def fail(task: Any, name: str) -> None:
    """Fail for good, when the test says so."""
    wait(task, name)
    raise ValueError("as told")


@deed
def die(task: Any, times: int) -> None:
    """Kill the process, as long as it was not lost so often."""
    if task.group.lost < times:
        note(ev="kill", target=[os.getpid()], worker=task.request.hostname)
        os.kill(os.getpid(), signal.SIGKILL)


@deed
def linger(task: Any, seconds: float) -> None:
    """Wait to be terminated, and take some time to end then."""
    try:
        time.sleep(30)
    finally:
        time.sleep(seconds)


@deed
def again(task: Any, after: float = 0.1, name: str = "") -> None:
    """Ask for one retry, at once or when the test says so."""
    if name and task.request.retries == 0:
        wait(task, name)


@deed
def replace(task: Any, name: str = "") -> None:
    """Be replaced by another task of the group, at once or when the test says so."""
    if name:
        wait(task, name)


@deed
def substitute(task: Any, other: str, tail: int, name: str) -> None:
    """Be replaced by a chain whose tail is task `tail` of the group `other`, and end when the test says so."""
    try:
        raise task.replace(chain(plain.si(), step.si(other, tail)))
    finally:
        note(ev="substituted", group=task.group.key)
        wait(task, name)


def _continue(self: Any, key: str, seq: int, what: str, more: dict[str, Any]) -> None:
    """Leave the run for another one of the same task, where its deed asks for it."""
    run = {"group": key, "seq": seq, "fence": self.group.fence, "worker": self.request.hostname}
    if what == "again" and self.request.retries == 0:
        note(ev="end", ok=False, reason="retry", **run)
        raise self.retry(countdown=more.get("after", 0.1))
    if what == "replace":
        note(ev="end", ok=False, reason="replaced", **run)
        raise self.replace(step.si(key, seq, "work").set(queue=self.request.delivery_info["routing_key"]))


def act(self: Any, key: str, seq: int, what: str = "work", **more: Any) -> str:
    """One run: start, effect, deed, effect, end. The end is written before anybody hears of it."""
    run = {"group": key, "seq": seq, "fence": self.group.fence, "worker": self.request.hostname}
    note(ev="start", attempt=self.group.attempt, lost=self.group.lost, **run)
    effects = Effects(directory() / "effects")
    try:
        effects.write(self.group, seq, "start")
        DEEDS[what](self, **more)
        _continue(self, key, seq, what, more)
        effects.write(self.group, seq, "end")
    except GroupLeaseLost:
        note(ev="end", ok=False, reason="refused", **run)
        raise
    except Ignore:
        if what == "substitute":
            note(ev="end", ok=True, **run)
        raise
    except (SystemExit, ValueError):
        note(ev="end", ok=False, reason="failed", **run)
        raise
    note(ev="end", ok=True, **run)
    return str(self.request.hostname)


step = shared_task(act, name="chaos.step", base=GroupFifoTask, group_key="{key}", bind=True)


@shared_task(name="chaos.plain", bind=True)
def plain(self: Any, number: int = 0, seconds: float = 0.0) -> None:
    """Of plain Celery."""
    time.sleep(seconds)
    note(ev="plain", number=number, worker=self.request.hostname)


# -- what a worker's main process notes --------------------------------------


@signals.worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    note(ev="up", worker=str(sender.hostname))


def _lease_lost(sender: Any, key: str, task_id: str, fence: int, worker: str, **_: Any) -> None:
    note(ev="lease_lost", group=key, fence=fence, worker=worker)


celery_groupfifo.group_lease_lost.connect(_lease_lost)

if CONF in os.environ:
    app = make_app(**json.loads(os.environ[CONF]))
    from tests.support.stages import points

    points.arm()
