"""The limits of a group, for every way to send and to say them: they are frozen into the entry that is parked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain, group

from celery_groupfifo import GroupFifo, GroupFifoTask, park_many
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.records import StoredEntry
from tests.support.stored import stored_fields

WAYS: dict[str, Callable[[Celery, str, dict[str, Any]], Any]] = {
    "apply_async": lambda app, name, more: app.tasks[name].apply_async(("k",), **more),
    "signature": lambda app, name, more: app.tasks[name].s("k").set(**more).delay(),
    "countdown": lambda app, name, more: app.tasks[name].apply_async(("k",), countdown=60, **more),
    "bulk": lambda app, name, more: park_many([app.tasks[name].s("k").set(**more) for _ in "ab"]),
    "group": lambda app, name, more: group([app.tasks[name].s("k").set(**more)]).delay(),
    "chain": lambda app, name, more: chain(app.tasks[name].si("k").set(**more), app.tasks[name].si("k")).delay(),
    "by name": lambda app, name, more: app.send_task("unknown", ("k",), group_key="k", **more),
    "plain": lambda app, name, more: app.tasks["plain"].apply_async(("k",), group_key="k", **more),
}
SAID = {"rate": "10/s", "concurrency": 3}


@pytest.fixture
def make(redis_url: str) -> Iterator[Callable[..., Celery]]:
    made: list[Celery] = []

    def make(**conf: Any) -> Celery:
        app = Celery("limits", broker=redis_url, backend=redis_url, set_as_current=False)
        app.conf.update(conf)
        GroupFifo(app)

        def send(key: str) -> None: ...

        own = {f"group_{name}": value for name, value in SAID.items()}
        app.task(base=GroupFifoTask, group_key="{key}", name="limited", lazy=False, shared=False, **own)(send)
        app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
        app.task(name="plain", lazy=False, shared=False)(send)
        made.append(app)
        return app

    yield make
    for app in made:
        app.backend.result_consumer.stop()
        app.close()


def limits(app: Celery) -> set[str]:
    """Return the limits that stand in all entries."""
    keys = gate_of(app).keyspace.partitions[0]
    texts = stored_fields(gate_of(app).store.client.hgetall(keys.entries)).values()
    entries = [StoredEntry.parse(text) for text in texts]
    assert entries and all(entries)
    return {entry.limits for entry in entries if entry}


GIVEN = [(way, given) for given in ("call", "setting", "task") for way in WAYS]
GIVEN = [pair for pair in GIVEN if pair not in (("by name", "task"), ("plain", "task"))]


@pytest.mark.parametrize(("way", "given"), GIVEN)
def test_they_are_frozen_into_the_entry(make: Callable[..., Celery], way: str, given: str) -> None:
    app = make(**{f"groupfifo_{name}": value for name, value in SAID.items()} if given == "setting" else {})
    more = {f"group_{name}": value for name, value in SAID.items()} if given == "call" else {}
    for _ in range(3):  # later ones are filled into the message of the first
        WAYS[way](app, "limited" if given == "task" else "send", more)
    assert limits(app) == {"l10/1000/3"}


def test_the_call_comes_before_the_task_and_the_task_before_the_setting(make: Callable[..., Celery]) -> None:
    app = make(groupfifo_rate="1/h", groupfifo_concurrency=9)
    app.tasks["limited"].delay("k")
    assert limits(app) == {"l10/1000/3"}
    app.tasks["limited"].apply_async(("k",), group_rate="5/m")
    assert limits(app) == {"l10/1000/3", "l5/60000/3"}


def test_an_option_that_is_not_used_leaves_no_trace(make: Callable[..., Celery]) -> None:
    app = make()
    app.tasks["send"].delay("k")
    assert limits(app) == {""}


def test_a_replaced_call_has_its_own(make: Callable[..., Celery]) -> None:
    app = make()
    for n in range(2):
        app.tasks["send"].apply_async(("k",), task_id=f"t{n}")
    app.tasks["send"].apply_async(("k",), task_id="t1", group_on_duplicate="replace", group_rate="1/s")
    assert limits(app) == {"", "l1/1000/0"}
