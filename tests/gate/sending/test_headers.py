"""No way to send lets a header of ours out that the gate has not put there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task, chain, chord, group, signals
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import schedule

from celery_groupfifo import GroupFifoTask, InvalidOption, InvalidSetting, MissingGroupKey, park_many
from celery_groupfifo.gate.model import HEADER, KEY_HEADER, Ticket
from celery_groupfifo.sending import call
from tests.support.world import World

TICKET = "gf groupfifo:0 1800000000000000 0 1800000000000000 somebody g"
#: Headers as somebody may have copied or made them up, and two of a user's own.
FORGED: dict[str, Any] = {
    HEADER: TICKET,
    KEY_HEADER: "another",
    "groupfifo_max_lost": 99,
    "groupfifo_of_tomorrow": True,
    "tenant": "t",
    "headers": {HEADER: TICKET, "inner": 1},
}


def run(key: str) -> None: ...


@pytest.fixture
def app(world: World) -> Iterator[Celery]:
    app = world.app
    app.task(run, name="plain", shared=False)
    app.task(run, name="ordered", base=GroupFifoTask, group_key="{key}", shared=False)
    app.finalize()
    yield app


def messages(world: World, queue: str = "celery") -> list[dict[str, Any]]:
    """Return the messages at the broker, the oldest first."""
    return [json.loads(text) for text in world.redis.lrange(queue, 0, -1)][::-1]


def names_of_ours(found: Any) -> list[str]:
    """Names of ours anywhere in a message's headers, also among their values."""
    if isinstance(found, dict):
        return [name for name in found if name.startswith(HEADER)] + names_of_ours([*found.values()])
    if isinstance(found, list):
        return [name for each in found for name in names_of_ours(each)]
    return [found] if isinstance(found, str) and found.startswith(HEADER) else []


def by_beat(app: Celery, task: Any) -> None:
    entry = ScheduleEntry(
        "each", task.name, schedule=schedule(1), args=("k",), options={"headers": dict(FORGED)}, app=app
    )
    Scheduler(app=app, lazy=True).apply_async(entry, advance=False)


def stamped(app: Celery, task: Any) -> None:
    signature = task.s("k").set(headers=FORGED)
    signature.stamp(**{HEADER: TICKET, "mine": 1})
    signature.apply_async()


