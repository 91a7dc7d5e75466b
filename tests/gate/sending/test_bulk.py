"""Many signatures in few round trips: in order, and an error says which were parked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.signals import before_task_publish

from celery_groupfifo import GateUnavailable, GroupFifoTask, Groups, InvalidOption, PartiallyParked, park_many
from celery_groupfifo.gate.gate import gate_of


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = Celery("bulk", broker=redis_url, set_as_current=False)
    app.conf.task_ignore_result = True

    def send(key: str, number: int) -> None: ...

    app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
    app.task(name="plain", lazy=False, shared=False)(send)
    yield app
    app.close()


def signatures(app: Celery, key: str, count: int) -> list[Any]:
    return [app.tasks["send"].s(key, number).set(task_id=f"{key}{number}") for number in range(count)]


def parked(app: Celery) -> set[str]:
    gate = gate_of(app)
    return {name.decode() for name in gate.store.client.hkeys(gate.keyspace.partitions[0].entries)}


@pytest.mark.parametrize("chunk", [1, 3, 500])
def test_all_are_parked_in_order(app: Celery, chunk: int) -> None:
    results = park_many(iter(signatures(app, "k", 7)), chunk=chunk)
    assert [result.id for result in results] == [f"k{number}" for number in range(7)]
    assert [task.task_id for task in Groups(app).tasks("k")] == [f"k{number}" for number in range(1, 7)]


@pytest.mark.parametrize("chunk", [2, 500])
def test_one_without_a_group_stops_the_rest(app: Celery, chunk: int) -> None:
    good = signatures(app, "k", 5)
    with pytest.raises(PartiallyParked, match="3 signatures were parked, then: plain belongs to no group") as caught:
        park_many([*good[:3], app.tasks["plain"].s("k", 1), *good[3:]], chunk=chunk)
    assert [result.id for result in caught.value.parked] == ["k0", "k1", "k2"]
    assert parked(app) == {"k0", "k1", "k2"}


def test_what_makes_the_signatures_may_send_tasks(app: Celery) -> None:
    """While it does, no producer is held: of a pool of one, it would wait for ever."""
    app.conf.broker_pool_limit = 1

    def made() -> Iterator[Any]:
        for signature in signatures(app, "k", 5):
            app.tasks["plain"].apply_async(("other", 0))
            yield signature

    park_many(made(), chunk=2)
    assert parked(app) == {f"k{number}" for number in range(5)}


def test_those_made_before_an_error_are_parked(app: Celery) -> None:
    def made() -> Iterator[Any]:
        yield from signatures(app, "k", 3)
        raise LookupError("no more")

    with pytest.raises(PartiallyParked, match="3 signatures were parked, then: no more") as caught:
        park_many(made(), chunk=2)
    assert isinstance(caught.value.cause, LookupError)
    assert parked(app) == {"k0", "k1", "k2"}


def test_those_that_the_gate_refuses_are_left_out(app: Celery) -> None:
    park_many(signatures(app, "d", 1))
    Groups(app).drain("d")
    mixed = [*signatures(app, "a", 2), *signatures(app, "d", 3)[1:], *signatures(app, "b", 1)]
    with pytest.raises(PartiallyParked, match="draining") as caught:
        park_many(mixed)
    assert [result.id for result in caught.value.parked] == ["a0", "a1", "b0"]
    assert parked(app) == {"d0", "a0", "a1", "b0"}


def test_what_a_receiver_sends_meanwhile_is_counted_apart(app: Celery) -> None:
    def also_send(sender: str, headers: dict[str, Any], **_: Any) -> None:
        if headers["id"] == "k0":
            app.tasks["send"].apply_async(("other", 0), task_id="other")

    # Before the first send: an app of Celery 5.6 may not see it later, when receivers of others have died meanwhile.
    before_task_publish.connect(also_send)
    try:
        park_many(signatures(app, "d", 1))
        Groups(app).drain("d")
        with pytest.raises(PartiallyParked) as caught:
            park_many([*signatures(app, "k", 2), signatures(app, "d", 2)[1]])
    finally:
        before_task_publish.disconnect(also_send)
    assert [result.id for result in caught.value.parked] == ["k0", "k1"]
    assert parked(app) == {"d0", "k0", "k1", "other"}


def test_redis_away_parks_none_and_says_so(app: Celery) -> None:
    nowhere = Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    nowhere.conf.update(task_ignore_result=True, task_publish_retry=False)
    nowhere.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(unreachable)
    with pytest.raises(PartiallyParked) as caught:
        park_many([nowhere.tasks["send"].s("k", 1)])
    assert caught.value.parked == []
    assert isinstance(caught.value.cause, GateUnavailable)


def unreachable(key: str, number: int) -> None:
    """A task of the app that reaches nothing."""


@pytest.mark.parametrize("chunk", [0, -1, 1.5, "2"])
def test_a_wrong_chunk_is_quoted(app: Celery, chunk: Any) -> None:
    with pytest.raises(InvalidOption, match=f"chunk={chunk!r}"):
        park_many(signatures(app, "k", 1), chunk=chunk)
    assert parked(app) == set()
