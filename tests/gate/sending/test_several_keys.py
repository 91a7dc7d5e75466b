"""Several keys of a task or a call: every way to say them and to send, and what they can't be combined with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from celery import Celery, chain, group

from celery_groupfifo import (
    GroupFifo,
    GroupFifoTask,
    Groups,
    InvalidGroupKey,
    InvalidOption,
    MissingGroupKey,
    UnknownGroup,
    park_many,
)
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.model import KEYS_HEADER, Ticket
from celery_groupfifo.gate.records import StoredEntry
from celery_groupfifo.sending.context import Continuation
from celery_groupfifo.sending.grouping import group_key
from celery_groupfifo.sending.several import other_key

BOTH = ["acct:1", "acct:9"]
WAYS: dict[str, Callable[[Celery], Any]] = {
    "delay": lambda app: app.tasks["listed"].delay(1, 9),
    "again": lambda app: [app.tasks["listed"].delay(1, 9) for _ in "ab"],
    "callable": lambda app: app.tasks["called"].delay(1, 9),
    "signature": lambda app: app.tasks["single"].s(1, 9).set(group_key=BOTH).delay(),
    "bulk": lambda app: park_many(
        [app.tasks["listed"].s(1, 9), app.tasks["single"].s(4, 4), app.tasks["called"].s(1, 9)]
    ),
    "group": lambda app: group([app.tasks["listed"].s(1, 9)]).delay(),
    "chain": lambda app: chain(app.tasks["listed"].si(1, 9), app.tasks["single"].si(1, 9)).delay(),
    "by name": lambda app: app.send_task("unknown", (1, 9), group_key=BOTH),
    "plain": lambda app: app.tasks["plain"].apply_async((1, 9), group_key=BOTH),
    "header": lambda app: app.tasks["plain"].apply_async((1, 9), headers={"groupfifo_group_key": BOTH}),
    "twice the same": lambda app: app.tasks["single"].apply_async((1, 9), group_key=[*BOTH, "acct:1"]),
}


@pytest.fixture
def make(redis_url: str) -> Iterator[Callable[..., Celery]]:
    made: list[Celery] = []

    def make(**conf: Any) -> Celery:
        app = Celery("several", broker=redis_url, backend=redis_url, set_as_current=False)
        app.conf.update(conf)
        GroupFifo(app)

        def send(source: int, target: int) -> None: ...

        keys: dict[str, Any] = {
            "listed": ["acct:{source}", "acct:{target}"],
            "called": lambda source, target: [f"acct:{source}", f"acct:{target}"],
            "single": "acct:{source}",
        }
        for name, key in keys.items():
            app.task(base=GroupFifoTask, group_key=key, name=name, lazy=False, shared=False)(send)
        app.task(name="plain", lazy=False, shared=False)(send)
        made.append(app)
        return app

    yield make
    for app in made:
        if hasattr(app.backend, "result_consumer"):
            app.backend.result_consumer.stop()
        app.close()


@pytest.mark.parametrize("way", WAYS)
def test_every_way_takes_all_places(make: Callable[..., Celery], way: str) -> None:
    app = make()
    WAYS[way](app)
    groups = Groups(app)
    depths = [groups.get(key).depth for key in BOTH]
    assert depths[0] == depths[1] > 0
    id = str(groups.get(BOTH[1]).head)
    keys = gate_of(app).keyspace.partitions[0]
    stored = StoredEntry.parse(gate_of(app).store.client.hget(keys.entries, id))
    assert stored is not None and stored.headers()[KEYS_HEADER] == BOTH
    assert groups.verify() == []


def test_a_list_of_one_is_that_key(make: Callable[..., Celery]) -> None:
    app = make()
    app.tasks["listed"].delay(1, 1)
    app.tasks["single"].apply_async((1, 9), group_key=["acct:1"])
    assert Groups(app).get("acct:1").depth == 2
    with pytest.raises(UnknownGroup):
        Groups(app).get("acct:9")


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ([], MissingGroupKey, "empty list"),
        (["a", ""], InvalidGroupKey, "empty"),
        (["a", 7], InvalidGroupKey, "7: it has to be a text, or a list of texts"),
        (("a", "b"), InvalidGroupKey, "a list of texts"),
        ([str(number) for number in range(17)], InvalidGroupKey, "17 group keys .* 16 are allowed"),
    ],
)
def test_lists_that_do_not_work(make: Callable[..., Celery], given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make().tasks["single"].apply_async((1, 9), group_key=given)


SOON = {"eta": datetime(2100, 1, 1, tzinfo=timezone.utc)}


@pytest.mark.parametrize(
    "options",
    [
        {"group_on_duplicate": "replace"},
        {"group_on_duplicate": "keep_latest"},
        {"group_dedup_key": "x"},
        {"group_dedup_for": 5},
        {"group_concurrency": 2},
        {"group_rate": "1/s"},
        {"group_on_retry": "release"},
        {"group_max_depth": 5, "group_overflow": "drop_oldest"},
        {"countdown": 5},
        SOON,
    ],
    ids=str,
)
@pytest.mark.parametrize("bulk", [False, True])
def test_what_works_with_one_key_only_is_refused(
    make: Callable[..., Celery], options: dict[str, Any], bulk: bool
) -> None:
    app = make()
    with pytest.raises(Exception, match=r"group keys \['acct:1', 'acct:9'\], and group_\w+=.* works with one key only"):
        if bulk:
            park_many([app.tasks["listed"].s(1, 9).set(**options)])
        else:
            app.tasks["listed"].apply_async((1, 9), **options)
    with pytest.raises(InvalidOption, match="works with one key only"):
        app.tasks["listed"].apply((1, 9), **options)
    assert Groups(app).stats().depth == 0
    app.tasks["single"].apply_async((1, 9), **options)


def test_a_reserved_eta_works(make: Callable[..., Celery]) -> None:
    app = make(groupfifo_eta="reserve")
    app.tasks["listed"].apply_async((1, 9), countdown=60)
    assert [Groups(app).get(key).state for key in BOTH] == ["held", "held"]


def test_a_call_that_runs_in_place_needs_no_gate(make: Callable[..., Celery]) -> None:
    app = make(broker_url="memory://", result_backend="cache+memory://", task_always_eager=True)
    assert app.tasks["listed"].delay(1, 9).successful()


def test_groups_of_different_partitions_are_refused(make: Callable[..., Celery]) -> None:
    app = make(groupfifo_partitions=8)
    with pytest.raises(InvalidGroupKey, match=r"\['acct:1', 'acct:2', 'acct:3'\], which are in different partitions"):
        app.tasks["single"].apply_async((1, 9), group_key=["acct:1", "acct:2", "acct:3"])


@pytest.mark.parametrize(
    ("spec", "says"), [(["{nobody}"], "names 'nobody'"), ([("source",)], "a list of templates"), ([], "does not work")]
)
def test_a_definition_that_does_not_fit_is_refused(make: Callable[..., Celery], spec: Any, says: str) -> None:
    def send(source: int) -> None: ...

    with pytest.raises(InvalidOption, match=says):
        make().task(base=GroupFifoTask, group_key=spec, name="wrong", lazy=False, shared=False)(send)


def test_a_task_that_replaces_a_run_has_the_same_keys(make: Callable[..., Celery]) -> None:
    app = make()
    ticket = Ticket("t", 1, 0, 0, "id", "acct:1")  # type: ignore[arg-type]
    several = Continuation(ticket, "acct:1", 0, {KEYS_HEADER: BOTH})
    task = app.tasks["listed"]

    def key(source: int, target: int) -> str:
        return group_key(task, "listed", (source, target), {})

    assert other_key(several, key(1, 9), "listed") is None
    assert other_key(several, key(9, 1), "listed") is None
    assert other_key(Continuation(ticket, "acct:1", 0), key(2, 2), "listed") == "acct:2"
    for run, other in ((several, key(1, 2)), (several, "acct:1"), (Continuation(ticket, "acct:1", 0), key(1, 9))):
        with pytest.raises(InvalidOption, match="can't replace a run"):
            other_key(run, other, "listed")
