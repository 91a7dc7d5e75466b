"""The same tasks as actors of Dramatiq, a peer of Celery: no order, threads. Needs `pip install dramatiq[redis]`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.apps import work
from benchmarks.apps.config import CONFIG_VARIABLE

broker = RedisBroker(url=json.loads(os.environ[CONFIG_VARIABLE])["broker_url"])
dramatiq.set_broker(broker)


class _Task:
    """An actor with the send method of the other apps' tasks."""

    def __init__(self, function: Any, name: str) -> None:
        self.actor = dramatiq.actor(function, actor_name=name, max_retries=0)

    def apply_async(self, args: Sequence[Any], **options: Any) -> None:
        self.actor.send(*args)


class _App:
    """The part of an app that a producer uses."""

    def __init__(self) -> None:
        self.tasks = {"bench.noop": _Task(work.noop, "noop")}

    def finalize(self) -> None:
        """Do nothing: the tasks are made already."""

    def producer_or_acquire(self) -> AbstractContextManager[None]:
        """Return an empty context: actors send on their broker's own connections."""
        return nullcontext()


app = _App()
