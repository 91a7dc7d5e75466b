"""Buttons act on what is there and chosen: groups, and single tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celery_groupfifo.flower import act
from celery_groupfifo.groups.workers import Workers
from tests.programs.flower.conftest import Shop


@pytest.mark.parametrize("verb", ["pause", "resume", "retry", "drain", "skip", "drop", "purge", "move"])
def test_an_unknown_group_is_refused(client: Any, shop: Shop, verb: str) -> None:
    answer = client.post(f"/api/group/{verb}/nothing", {"expected": "a", "to": "there"})
    assert answer.status == 404 and answer.text.startswith("Group 'nothing' holds no task: it was never used")
    if verb in act.BULK:
        shop.send("k", "a")
        done = client.post(f"/api/groups/{verb}", {"keys": ["nothing"]}).json
        assert (done["done"], done["refused"]) == (0, 1) and "'nothing' holds no task" in done["errors"][0]
    assert shop.groups.actions() == [] and shop.groups.list(state="paused") == []


def test_limits(client: Any, shop: Shop) -> None:
    shop.send("k", "a")
    said = {"rate": "10/s", "concurrency": 4, "expires_in": 3600, "reason": "slow"}
    assert client.post("/api/group/limit/k", said).json == {
        "sentence": "Group 'k' is limited to 10/s and 4 at once for 1 h 0 min.",
        "key": "k",
    }
    limit = shop.groups.get("k").limit
    assert limit is not None and (limit.rate, limit.concurrency, limit.reason) == ("10/s", 4, "slow")
    for wrong in ({"rate": "fast"}, {"rate": 5}, {"concurrency": "x"}, {"concurrency": 0}, {"expires_in": "soon"}):
        answer = client.post("/api/group/limit/k", {"rate": "1/s", **wrong})
        assert answer.status == 400 and f"{next(iter(wrong.values()))!r}" in answer.text
    assert client.post("/api/group/limit/k", {"rate": "", "concurrency": None}).status == 200
    assert shop.groups.get("k").limit is None
    assert [action.what for action in shop.groups.actions()] == ["limit", "limit"]


def test_an_empty_group_that_is_paused_is_known(client: Any, shop: Shop) -> None:
    shop.groups.pause("empty")
    assert client.post("/api/group/resume/empty").json["sentence"] == "Group 'empty' goes on."
    assert client.post("/api/group/resume/empty").status == 404


def test_chosen_groups(client: Any, shop: Shop) -> None:
    for number in range(4):
        shop.send(f"shop-{number}", f"{number}")
    done = client.post("/api/groups/pause", {"keys": ["shop-2", "shop-0", "gone", "shop-2"], "reason": "two"}).json
    assert (done["done"], done["matched"], done["refused"]) == (2, 3, 1)
    assert sorted(group.key for group in shop.groups.list(state="paused")) == ["shop-0", "shop-2"]
    for wrong in ([], "shop-1", [1], ["x"] * (act.CHOSEN + 1)):
        assert client.post("/api/groups/pause", {"keys": wrong}).status == 400
    assert client.post("/api/groups/pause", {"keys": ["k" * 600]}).status == 400


def test_one_task_is_revoked(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b", "c")
    assert client.post("/api/groups/revoke", {"id": "b"}).json == {
        "sentence": "Task b of group 'k' was revoked.",
        "key": "k",
    }
    assert [task.task_id for task in shop.groups.tasks("k")] == ["c"]
    assert (shop.groups.actions()[0].what, shop.groups.actions()[0].by) == (
        "revoke",
        "anonymous (Flower, from 127.0.0.1)",
    )
    shop.begin()
    answer = client.post("/api/groups/revoke", {"id": "a"})
    assert answer.status == 409 and "is running: terminate it" in answer.text
    assert client.post("/api/groups/revoke", {"id": "b"}).status == 404
    assert client.post("/api/groups/revoke").status == 400


def test_a_run_is_terminated_by_its_worker(client: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    said: dict[str, Any] = {}
    stats: dict[str, Any] = {"one@test": {"pool": {"implementation": "celery.concurrency.thread:TaskPool"}}}
    own: dict[str, bool] = {"terminates": False}
    stats["one@test"]["groupfifo"] = own

    class Inspect:
        def stats(self) -> dict[str, Any]:
            return {} if said.pop("silent", None) else stats

        def _request(self, command: str, **arguments: Any) -> dict[str, Any]:
            asked.append((command, arguments))
            return said

    def ask(self: Workers, call: Callable[[Any], Any], destination: list[str]) -> dict[str, Any]:
        assert destination == ["one@test"]
        return dict(call(Inspect()))

    monkeypatch.setattr(Workers, "ask", ask)
    shop.send("k", "a", "b")
    answer = client.post("/api/groups/terminate", {"id": "a"})
    assert answer.status == 409 and "is waiting: revoke it" in answer.text
    assert client.post("/api/groups/terminate", {"id": "x"}).status == 404 and asked == []
    shop.begin("one@test")
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"silent": True}, "does not answer, so it can't be told to end task a"),
        ({}, "can't end task a: its pool, thread, can't end a run. Nothing was done"),
    ]
    for reply, why in refusals:
        said.clear()
        said.update(reply)
        answer = client.post("/api/groups/terminate", {"id": "a"})
        assert answer.status == 409 and why in answer.text, answer
    assert asked == [] and shop.groups.actions() == []
    own["terminates"] = True
    refusals = [
        ({"one@test": {"error": "no signal"}}, "can't terminate task a: no signal. Nothing was done"),
        ({"one@test": {"ok": "terminate: tasks unknown"}}, "runs on one@test no more"),
    ]
    for reply, why in refusals:
        said.clear()
        said.update(reply)
        answer = client.post("/api/groups/terminate", {"id": "a"})
        assert answer.status == 409 and why in answer.text, answer
    assert shop.groups.actions() == []
    said.clear()
    answer = client.post("/api/groups/terminate", {"id": "a", "reason": "no answer"})
    assert answer.status == 409 and "was told to end task a, and has not answered" in answer.text
    assert shop.groups.actions()[0].reason == "no answer", "it may have done it"
    said["one@test"] = {"ok": "terminate: a"}
    answer = client.post("/api/groups/terminate", {"id": "a", "reason": "hangs"}).json
    assert answer == {"sentence": "Worker one@test ends task a; group 'k' goes on when its run is over.", "key": "k"}
    assert asked[-1] == ("revoke", {"task_id": "a", "terminate": True, "signal": "SIGTERM"})
    action = shop.groups.actions()[0]
    assert (action.what, action.key, action.reason, action.more) == ("terminate", "k", "hangs", {"task_id": "a"})


def test_tasks_are_moved(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b", "c")
    answer = client.post("/api/group/move/k", {"to": "other", "reason": "mixed up"}).json
    assert answer == {"sentence": "2 tasks of group 'k' were moved to 'other'.", "key": "k", "count": 2}
    assert shop.groups.get("other").head == "b" and shop.groups.actions()[0].reason == "mixed up"
    assert client.post("/api/group/move/k").status == 400
    assert client.post("/api/group/move/k", {"to": "k"}).status == 409
