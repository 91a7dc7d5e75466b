"""Pages and API tell the truth about groups."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import quote

import pytest

from celery_groupfifo import park_many
from celery_groupfifo.flower import board, data
from celery_groupfifo.flower.http import in_path
from celery_groupfifo.flower.index import Index, read_index
from celery_groupfifo.gate.keys import Quoted
from celery_groupfifo.gate.model import Failure
from celery_groupfifo.gate.observations import Observations, Seen, Sent
from celery_groupfifo.gate.records import ticket_of
from celery_groupfifo.groups import view
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.survey import PAGE
from tests.programs.flower.conftest import HOSTILE, Shop
from tests.support.places import DOCS
from tests.support.waiting import until


def keys(answer: Any) -> list[str]:
    assert answer.status == 200, answer
    return [group["key"] for group in answer.json.get("data", answer.json.get("groups"))]


@pytest.mark.parametrize("path", ["/groups", "/groups/dead-letters", "/groups/workers", "/groups/actions", "/group/k"])
def test_pages_have_the_tab(client: Any, path: str) -> None:
    page = client.get(path)
    assert page.status == 200
    tab = 'href="/groups"\naria-current="page">Groups <span class="badge text-bg-danger" id="gf-tab-blocked"'
    assert tab in page.text.replace("  ", "")
    other = client.get("/tasks").text
    assert 'id="gf-tab-blocked" data-url="/groups/blocked"' in other and "/groups/static/tab.js" in other
    assert 'href="/groups"' in other and 'aria-current="page">Groups' not in other


def test_state_of_another_version_is_a_sentence(client: Any, shop: Shop) -> None:
    keys = shop.groups.gate.keyspace.partitions[0]
    shop.groups.gate.store.client.set(keys.stamp, "1 2 1 9.9.9")
    try:
        answer = client.get("/api/groups?limit=7")
        assert (
            answer.status == 409 and "holds state of version 2, which celery-groupfifo 9.9.9 has written" in answer.text
        )
    finally:
        shop.groups.gate.store.client.delete(keys.stamp)


def test_a_task_with_several_keys_is_shown_in_each_of_its_groups(client: Any, shop: Shop) -> None:
    shop.send("acct:1", "first")
    shop.send("a", "t", group_key=["acct:1", "acct:9"])
    head = client.get("/api/group/info/acct:9").json["head"]
    assert (head["task_id"], head["task"], head["args"]) == ("t", "shop.send", "('a', 0)")


def test_pages_say_that_groups_are_only_observed(client: Any, shop: Shop) -> None:
    assert "The mode is observe" not in client.get("/groups").text
    shop.app.conf.groupfifo_mode = "observe"
    shop.app.__dict__.pop("_groupfifo_settings")
    for path in ("/groups", "/group/k"):
        assert "The mode is observe: tasks run as in plain Celery" in client.get(path).text


def test_what_was_observed_is_shown(client: Any, shop: Shop) -> None:
    assert "gf-t-observed" not in client.get("/groups").text
    told = Observations(shop.groups.gate.store, shop.groups.gate.keyspace)
    for id in "ab":  # at the same time
        told.start(Seen(Sent(told.draw(Quoted("k"), id), 1, Quoted("k")), id, id), "shop.send", False, 0)
    for path in ("/groups/observed", "/api/groups/observed"):
        report = client.get(path).json["report"]
        assert (report["runs"], report["overlaps"], report["broken_groups"]) == (2, 1, 1)
        (group,) = report["groups"]
        assert (group["key"], group["last"]["overlaps"]["task_id"]) == ("k", "b")
    shop.app.conf.groupfifo_mode = "observe"
    shop.app.__dict__.pop("_groupfifo_settings")
    assert 'id="gf-t-observed"' in client.get("/groups").text


def test_static_files(client: Any) -> None:
    for name in ("groupfifo.js", "groupfifo.css", "tab.js"):
        assert f"/groups/static/{name}" in client.get("/groups").text
        assert client.get(f"/groups/static/{name}").status == 200


def test_a_page_of_the_table(client: Any, shop: Shop) -> None:
    for number in range(7):
        shop.send(f"shop-{number}", *(f"{number}-{id}" for id in range(number + 1)))
    shop.send("other", "o")
    shop.groups.pause("shop-3", "look at it", "anna")
    ask = {"sort": "depth", "order": "desc", "start": 2, "length": 3, "draw": 9}
    answer = client.get("/groups/data", **ask)
    assert keys(answer) == ["shop-4", "shop-3", "shop-2"]
    said = answer.json
    assert (said["draw"], said["recordsTotal"], said["recordsFiltered"]) == (9, 8, 8)
    assert (said["summary"]["groups"], said["summary"]["parked"], said["summary"]["states"]["paused"]) == (8, 21, 1)
    assert said["summary"]["parked"] == shop.groups.stats().parked
    assert said["data"][1]["state"] == "paused" and said["data"][1]["reason"] == "look at it"
    answer = client.get("/groups/data", search="SHOP-", sort="key", order="asc")
    assert keys(answer) == [f"shop-{number}" for number in range(7)] and answer.json["recordsFiltered"] == 7
    assert keys(client.get("/groups/data", state="paused")) == ["shop-3"]


def test_sorts_and_states_of_the_api(client: Any, shop: Shop) -> None:
    shop.send("old", "1", "2")
    shop.send("young", "3", "4", "5")
    assert keys(client.get("/api/groups")) == ["young", "old"]
    assert keys(client.get("/api/groups", sort="age")) == ["old", "young"]
    assert keys(client.get("/api/groups", sort="key", order="desc")) == ["young", "old"]
    assert keys(client.get("/api/groups", state="waiting", limit=1, offset=1)) == ["old"]
    for bad in ({"sort": "x"}, {"state": "x"}, {"limit": "-1"}, {"offset": "many"}, {"order": "up"}):
        answer = client.get("/api/groups", **bad)
        assert answer.status == 400 and repr(next(iter(bad.values()))) in answer.text


def test_every_state_is_found(client: Any, shop: Shop) -> None:
    shop.send("waits", "1")
    shop.send("later", "2", countdown=600)
    shop.send("drains", "3")
    shop.groups.drain("drains")
    shop.groups.pause("empty")
    for state, key in {"waiting": "waits", "held": "later", "draining": "drains", "paused": "empty"}.items():
        assert keys(client.get("/api/groups", state=state)) == [key], state
    assert client.get("/api/group/info/later").json["scheduled"][0]["task_id"] == "2"


def test_more_groups_than_one_call_reads(client: Any, shop: Shop) -> None:
    many = 5 * PAGE + 300
    results = park_many([shop.task.s(f"g{number:05}") for number in range(many)])
    for result in results:
        result.backend = None
    found: list[str] = []
    for offset in range(0, many, 1000):
        found += keys(client.get("/api/groups", sort="key", order="asc", offset=offset, limit=1000))
    assert found == [f"g{number:05}" for number in range(many)]
    answer = client.get("/api/groups", search="g02299")
    assert keys(answer) == ["g02299"] and answer.json["matched"] == 1


def test_the_id_of_any_task_finds_its_group(client: Any, shop: Shop) -> None:
    shop.send("k", "first", "second")
    shop.send("later", "third", countdown=600)
    shop.send("other", "fourth")
    for id, key in {"first": "k", "second": "k", "third": "later", "fourth": "other"}.items():
        assert keys(client.get("/groups/data", search=id)) == [key]
        assert keys(client.get("/api/groups", search=id)) == [key]
    assert keys(client.get("/api/groups", search="secon")) == []
    assert client.post("/api/groups/pause", {"search": "second", "count": 1}).json["done"] == 1
    assert shop.groups.get("k").state == "paused"


def test_the_first_page_of_many_groups_does_not_wait_for_their_index(
    client: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        shop.send(f"g{number}", *(f"{number}-{place}" for place in range(number + 1)))
    monkeypatch.setattr(board, "MANY", 5)
    may_read, asked = threading.Event(), threading.Event()

    def read(reader: Reader) -> Index:
        asked.set()
        assert may_read.wait(60)
        return read_index(reader)

    began: list[bool] = []
    deepest = data._deepest

    def noted(*args: Any) -> dict[str, Any]:
        found = deepest(*args)
        began.append(asked.wait(0.05))
        return found

    monkeypatch.setattr(board, "read_index", read)
    monkeypatch.setattr(data, "_deepest", noted)
    try:
        answer = client.get("/groups/data", length=3)
        assert began == [False], "its reading begins when the page is there: two at a time take twice as long"
        assert keys(answer) == ["g4", "g3", "g2"] and asked.wait(60)
        said = answer.json
        assert (said["recordsTotal"], said["recordsFiltered"], said["depth"], said["running"]) == (5, 5, 15, 0)
        assert (said["summary"]["states"], said["summary"]["oldest_age"]) == (None, None)
        assert (said["summary"]["groups"], said["summary"]["parked"]) == (5, 10)
        assert client.get("/groups/blocked").json == {"blocked": 0}
    finally:
        may_read.set()
    until(lambda: client.get("/groups/data").json["summary"]["states"] == {"waiting": 5})
    pages = len(began)
    assert client.get("/groups/data").status == 200 and len(began) == pages, "the index is there"
    assert client.post("/api/group/pause/g3", {}).status == 200
    assert keys(client.get("/groups/data", length=1)) == ["g4"] and len(began) == pages + 1, "it is to be read again"
    assert client.get("/groups/blocked").json == {"blocked": 0}


def test_blocked_groups_are_counted_and_told(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b", group_on_failure="block")
    shop.finish(shop.begin(), "k", Failure("block", "shop.send", "ValueError: no", "one@test"))
    shop.app.backend.store_result("a", ValueError("no"), "FAILURE", traceback="Traceback: here")
    assert client.get("/groups/blocked").json == {"blocked": 1}
    (row,) = client.get("/api/groups", state="blocked").json["groups"]
    assert (row["key"], row["last_error"]) == ("k", "ValueError: no")
    head = client.get("/groups/group/k").json["head"]
    assert (head["task_id"], head["args"], head["kwargs"]) == ("a", "('k', 0)", "{}")
    assert head["traceback"] == "Traceback: here"


def test_hostile_keys(client: Any, shop: Shop) -> None:
    """All at once: a group's page waits a second for workers that may answer."""
    for number, key in enumerate(HOSTILE):
        shop.send(key, f"id-{number}-1", f"id-{number}-2")
    with ThreadPoolExecutor(len(HOSTILE)) as pool:
        for checked in [pool.submit(_check_hostile, client, key) for key in HOSTILE]:
            checked.result()
    assert [shop.groups.get(key).state for key in HOSTILE] == ["paused"] * len(HOSTILE)


