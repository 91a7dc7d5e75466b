"""`group_hold_until`: who says it, what goes with it, and which of the tasks of a run are parts of its canvas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group

from celery_groupfifo import GroupFifo, GroupFifoTask, InvalidOption, PartiallyParked, park_many
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.model import HOLD_HEADER
from celery_groupfifo.gate.records import StoredEntry
from tests.gate.sending.lines import in_line
from tests.support.runs import running
from tests.support.shop import Shop
from tests.support.stored import stored_fields, stored_if_any

HELD = {HOLD_HEADER: "chain"}
WAYS: dict[str, Callable[[Celery, str, dict[str, Any]], Any]] = {
    "apply_async": lambda app, name, more: app.tasks[name].apply_async(("k",), **more),
    "signature": lambda app, name, more: app.tasks[name].s("k").set(**more).delay(),
    "bulk": lambda app, name, more: park_many([app.tasks[name].s("k").set(**more) for _ in "ab"]),
    "chain": lambda app, name, more: chain(app.tasks[name].si("k"), app.tasks[name].si("k")).apply_async(**more),
    "by name": lambda app, name, more: app.send_task("unknown", ("k",), group_key="k", **more),
    "plain": lambda app, name, more: app.tasks["plain"].apply_async(("k",), group_key="k", **more),
}
GIVEN = [(way, given) for given in ("call", "setting", "task") for way in WAYS]
GIVEN = [pair for pair in GIVEN if pair not in (("by name", "task"), ("plain", "task"))]


@pytest.fixture
def make(redis_url: str) -> Iterator[Callable[..., Celery]]:
    made: list[Celery] = []

    def make(**conf: Any) -> Celery:
        app = Celery("holding", broker=redis_url, backend=redis_url, set_as_current=False)
        app.conf.update(conf)
        GroupFifo(app)

        def send(key: str) -> None: ...

        own = {"group_hold_until": "chain"}
        app.task(base=GroupFifoTask, group_key="{key}", name="held", lazy=False, shared=False, **own)(send)
        app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
        app.task(name="plain", lazy=False, shared=False)(send)
        made.append(app)
        return app

    yield make
    for app in made:
        app.backend.result_consumer.stop()
        app.close()


def marks(app: Celery) -> dict[str, str | None]:
    """Return by id what the messages of all entries say."""
    keys = gate_of(app).keyspace.partitions[0]
    stored = stored_fields(gate_of(app).store.client.hgetall(keys.entries))
    entries = {id.decode(): StoredEntry.parse(text) for id, text in stored.items()}
    return {id: entry.headers().get(HOLD_HEADER) for id, entry in entries.items() if entry}


@pytest.mark.parametrize(("way", "given"), GIVEN)
def test_it_is_frozen_into_the_message(make: Callable[..., Celery], way: str, given: str) -> None:
    app = make(**({"groupfifo_hold_until": "chain"} if given == "setting" else {}))
    for _ in range(3):  # later ones are filled into the message of the first
        WAYS[way](app, "held" if given == "task" else "send", {"group_hold_until": "chain"} if given == "call" else {})
    assert set(marks(app).values()) == {"chain"}


def test_a_value_that_changes_counts_at_once(make: Callable[..., Celery]) -> None:
    app = make()
    task = app.tasks["send"]
    for value in (None, "chain", "task"):
        task.group_hold_until = value
        for number in range(2):
            task.apply_async(("k",), task_id=f"{value}{number}")
    assert marks(app) == dict.fromkeys(("None0", "None1", "task0", "task1")) | dict.fromkeys(
        ("chain0", "chain1"), "chain"
    )


PAIRS: dict[str, tuple[dict[str, Any], str]] = {
    "concurrency": ({"group_concurrency": 4}, "group_concurrency=4, .* runs one task at a time"),
    "retry": ({"group_on_retry": "release"}, "group_on_retry='release', .* would leave its canvas"),
    "depth": (
        {"group_max_depth": 9, "group_overflow": "drop_oldest"},
        "group_overflow='drop_oldest', .* may be the next part of a canvas that has begun",
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("way", WAYS)
def test_what_does_not_go_with_it_is_refused(make: Callable[..., Celery], way: str, pair: str) -> None:
    app, (more, why) = make(), PAIRS[pair]
    with pytest.raises((InvalidOption, PartiallyParked), match=f"group_hold_until='chain' and {why}"):
        WAYS[way](app, "send", {"group_hold_until": "chain", **more})
    WAYS[way](app, "send", more)
    app.tasks["send"].apply_async(("k",), group_hold_until="chain", group_overflow="drop_oldest")
    app.conf.task_always_eager = True
    with pytest.raises(InvalidOption, match=f"group_hold_until='chain' and {why}"):
        app.tasks["send"].apply_async(("k",), **{"group_hold_until": "chain", **more})


@pytest.mark.parametrize("value", ["group", True, None])
def test_a_wrong_value(make: Callable[..., Celery], value: object) -> None:
    app = make()
    if value is None:
        assert app.tasks["held"].apply_async(("k",), group_hold_until=value)
        return
    with pytest.raises(InvalidOption, match="'task' or 'chain'"):
        app.tasks["send"].apply_async(("k",), group_hold_until=value)


# -- what a run sends ---------------------------------------------------------


def canvas(shop: Shop, form: str) -> dict[str, Any]:
    """The chain and the chord in the request of a run whose next parts have the ids b and c."""
    part = lambda id: shop.task.si("k").set(task_id=id)  # noqa: E731
    late = part("late")
    return {
        "a step": {"chain": [late, part("b")]},
        "a group": {"chain": [group(part("b"), part("c"))]},
        "a chord": {"chain": [late, chord([part("b"), part("c")], part("late"))]},
        "a chain": {"chain": [chain(part("b"), part("late"))]},
        "a body": {"chord": part("b")},
        "a body of several": {"chord": chain(part("b"), part("late"))},
        "none": {},
    }[form]


@pytest.mark.parametrize(
    ("form", "front"),
    [
        ("a step", ["b"]),
        ("a group", ["b", "c"]),
        ("a chord", ["b", "c"]),
        ("a chain", ["b"]),
        ("a body", ["b"]),
        ("a body of several", ["b"]),
        ("none", []),
    ],
)
@pytest.mark.parametrize("mark", ["chain", "part", None])
def test_parts_of_its_canvas_stand_first(shop: Shop, form: str, front: list[str], mark: str | None) -> None:
    shop.send("k", "a")
    ticket = shop.begin()
    shop.send("k", "x")
    asked = {HOLD_HEADER: mark} if mark else {}
    with running(shop.task, ticket, options=asked, **canvas(shop, form)):
        for id in ("y", "b", "c"):
            shop.send("k", id)
    front = front if mark else []
    behind = [id for id in ("x", "y", "b", "c") if id not in front]
    assert in_line(shop.app) == ["a", *front, *behind]
    found = marks(shop.app)
    assert {id: found[id] for id in ("y", "b", "c")} == {id: "part" if id in front else None for id in ("y", "b", "c")}


def test_a_part_with_the_options_of_a_usual_call_stands_first_too(shop: Shop) -> None:
    shop.send("k", "a")
    ticket = shop.begin()
    with running(shop.task, ticket, options=HELD, chord=shop.task.si("k").set(task_id="b")):
        for id in ("x", "y", "b"):  # elsewhere, the later ones are filled into the message of the first
            shop.send("k", id)
    assert in_line(shop.app) == ["a", "b", "x", "y"]


@pytest.mark.parametrize("why", ["another key", "said", "moved"])
def test_a_part_that_goes_to_the_tail(shop: Shop, why: str) -> None:
    if why == "moved":
        shop.send("old", "z")
        shop.begin()
    first, own = ("old", "k") if why == "moved" else ("k", "k")
    shop.send(first, "a")
    if why == "moved":
        shop.groups.move("old", "k")
    ticket = shop.begin()
    assert (ticket.id, ticket.group) == ("a", own)
    key = {"another key": "other", "moved": "old"}.get(why, "k")
    for id in ("x", "y"):
        shop.send(key, id)
    with running(shop.task, ticket, own, HELD, chain=[shop.task.si(key).set(task_id="b")]):
        shop.send(key, "b", **({"group_hold_until": "task"} if why == "said" else {}))
    assert in_line(shop.app, key)[-1] == "b"
    assert marks(shop.app)["b"] is None


def test_a_part_asks_for_nothing_that_a_new_task_asks_for(shop: Shop) -> None:
    """Neither the bound nor its identity counts; its rate does, and it waits for its ETA at its place."""
    shop.send("k", "a", group_dedup_key="one")
    ticket = shop.begin()
    shop.send("k", "x")
    said: dict[str, Any] = {"group_max_depth": 1, "group_dedup_key": "one", "group_on_duplicate": "raise"}
    said |= {"group_concurrency": 3, "group_rate": "5/m"}
    with running(shop.task, ticket, options=HELD, chain=[shop.task.si("k").set(task_id="b")]):
        shop.send("k", "b", countdown=60, **said)
    assert in_line(shop.app) == ["a", "b", "x"]
    keys = shop.world.keys
    entry = StoredEntry.parse(stored_if_any(shop.world.redis.hget(keys.entries, "b")))
    assert entry is not None
    rate, due = entry.limits.rpartition("/")[::2]
    assert rate == "l5/60000/0" and 0 < int(due) - shop.world.now <= 60_000


def test_the_parts_of_a_run_that_has_ended_join_the_tail(shop: Shop) -> None:
    shop.send("k", "a")
    ticket = shop.begin()
    shop.send("k", "x")
    shop.send("k", "y")
    shop.world.finish(ticket, "k", "celery@host/0a1b2c3d")
    with running(shop.task, ticket, options=HELD, chain=[shop.task.si("k").set(task_id="b")]):
        shop.send("k", "b")
        shop.send("k", "b")
    assert in_line(shop.app) == ["x", "y", "b"]


def test_explain_names_the_part_that_stands_first(shop: Shop) -> None:
    shop.send("k", "a")
    ticket = shop.begin()
    shop.send("k", "x")
    assert shop.groups.explain("k", ask_workers=False).endswith("the next one starts when it ends.")
    with running(shop.task, ticket, options=HELD, chain=[shop.task.si("k").set(task_id="b")]):
        shop.send("k", "b")
    assert shop.groups.explain("k", ask_workers=False).endswith(
        "2 tasks wait behind it; the next one starts when it ends. That is shop.send[b], a part of a canvas that has "
        "begun, for which the group waits."
    )
