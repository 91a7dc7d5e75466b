"""django-celery-beat: an entry has no place for options, so a header of it names its group."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import django
import pytest
from celery import Celery

from celery_groupfifo import GroupFifoTask
from celery_groupfifo.gate.model import KEY_HEADER
from tests.support.world import World


def report() -> None: ...


def send(key: str) -> None: ...


@pytest.fixture(scope="module")
def database() -> None:
    """The tables of django-celery-beat, in memory."""
    from django.conf import settings
    from django.core.management import call_command

    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            INSTALLED_APPS=["django_celery_beat"],
            USE_TZ=True,
            CELERY_TIMEZONE="UTC",
        )
        django.setup()
    call_command("migrate", verbosity=0)


@pytest.fixture
def world(redis_url: str, database: None) -> Iterator[World]:
    world = World(redis_url, Celery("beat", broker=redis_url, set_as_current=False))
    yield world
    world.close()


def due(world: World, name: str, task: str, args: list[Any], headers: dict[str, Any]) -> dict[str, Any]:
    """Let the scheduler send an entry of the database. Returns its message's headers."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask
    from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

    every, _ = IntervalSchedule.objects.get_or_create(every=10, period=IntervalSchedule.SECONDS)
    model = PeriodicTask.objects.create(
        name=name, task=task, interval=every, args=json.dumps(args), headers=json.dumps(headers)
    )
    scheduler = DatabaseScheduler(app=world.app, lazy=True)
    scheduler.apply_async(ModelEntry(model, app=world.app), advance=False)
    found: dict[str, Any] = json.loads(world.pop("celery") or b"{}")["headers"]
    return found


def test_a_header_names_the_group_of_an_entry(world: World) -> None:
    world.app.task(report, name="report", shared=False, lazy=False)
    headers = due(world, "nightly", "report", [], {"groupfifo_group_key": "customer-1", "tenant": "t"})
    assert headers[KEY_HEADER] == "customer-1"
    assert (headers["tenant"], headers["periodic_task_name"]) == ("t", "nightly")
    assert "groupfifo_group_key" not in headers
    assert world.depth("customer-1") == 1


def test_without_one_an_entry_is_as_ever(world: World) -> None:
    world.app.task(report, name="report", shared=False, lazy=False)
    headers = due(world, "hourly", "report", [], {"tenant": "t"})
    assert not [name for name in headers if name.startswith("groupfifo")]
    assert not world.residue()


def test_an_ordered_task_takes_it_from_the_entrys_arguments(world: World) -> None:
    world.app.task(send, name="send", base=GroupFifoTask, group_key="{key}", shared=False, lazy=False)
    assert due(world, "each", "send", ["k"], {})[KEY_HEADER] == "k"
    assert due(world, "other", "send", ["k"], {"groupfifo_group_key": "h"})[KEY_HEADER] == "h"
