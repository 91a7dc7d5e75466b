"""Tasks that take their place before their ETA: how they are sent, and what operators see and do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import chain, group

from celery_groupfifo import park_many
from celery_groupfifo.groups.workers import Workers
from tests.support.shop import Shop

SENDS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "apply_async": lambda task, more: task.apply_async(("k",), countdown=60, **more),
    "signature": lambda task, more: task.s("k").set(countdown=60, **more).delay(),
    "bulk": lambda task, more: park_many([task.s("k").set(countdown=60, **more)]),
    "group": lambda task, more: group([task.s("k").set(countdown=60, **more)]).delay(),
    "chain": lambda task, more: chain(task.si("k").set(countdown=60, **more), task.si("k")).delay(),
    "by name": lambda task, more: task.app.send_task("x", ("k",), countdown=60, group_key="k", **more),
}


@pytest.mark.parametrize("send", SENDS)
def test_each_way_to_send(shop: Shop, send: str) -> None:
    shop.send("k", "a")
    for _ in range(3):  # later ones are filled into the message of the first
        SENDS[send](shop.task, {"group_eta": "reserve"})
    assert len(shop.groups.tasks("k")) == 3
    shop.task.apply_async(("k",), group_eta="reserve", task_id="b")
    assert shop.groups.tasks("k")[-1].task_id == "b" and shop.groups.get("k").depth == 5


def test_an_operator_lets_it_go_out_before(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "ask", lambda self, call, destination=None: {})
    shop.world.park("a", "k", "celery", delay=60_000, reserves=True)
    assert shop.groups.get("k").state == "held" and shop.groups.verify() == []
    assert "holds its head t[a] until its ETA: it goes out in 1 min 0 s" in shop.groups.explain("k")
    assert shop.groups.get("k").reason == "waits for the ETA of its head"
    shop.groups.retry("k")
    assert shop.world.queued("celery") == ["a"]