def _check_hostile(client: Any, key: str) -> None:
    found = keys(client.get("/groups/data", search=key))
    assert key in found and all(key in each for each in found)
    for path in (in_path(key), "?key=" + quote(key, safe="")):
        answer = client.get("/groups/group/" + path)
        assert answer.status == 200 and answer.json["key"] == key and answer.json["group"]["depth"] == 2
        assert client.get("/api/group/info/" + path).json["group"]["key"] == key
        page = client.get("/group/" + path)
        assert page.status == 200 and "<b>evil" not in page.text
        assert client.post("/api/group/pause/" + path).status == 200


def test_one_group(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b", "c")
    found = client.get("/groups/group/k", limit=1).json
    assert found["sentence"].startswith("Group 'k' waits for a slot")
    assert found["head"]["task_id"] == "a" and found["head"]["attempt"] == 1 and found["head"]["args"] == "('k', 0)"
    assert [(task["task_id"], task["task"], task["args"]) for task in found["tasks"]] == [
        ("b", "shop.send", "('k', 1)")
    ]
    assert found["tasks"][0]["known"] is False
    place = found["tasks"][0]["place"] + 1
    assert [task["task_id"] for task in client.get("/groups/group/k", offset=place).json["tasks"]] == ["c"]
    assert [task["task_id"] for task in client.get("/api/group/tasks/k").json["tasks"]] == ["b", "c"]


def test_an_empty_group(client: Any) -> None:
    found = client.get("/groups/group/nothing")
    assert found.status == 200 and found.json["group"] is None and "is empty" in found.json["sentence"]
    answer = client.get("/api/group/info/nothing")
    assert answer.status == 404 and "is empty" in answer.text
    assert client.get("/api/group/info/").status == 400
    assert client.get("/api/group/info/" + "k" * 600).status == 400


def test_what_workers_tell(client: Any, shop: Shop) -> None:
    shop.send("k", "a")
    shop.send("other", "b")
    run = {"hostname": "one@test", "clock": 1, "local_received": 1.0, "timestamp": 5.0, "utcoffset": 0, "pid": 1}
    for number, outcome in enumerate(["success", "success", "retry", "failure"]):
        client.event(type="groupfifo-finished", key="k", outcome=outcome, uuid=f"u{number}", task="shop.send", **run)
    row = client.get("/api/groups", search="k").json["groups"][0]
    assert (row["succeeded"], row["failed"]) == (2, 1)
    failure = client.get("/groups/group/k").json["failures"][0]
    assert (failure["task_id"], failure["task"], failure["worker"], failure["when"]) == (
        "u3",
        "shop.send",
        "one@test",
        5,
    )
    assert keys(client.get("/api/groups", sort="failed")) == ["k", "other"]


def test_tasks_that_flower_knows_are_linked(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b")
    client.event(
        type="task-sent", uuid="b", name="shop.send", hostname="gen@test", timestamp=1, clock=1, local_received=1
    )
    assert [task["known"] for task in client.get("/groups/group/k").json["tasks"]] == [True]


def test_queues_that_nobody_consumes(client: Any, shop: Shop) -> None:
    shop.send("k", "a", queue="nowhere")
    found = client.get("/api/groups/workers").json
    assert (found["workers"], found["leases"], found["unconsumed_queues"]) == ([], [], ["nowhere"])
    assert client.get("/api/groups/summary").json["unconsumed_queues"] == ["nowhere"]
    assert client.get("/groups/data").json["summary"]["unconsumed_queues"] == ["nowhere"]


def test_dead_letters_and_history(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b")
    shop.groups.drop("k", "a", "broken", "anna")
    letters = client.get("/groups/dead-letters/data").json
    assert letters["total"] == 1 and letters["dead_letters"][0]["why"] == "dropped: broken"
    assert client.get("/api/groups/dead-letters", key="other").json["dead_letters"] == []
    shop.groups.drop("k", "b")
    found = client.get("/api/groups/dead-letters", cause="dropped", task="shop.send", limit=1, count=1).json
    assert ([letter["id"] for letter in found["dead_letters"]], found["matched"]) == (["b"], 2)
    found = client.get("/api/groups/dead-letters", cursor=found["cursor"]).json
    assert ([letter["id"] for letter in found["dead_letters"]], found["cursor"]) == (["a"], None)
    assert client.get("/api/groups/dead-letters", search="BROKEN", older_than="3600").json["dead_letters"] == []
    for wrong in ({"cause": "lost"}, {"older_than": "soon"}, {"cursor": "x"}):
        assert client.get("/api/groups/dead-letters", **wrong).status == 400
    for found in (client.get("/groups/actions/data").json, client.get("/groups/group/k").json):
        assert [(action["what"], action["by"]) for action in found["actions"]][-1] == ("drop", "anna")


def fields_of(value: Any) -> set[str]:
    """Return the names of all fields in a JSON value."""
    if isinstance(value, dict):
        return {*value, *(name for each in value.values() for name in fields_of(each))}
    return {name for each in value for name in fields_of(each)} if isinstance(value, list) else set()


def test_each_field_is_in_the_docs(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b")
    shop.send("j", "c", "d")
    gate = shop.groups.gate
    ticket = ticket_of(gate.store.client.rpop("celery"))
    assert ticket is not None and gate.begin(ticket._replace(lane="0"), Quoted("one@test/1"))
    shop.send("later", "e", countdown=60)
    shop.groups.drop("j", "c")
    run = {"hostname": "one@test", "clock": 1, "local_received": 1.0, "timestamp": 5.0, "utcoffset": 0, "pid": 1}
    client.event(type="groupfifo-finished", key="k", outcome="failure", uuid="u", task="shop.send", **run)
    found: set[str] = set()
    for path in (
        "groups",
        "groups/dead-letters",
        "groups/workers",
        "groups/actions",
        "group/info/k",
        "group/info/later",
    ):
        found |= fields_of(client.get(f"/api/{path}").json)
    found |= fields_of(client.get("/api/group/tasks/k").json)
    found |= {*client.get("/api/groups/summary").json, *client.post("/api/group/pause/k").json}
    found |= {*client.post("/api/groups/resume", {"count": 9}).json}
    page = (DOCS / "reference" / "json-api.md").read_text("utf-8")
    views = {each.name for kind in vars(view).values() if is_dataclass(kind) for each in fields(kind)}
    assert found - views <= set(re.findall(r"`(\w+)`", page))
