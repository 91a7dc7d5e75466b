"""A Django project: results and schedules in its database, transactions, structured logs."""

from __future__ import annotations

import os
import threading
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.compatibility.ecosystem.apps.django_settings"

import django
import structlog
from celery import Celery
from celery.contrib.django.task import DjangoTask
from django.core.management import call_command
from django.db import connection, transaction
from django_structlog.celery.steps import DjangoStructLogInitStep

from celery_groupfifo import GroupFifoTask, Groups, UnknownGroup
from tests.compatibility.ecosystem.apps.base import note

app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
django.setup()


@app.task(base=GroupFifoTask, group_key="{key}", bind=True)
def ordered(self: Any, key: str, number: int) -> int:
    note(task="ordered", key=key, number=number, context=structlog.contextvars.get_contextvars())
    return number


@app.task(bind=True)
def plain(self: Any, key: str, number: int) -> int:
    note(task="plain", key=key, number=number, context=structlog.contextvars.get_contextvars())
    return number


def migrate() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)


def send() -> list[dict[str, Any]]:
    """Send both, and return what the database has of them."""
    from django_celery_results.models import TaskResult

    structlog.contextvars.bind_contextvars(request_id="from the request")
    for task in (ordered, plain):
        task.delay("a", 1).get(timeout=60)
    return list(TaskResult.objects.order_by("task_name").values("task_name", "status", "result", "task_args"))


def schedule() -> None:
    """Let both run every second."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    every, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    for task in (ordered, plain):
        PeriodicTask.objects.create(name=task.name, task=task.name, interval=every, args='["beat", 1]')


class _BackError(Exception):
    pass


def _depth(key: str) -> int:
    try:
        return Groups(app).get(key).depth
    except UnknownGroup:
        return 0


def commits() -> dict[str, Any]:
    """Send in transactions: committed, rolled back, nested, two at once; return the depth of the group meanwhile."""
    said: dict[str, Any] = {"plain": isinstance(plain, DjangoTask)}
    with transaction.atomic():
        ordered.delay_on_commit("t", 1)
        ordered.apply_async_on_commit(("t", 2), kwargs={})
        said["before the commit"] = _depth("t")
    said["after the commit"] = _depth("t")
    try:
        with transaction.atomic():
            ordered.delay_on_commit("t", 98)
            raise _BackError
    except _BackError:
        pass
    with transaction.atomic():
        ordered.delay_on_commit("t", 3)
        try:
            with transaction.atomic():
                ordered.delay_on_commit("t", 99)
                raise _BackError
        except _BackError:
            pass
        ordered.delay_on_commit("t", 4)
    _two_at_once()
    ordered.delay_on_commit("t", 7)  # without a transaction: at once
    said["at the end"] = _depth("t")
    return said


def _two_at_once() -> None:
    """The one that asks first commits last."""
    asked, committed = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            ordered.delay_on_commit("t", 6)
            asked.set()
            committed.wait(20)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    asked.wait(20)
    with transaction.atomic():
        ordered.delay_on_commit("t", 5)
    committed.set()
    thread.join(20)
