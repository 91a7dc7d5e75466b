"""Buttons act, and obey those who may press them."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo.flower import letters
from celery_groupfifo.flower.board import Board
from celery_groupfifo.groups.pace import Pace
from tests.programs.flower.conftest import Make, Shop

#: Seconds that nothing else waits.
OWED = 0.123


def test_pause_and_resume(client: Any, shop: Shop) -> None:
    shop.send("k", "a")
    assert client.post("/api/group/pause/k", {"reason": "wait"}).json["sentence"] == "Group 'k' is paused."
    group = shop.groups.get("k")
    assert (group.state, group.reason) == ("paused", "wait")
    assert group.by == "anonymous (Flower, from 127.0.0.1)"
    assert client.post("/api/group/resume/k").json["sentence"] == "Group 'k' goes on."
    assert shop.groups.get("k").state == "waiting"


def test_skip_acts_on_the_head_that_was_seen(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b")
    answer = client.post("/api/group/skip/k", {"expected": "b"})
    assert answer.status == 409 and "is a, not b" in answer.text
    assert client.post("/api/group/skip/k").status == 400
    assert client.post("/api/group/skip/k", {"expected": "a"}).status == 200
    assert shop.groups.get("k").head == "b"
    assert client.post("/api/group/skip/nothing", {"expected": "a"}).status == 404


def test_drop_and_redrive(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b")
    assert client.post("/api/group/drop/k", {"expected": "a", "reason": "broken"}).status == 200
    assert [letter.id for letter in shop.groups.dead_letters()] == ["a"]
    assert client.post("/api/groups/redrive", {"id": "a", "to": "tail"}).json["key"] == "k"
    assert [task.task_id for task in shop.groups.tasks("k")] == ["a"]
    assert client.post("/api/groups/redrive", {"id": "a"}).status == 404
    assert client.post("/api/groups/redrive", {"id": "a", "to": "middle"}).status == 400
    assert client.post("/api/groups/redrive").status == 400


def test_redrive_of_many_keeps_their_order(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b", "c")
    for id in "abc":
        assert client.post("/api/group/drop/k", {"expected": id}).status == 200
    shop.groups.pause("k")
    refs = [letter.ref for letter in shop.groups.dead_letters()]
    answer = client.post("/api/groups/redrive", {"refs": [*refs, "0-1", "gone"]}).json
    assert (answer["done"], answer["refused"], answer["errors"]) == (3, 0, [])
    assert [task.task_id for task in shop.groups.tasks("k")] == ["a", "b", "c"], "whatever the order in the request"
    for wrong in ([], "a", [1]):
        assert client.post("/api/groups/redrive", {"refs": wrong}).status == 400
    for id in "abc":
        assert client.post("/api/group/drop/k", {"expected": id}).status == 200
    assert client.post("/api/groups/redrive", {"selection": {}, "count": 3, "to": "middle"}).status == 400
    answer = client.post("/api/groups/redrive", {"selection": {"key": "k"}, "count": 3, "to": "head"}).json
    assert (answer["done"], answer["matched"]) == (3, 3)
    assert [task.task_id for task in shop.groups.tasks("k")] == ["a", "b", "c"]


def test_many_letters_are_redriven_in_turns(client: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "TURN", 2)
    ids = [f"t{number}" for number in range(7)]
    for to in ("tail", "head"):
        shop.send("k", *ids)
        for id in ids:
            shop.groups.drop("k", id)
        shop.groups.pause("k")
        answer = client.post("/api/groups/redrive", {"selection": {}, "count": 7, "to": to}).json
        assert answer["done"] == 7
        assert client.post("/api/groups/redrive", {"refs": ["0-1"] * 1001, "to": "head"}).status == 400
        assert [task.task_id for task in shop.groups.tasks("k")] == ids
        shop.groups.purge("k")
        shop.groups.resume("k")


def test_discard(client: Any, shop: Shop) -> None:
    for id in "abcde":
        shop.send(f"k{id}", id)
        shop.groups.drop(f"k{id}", id, f"reason {id}")
    answer = client.post("/api/groups/discard", {"id": "a", "reason": "tested"})
    assert answer.json == {"sentence": "1 dead letter was discarded.", "count": 1}
    assert (shop.groups.actions()[0].reason, shop.groups.actions()[0].what) == ("tested", "discard")
    assert client.post("/api/groups/discard", {"id": "a"}).status == 404
    answer = client.post("/api/groups/discard", {"refs": [shop.groups.dead_letters(search="reason b")[0].ref]})
    assert answer.json["sentence"] == "discard: done to 1 of 1 dead letter."
    late = client.post("/api/groups/discard", {"selection": {"cause": "dropped"}, "count": 2})
    assert late.status == 409 and "3 dead letters match by now, not 2: nothing was done" in late.text
    assert client.post("/api/groups/discard", {"selection": {"cause": "dropped"}, "count": 3}).json["done"] == 3
    assert shop.groups.dead_letters() == []
    refused: list[dict[str, Any]] = [
        {},
        {"id": ""},
        {"id": 7},
        {"selection": {}},
        {"selection": {"key": 7}, "count": 1},
        {"selection": {"cause": "lost"}, "count": 1},
        {"selection": {"older_than": "soon"}, "count": 1},
        {"selection": {}, "count": True},
    ]
    for wrong in refused:
        assert client.post("/api/groups/discard", wrong).status == 400, wrong


def test_drain_retry_and_purge(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b", "c")
    assert client.post("/api/group/drain/k").json["sentence"] == "Group 'k' is draining."
    answer = client.post("/api/group/retry/k")
    assert answer.status == 409 and "holds no head" in answer.text
    assert client.post("/api/group/purge/k").json["sentence"] == "3 tasks of group 'k' were revoked."
    assert list(shop.groups.list()) == []


def test_a_whole_selection(client: Any, shop: Shop) -> None:
    for number in range(5):
        shop.send(f"shop-{number}", f"{number}")
    shop.send("other", "o")
    answer = client.post("/api/groups/pause", {"search": "shop", "count": 4})
    assert answer.status == 409 and "5 groups match by now, not 4" in answer.text
    assert client.post("/api/groups/pause", {"search": "shop"}).status == 400
    assert list(shop.groups.list(state="paused")) == []
    done = client.post("/api/groups/pause", {"search": "shop", "count": 5, "reason": "all"}).json
    assert (done["done"], done["matched"], done["refused"]) == (5, 5, 0)
    assert len(shop.groups.list(state="paused")) == 5
    done = client.post("/api/groups/retry", {"state": "paused", "count": 5}).json
    assert (done["done"], done["refused"]) == (0, 5) and "is paused" in done["errors"][0]
    assert client.post("/api/groups/purge", {"state": "paused", "count": 5}).json["done"] == 5
    assert [group.depth for group in shop.groups.list()] == [1]
    assert client.post("/api/groups/skip", {"count": 9}).status == 404


def test_a_selection_counts_where_something_was_done(client: Any, shop: Shop) -> None:
    for number in range(3):
        shop.send(f"shop-{number}", f"{number}")
    shop.groups.pause("shop-0")
    done = client.post("/api/groups/resume", {"search": "shop", "count": 3}).json
    assert (done["done"], done["matched"], done["refused"]) == (1, 3, 0)
    assert done["sentence"] == "resume: done to 1 of 3 groups."


def test_actions_never_wait_for_their_part_of_the_time(
    client: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0 if seconds == OWED else seconds)

    async def sample_nothing(self: Board) -> None:
        """It looks, and waits."""

    monkeypatch.setattr(Board, "keep_sampling", sample_nothing)
    monkeypatch.setattr(asyncio, "sleep", noted)
    monkeypatch.setattr(Pace, "owed", lambda self: OWED)
    shop.send("k", "a", "b")
    shop.groups.drop("k", "a")
    for path, said in (
        ("group/pause/k", {}),
        ("groups/resume", {"count": 9}),
        ("groups/redrive", {"id": "a"}),
    ):
        waits.clear()
        assert client.post(f"/api/{path}", said).status == 200
        assert OWED not in waits, path
    assert client.get("/api/groups").status == 200
    assert OWED in waits


@pytest.mark.parametrize("said", [b"no json", b"[]", b'{"reason": 7}'])
def test_bad_bodies(client: Any, shop: Shop, said: bytes) -> None:
    answer = client.post("/api/group/pause/k", said)
    assert answer.status == 400 and answer.text and "Traceback" not in answer.text
    assert shop.groups.list(state="paused") == []


# -- whom they obey ----------------------------------------------------------

ACTIONS = [
    "/api/group/pause/k",
    "/api/group/skip/k",
    "/api/group/limit/k",
    "/api/group/move/k",
    "/api/groups/pause",
    "/api/groups/redrive",
    "/api/groups/discard",
    "/api/groups/revoke",
    "/api/groups/terminate",
]


@pytest.mark.parametrize("path", ACTIONS)
def test_only_post_changes_something(client: Any, path: str) -> None:
    assert client.get(path).status == 405


@pytest.mark.parametrize("path", ACTIONS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_other_sites_are_refused_also_without_a_login(
    client: Any, shop: Shop, path: str, headers: dict[str, str]
) -> None:
    answer = client.post(path, {"count": 9, "expected": "a", "id": "a"}, headers=headers)
    assert (answer.status, answer.text) == (403, "Cross-site request forbidden")
    assert shop.groups.actions() == []


def test_its_own_pages_are_not(client: Any, shop: Shop) -> None:
    shop.send("k", "a")
    own = {"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{client.port}"}
    assert client.post("/api/group/pause/k", headers=own).status == 200
    del own["Sec-Fetch-Site"]
    assert client.post("/api/group/pause/k", headers=own).status == 200


@pytest.mark.parametrize("path", ACTIONS)
def test_read_only(make_client: Make, shop: Shop, path: str) -> None:
    client = make_client(read_only=True)
    answer = client.post(path)
    assert (answer.status, answer.text) == (403, "Read only mode is enabled")
    assert "data-bulk" not in client.get("/groups").text and "data-verb" not in client.get("/group/k").text
    assert "data-bulk" in make_client(read_only=False).get("/groups").text


def test_without_a_login_the_api_is_closed_and_the_page_is_not(make_client: Make) -> None:
    client = make_client(open_api=False)
    assert client.get("/groups").status == 200 and client.get("/groups/data").status == 200
    for answer in (client.get("/api/groups"), client.get("/api/group/info/k"), client.post("/api/group/pause/k")):
        assert answer.status == 401 and "FLOWER_UNAUTHENTICATED_API" in answer.text


def test_basic_auth_and_the_name_in_the_audit(make_client: Make, shop: Shop) -> None:
    shop.send("k", "a")
    client = make_client(open_api=False, basic_auth=["anna:secret", "bert:word"])
    for path in ("/groups", "/groups/data", "/group/k", "/groups/group/k", "/groups/workers/data", "/api/groups"):
        assert client.get(path).status == 401, path
        assert client.get(path, user="anna:secret").status == 200, path
    assert client.post("/api/group/pause/k").status == 401
    assert client.post("/api/group/pause/k", user="anna:word").status == 401
    assert client.post("/api/group/pause/k", user="bert:word").status == 200
    assert shop.groups.actions()[0].by == "bert (Flower, from 127.0.0.1)"


def test_oauth(make_client: Make, shop: Shop) -> None:
    from tornado.web import create_signed_value

    shop.send("k", "a")
    client = make_client(open_api=False, auth="anna@shop.example")
    answer = client.get("/groups")
    assert answer.status == 302 and answer.headers["Location"].startswith("/login")
    assert client.post("/api/group/pause/k").status == 403
    user = create_signed_value("secret", "user", "anna@shop.example").decode()
    token = "0123456789abcdef"
    cookie = {"Cookie": f"user={user}; _xsrf={token}"}
    assert client.request("GET", "/groups", headers=cookie).status == 200
    assert client.post("/api/group/pause/k", headers=cookie).status == 403
    assert client.post("/api/group/pause/k", headers={**cookie, "X-XSRFToken": token}).status == 200
    assert shop.groups.actions()[0].by == "anna@shop.example (Flower, from 127.0.0.1)"


# -- surroundings ------------------------------------------------------------


def test_url_prefix(make_client: Make, shop: Shop) -> None:
    shop.send("x/y", "a")
    client = make_client(url_prefix="admin/queues")
    page = client.get("/admin/queues/groups")
    assert page.status == 200
    for part in ('href="/admin/queues/groups"', 'data-group="/admin/queues/group/"', 'data-prefix="/admin/queues"'):
        assert part in page.text
    assert client.get("/admin/queues/groups/static/groupfifo.js").status == 200
    assert client.get("/admin/queues/group/x%2Fy").status == 200
    assert client.post("/admin/queues/api/group/pause/x%2Fy").status == 200
    assert client.get("/groups").status == 404


def test_redis_away(make_client: Make) -> None:
    app = Celery("shop", broker="redis://127.0.0.1:1/0", set_as_current=False)
    client = make_client(app)
    assert client.get("/groups").status == 200 and client.get("/group/k").status == 200
    for path in ("/groups/data", "/groups/group/k", "/groups/dead-letters/data", "/api/groups", "/api/groups/actions"):
        answer = client.get(path)
        assert answer.status == 503 and "can't be" in answer.text, answer
    answer = client.post("/api/group/pause/k")
    assert answer.status == 503 and "redis://127.0.0.1:1/0" in answer.text


def test_whether_the_gate_answers_is_told_at_once(make_client: Make, shop: Shop) -> None:
    assert make_client().get("/groups/alive").json == {"away": ""}
    refuses = make_client(Celery("shop", broker="redis://127.0.0.1:1/0", set_as_current=False))
    assert "redis://127.0.0.1:1/0" in refuses.get("/groups/alive").json["away"]
    assert "Set groupfifo_url" in make_client(Celery("shop", broker="memory://")).get("/groups/alive").json["away"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        hangs = make_client(Celery("shop", broker=url, set_as_current=False))
        for _ in range(2):
            asked = time.monotonic()
            assert "has not answered within 1 s" in hangs.get("/groups/alive").json["away"]
            assert time.monotonic() - asked < 2


def test_buttons_say_what_they_need(make_client: Make) -> None:
    page = make_client(open_api=False).get("/groups").text
    assert 'data-barred="Actions need a login: start Flower with --basic_auth' in page
    assert 'data-barred=""' in make_client().get("/groups").text
    client = make_client(open_api=False, basic_auth=["anna:secret"])
    assert 'data-barred=""' in client.get("/groups", user="anna:secret").text


def test_no_gate_is_known(make_client: Make) -> None:
    answer = make_client(Celery("shop", broker="memory://", set_as_current=False)).get("/groups/data")
    assert answer.status == 503 and "Set groupfifo_url" in answer.text
