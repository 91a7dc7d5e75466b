"""The strategies of ordered tasks, which threads of the pool may make while Celery makes those of plain ones."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo.worker.receiver import Receiver
from celery_groupfifo.worker.request import GroupRequest
from celery_groupfifo.worker.run import Runs


def nothing() -> None:
    """A task."""


class Tasks:
    """A receiver, and the two sides that make strategies.

    Attributes:
        updated: What request classes Celery has found on the task.
        made: How often the strategy of the ordered task was made.
    """

    def __init__(self) -> None:
        self.updated: list[Any] = []
        self.made = 0
        self.making, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        app = Celery("receiving", set_as_current=False)
        app.task(nothing, name="t")
        self.task = app.tasks["t"]
        self.task.start_strategy = self._start_strategy
        self.consumer = SimpleNamespace(
            app=app,
            hostname="w@host",
            create_task_handler=lambda: lambda message: None,
            update_strategies=lambda: self.updated.append(self.task.Request),
        )
        member = SimpleNamespace(consumer=self.consumer, loop=None, runs=Runs())
        self.receiver = Receiver(member)  # type: ignore[arg-type]
        self.receiver.install()

    def _start_strategy(self, app: Any, consumer: Any) -> Any:
        self.made += 1
        assert issubclass(self.task.Request, GroupRequest)
        self.making.set()
        assert self.go_on.wait(20)
        return object()


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


def test_what_a_thread_has_made_before_the_connection_was_ready_is_made_anew(tasks: Tasks) -> None:
    """Timeline: our step has started, a thread hands off, Celery's steps for events and tasks start, the loop runs."""
    tasks.receiver.start()
    early = tasks.receiver._handler("t")
    assert tasks.receiver._handler("t") is early and tasks.made == 1
    tasks.consumer.create_task_handler()
    assert tasks.receiver._handler("t") is not early and tasks.made == 2


def test_celery_never_sees_the_class_of_ordered_requests(tasks: Tasks) -> None:
    own = tasks.task.Request
    tasks.go_on.clear()
    ordered = threading.Thread(target=lambda: tasks.receiver._handler("t"))
    ordered.start()
    assert tasks.making.wait(20)
    plain = threading.Thread(target=tasks.consumer.update_strategies)
    plain.start()
    plain.join(0.2)
    tasks.go_on.set()
    for thread in (ordered, plain):
        thread.join(20)
    assert tasks.updated == [own]