WAYS: dict[str, Callable[[Celery, Any], Any]] = {
    "apply_async": lambda app, task: task.apply_async(("k",), headers=FORGED),
    "send_task": lambda app, task: app.send_task(task.name, ("k",), headers=FORGED),
    "signature": lambda app, task: task.s("k").set(headers=FORGED).delay(),
    "chain": lambda app, task: chain(task.si("k"), task.si("k")).apply_async(headers=FORGED),
    "group": lambda app, task: group(task.si("k")).apply_async(headers=FORGED),
    "chord": lambda app, task: chord([task.si("k").set(headers=FORGED)], task.si("k")).apply_async(),
    "beat": by_beat,
    "stamped": stamped,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_plain_task_has_none(world: World, app: Celery, way: str) -> None:
    app.conf.result_backend = world.url if way == "chord" else None
    WAYS[way](app, app.tasks["plain"])
    (message,) = messages(world)
    assert names_of_ours(message["headers"]) == []
    assert message["headers"].get("tenant") == "t", "the user's own are sent"
    assert message["headers"]["headers"] == {"inner": 1}
    assert not world.residue()


@pytest.mark.parametrize("way", WAYS)
def test_an_ordered_one_has_those_of_its_own_release(world: World, app: Celery, way: str) -> None:
    app.conf.result_backend = world.url if way == "chord" else None
    WAYS[way](app, app.tasks["ordered"])
    (message,) = messages(world)
    headers = message["headers"]
    assert sorted(names_of_ours(headers)) == [HEADER, KEY_HEADER]
    ticket = Ticket.parse(headers[HEADER])
    assert ticket is not None and ticket.id == headers["id"] and headers[KEY_HEADER] == "k"
    assert message["properties"]["delivery_tag"] == headers[HEADER]
    assert (headers.get("tenant"), headers["headers"]) == ("t", {"inner": 1})


def test_many_at_once(world: World, app: Celery) -> None:
    task = app.tasks["ordered"]
    park_many([task.si("k").set(headers=FORGED), task.si("l"), task.si("m").set(headers=FORGED)])
    assert [sorted(names_of_ours(message["headers"])) for message in messages(world)] == [[HEADER, KEY_HEADER]] * 3


@pytest.mark.parametrize("name", ["plain", "ordered"])
def test_what_a_signal_handler_puts_in(world: World, app: Celery, name: str) -> None:
    def add(headers: dict[str, Any], **kwargs: Any) -> None:
        headers.update(FORGED)

    signals.before_task_publish.connect(add)
    try:
        app.tasks[name].delay("k")
    finally:
        signals.before_task_publish.disconnect(add)
    (message,) = messages(world)
    assert sorted(names_of_ours(message["headers"])) == ([HEADER, KEY_HEADER] if name == "ordered" else [])
    assert message["headers"]["tenant"] == "t"


def test_the_older_protocol(world: World, app: Celery) -> None:
    app.conf.task_protocol = 1
    app.tasks["plain"].apply_async(("k",), headers=FORGED)
    (message,) = messages(world)
    assert message["headers"] == {"tenant": "t", "headers": {"inner": 1}}
    app.tasks["plain"].map(["k"]).delay()
    assert len(messages(world)) == 2
    for send in (
        lambda: app.tasks["ordered"].delay("k"),
        lambda: app.tasks["plain"].apply_async(("k",), group_key="k"),
    ):
        with pytest.raises(InvalidSetting, match="task_protocol = 1"):
            send()


def test_headers_as_pairs(world: World, app: Celery) -> None:
    for name in ("plain", "ordered"):
        app.tasks[name].apply_async(("k",), headers=[*FORGED.items()])
    for message in messages(world):
        assert message["headers"]["tenant"] == "t" and message["headers"]["headers"] == {"inner": 1}
        assert message["headers"].get(KEY_HEADER) in (None, "k")


def test_a_callers_headers_are_not_changed(app: Celery) -> None:
    headers = dict(FORGED)
    for name in ("plain", "ordered"):
        app.tasks[name].apply_async(("k",), headers=headers)
        assert headers == FORGED


def test_properties_of_the_message_that_a_caller_was_called_with(world: World, app: Celery) -> None:
    """They can be sent on, too: the tag of the new message is its own."""
    for name in ("plain", "ordered"):
        app.tasks[name].apply_async(("k",), delivery_tag=TICKET, delivery_info={}, body_encoding="base64")
    for message in messages(world):
        assert message["properties"]["delivery_tag"] != TICKET
        assert message["properties"]["delivery_info"]["routing_key"] == "celery"


@pytest.mark.parametrize("name", ["plain", "ordered"])
def test_what_is_left_out_is_told_once(app: Celery, name: str, caplog: pytest.LogCaptureFixture) -> None:
    call._tell_left_out.cache_clear()
    for _ in range(2):
        app.tasks[name].apply_async(("k",), headers={"groupfifo_on_failure": "block", "tenant": "t"})
        app.tasks[name].apply(("k",), headers={"groupfifo_on_failure": "block", "tenant": "t"})
    app.tasks[name].apply_async(("k",), headers={"groupfifo_group_key": "h", "stamps": {HEADER: TICKET}})
    app.tasks[name].apply_async(("k",), headers={"groupfifo_group_key": "h", "tenant": "t"})
    said = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert said == [
        f"Headers of a call of {name} are left out, as only the gate sets them: groupfifo_on_failure. "
        "The header for an option is groupfifo_group_on_failure.",
        f"Headers of a call of {name} are left out, as only the gate sets them: groupfifo.",
    ]


# -- a header that gives an option ----------------------------------------------


@pytest.mark.parametrize("name", ["plain", "ordered"])
def test_a_header_names_the_key(world: World, app: Celery, name: str) -> None:
    app.tasks[name].apply_async(("k",), headers={"groupfifo_group_key": "h", "tenant": "t"})
    (message,) = messages(world)
    assert message["headers"][KEY_HEADER] == "h" and message["headers"]["tenant"] == "t"
    assert "groupfifo_group_key" not in message["headers"], "a task can't send it on by mistake"
    assert world.depth("h") == 1


def test_an_option_of_the_call_wins(world: World, app: Celery) -> None:
    app.tasks["plain"].apply_async(("k",), group_key="o", headers={"groupfifo_group_key": "h"})
    app.tasks["plain"].apply_async(("k",), group_key=None, headers={"groupfifo_group_key": "h"})
    assert [message["headers"][KEY_HEADER] for message in messages(world)] == ["o", "h"]


def test_other_options_too(world: World, app: Celery) -> None:
    app.tasks["ordered"].apply_async(("k",), headers={"groupfifo_group_max_lost": 5})
    (message,) = messages(world)
    assert message["headers"]["groupfifo_max_lost"] == 5
    with pytest.raises(InvalidOption, match="group_max_lost='5'"):
        app.tasks["ordered"].apply_async(("k",), headers={"groupfifo_group_max_lost": "5"})
    with pytest.raises(MissingGroupKey, match="group_max_lost"):
        app.tasks["plain"].apply_async(("k",), headers={"groupfifo_group_max_lost": 5})


def test_an_entry_of_beat_that_has_headers_only(world: World, app: Celery) -> None:
    """As those of django-celery-beat: it adds a header of its own."""
    headers = {"groupfifo_group_key": "daily", "periodic_task_name": "each"}
    for number in range(2):
        entry = ScheduleEntry(
            "each", "plain", schedule=schedule(1), args=(number,), options={"headers": headers}, app=app
        )
        Scheduler(app=app, lazy=True).apply_async(entry, advance=False)
    (first,) = messages(world)
    assert first["headers"]["periodic_task_name"] == "each"
    assert world.depth("daily") == 2, "one at a time"


def test_the_class_of_a_task_does_not_matter(world: World, app: Celery) -> None:
    class Other(Task):
        abstract = True

    app.task(run, name="other", base=Other, shared=False).apply_async(("k",), headers=FORGED)
    (message,) = messages(world)
    assert names_of_ours(message["headers"]) == []
