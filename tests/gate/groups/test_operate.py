"""skip, drop, purge, retry, move, revoke: guarded, atomic, told to the result backend, and audited."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo import GroupDraining, GroupFifoError, Groups, HeadChanged, UnknownGroup, WrongState
from celery_groupfifo.errors import InvalidGroupKey
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Finished
from tests.support.shop import Shop
from tests.support.stored import stored
from tests.support.world import ticket_of


def ids(shop: Shop, key: str = "k") -> list[str]:
    return [task.task_id for task in shop.groups.tasks(key)]


# -- skip ------------------------------------------------------------------


def test_skip_takes_the_released_head_out_and_the_next_goes_on(shop: Shop) -> None:
    for id in "abc":
        shop.send("k", id)
    shop.groups.skip("k", expected="a")
    assert (shop.state("a"), shop.state("b")) == ("REVOKED", "PENDING")
    assert shop.world.queued("celery") == ["a", "b"], "its ticket is stale"
    assert not shop.world.begin(shop.world.receive("celery"))
    assert shop.begin().id == "b"


def test_skip_takes_a_held_head_out(shop: Shop) -> None:
    shop.send("k", "a")
    shop.send("k", "b")
    ticket = shop.begin()
    shop.world.hold(ticket, 60_000, "k", "celery")
    shop.groups.skip("k", expected="a")
    assert shop.begin().id == "b"


def test_skip_under_a_pause_takes_the_first_in_line(shop: Shop) -> None:
    shop.groups.pause("k")
    for id in "abcd":
        shop.send("k", id)
    shop.groups.revoke("b")
    for id in "ac":
        shop.groups.skip("k", expected=id)
    assert shop.groups.get("k").head == "d"
    assert shop.world.queued("celery") == []
    shop.groups.resume("k")
    assert shop.begin().id == "d"


def test_skip_of_the_last_one_under_a_pause_leaves_no_line(shop: Shop) -> None:
    shop.groups.pause("k")
    shop.send("k", "a")
    shop.groups.skip("k", expected="a")
    assert not shop.world.redis.exists(shop.world.keys.line(quote("k")))


def test_skip_walks_over_any_number_of_empty_places(shop: Shop) -> None:
    shop.groups.pause("k")
    for n in range(231):
        shop.world.park(f"t{n}", "k")
    for n in range(1, 230):
        assert shop.world.gate.revoke(f"t{n}") is not None
    shop.groups.skip("k", expected="t0")
    shop.groups.skip("k", expected="t230")
    shop.groups.resume("k")
    assert shop.world.residue() == {}


def test_skip_of_another_head_does_nothing(shop: Shop) -> None:
    shop.send("k", "a")
    shop.send("k", "b")
    with pytest.raises(HeadChanged, match="The head of group 'k' is a, not b: nothing was done"):
        shop.groups.skip("k", expected="b")
    assert ids(shop) == ["b"]


def test_skip_of_a_running_head_says_what_to_do(shop: Shop) -> None:
    shop.send("k", "a")
    ticket = shop.begin()
    with pytest.raises(WrongState, match=r"Task a of group 'k' runs, .*celery -A APP groupfifo terminate a"):
        shop.groups.skip("k", expected="a")
    assert not shop.world.finish(ticket, "k").stale


def test_skip_of_an_empty_group(shop: Shop) -> None:
    with pytest.raises(UnknownGroup, match="Group 'k' has no head"):
        shop.groups.skip("k", expected="a")


# -- purge -----------------------------------------------------------------


def test_purge_takes_all_but_the_running_one(shop: Shop) -> None:
    for n in range(5):
        shop.send("k", f"t{n}")
    ticket = shop.begin()
    assert shop.groups.purge("k") == 4
    assert [shop.state(f"t{n}") for n in range(5)] == ["PENDING", *["REVOKED"] * 4]
    shop.world.finish(ticket, "k")
    assert shop.world.residue() == {}


def test_purge_takes_the_released_head_and_what_has_an_eta(shop: Shop) -> None:
    shop.send("k", "a")
    shop.send("k", "b")
    shop.send("k", "later", countdown=60)
    shop.send("other", "c", countdown=60)
    assert shop.groups.purge("k") == 3
    assert [shop.state(id) for id in ("a", "b", "later", "c")] == ["REVOKED"] * 3 + ["PENDING"]
    assert [group.key for group in shop.groups.list()] == ["other"]


def test_purge_looks_for_etas_only_where_tasks_are_left(shop: Shop) -> None:
    shop.send("k", "a")
    shop.send("k", "b")
    shop.begin()
    for n in range(3):
        shop.send("later", f"e{n}", countdown=600)

    def scans() -> int:
        return int(shop.world.redis.info("commandstats").get("cmdstat_zscan", {"calls": 0})["calls"])

    shop.world.redis.config_resetstat()
    assert shop.groups.purge("k") == 1
    assert scans() == 0, "only the running one is left"
    assert shop.groups.purge("later") == 3
    assert scans() > 0


def test_a_purge_of_what_has_an_eta_only_is_audited(shop: Shop) -> None:
    shop.send("k", "later", countdown=60)
    assert shop.groups.purge("k", by="anna") == 1
    assert [(each.by, each.what) for each in shop.groups.actions()] == [("anna", "purge")]


def test_purge_goes_chunk_by_chunk_and_leaves_nothing(shop: Shop) -> None:
    for n in range(350):
        shop.world.park(f"t{n}", "k")
    assert shop.groups.purge("k") == 350
    assert shop.world.residue() == {}
    assert [action.what for action in shop.groups.actions()] == ["purge"], "one action, in one entry of the audit"


def test_purge_leaves_what_comes_meanwhile(shop: Shop) -> None:
    for n in range(150):
        shop.world.park(f"t{n}", "k")
    gate, run = shop.world.gate, shop.world.gate.store.run

    def park_in_between(name: str, *args: Any, **more: Any) -> Any:
        reply = run(name, *args, **more)
        if name == "cut" and not parked:
            shop.world.tick(1)
            parked.append(shop.world.park("new", "k"))
        return reply

    parked: list[bool] = []
    gate.store.run = park_in_between  # type: ignore[method-assign]
    assert shop.groups.purge("k") == 150
    assert shop.groups.get("k").head == "new"
    assert shop.world.depth("k") == 1


def test_purge_of_an_empty_group_is_no_error(shop: Shop) -> None:
    assert shop.groups.purge("k") == 0


# -- retry -----------------------------------------------------------------


def test_retry_lets_a_held_head_go_at_once(shop: Shop) -> None:
    shop.send("k", "a")
    ticket = shop.begin()
    shop.world.hold(ticket, 60_000, "k", "celery")
    shop.groups.retry("k")
    assert shop.begin().id == "a"
    shop.world.tick(60_000)
    shop.world.sweep()
    assert shop.world.queued("celery") == [], "its appointment is gone"


def test_retry_of_what_is_not_held(shop: Shop) -> None:
    shop.send("k", "a")
    with pytest.raises(WrongState, match="'k' holds no head that waits"):
        shop.groups.retry("k")
    shop.groups.pause("k")
    with pytest.raises(WrongState, match="'k' is paused: resume it"):
        shop.groups.retry("k")


# -- move ------------------------------------------------------------------


def test_move_keeps_the_order_and_rewrites_the_key(shop: Shop) -> None:
    for id in "abc":
        shop.send("old", id)
    for id in "xy":
        shop.send("new", id)
    first = shop.begin()
    assert shop.groups.move("old", "new") == 2
    assert ids(shop, "new") == ["y", "b", "c"]
    assert (shop.world.depth("old"), shop.world.depth("new")) == (1, 4)
    shop.world.finish(first, "old")
    order = []
    for _ in range(4):
        message = shop.world.pop("celery") or b""
        headers = json.loads(message)["headers"]
        assert headers["groupfifo_key"] == "new"
        assert headers["argsrepr"] == ("('old', 7)" if headers["id"] in "bc" else "('new', 7)")
        ticket = ticket_of(message)
        assert shop.world.begin(ticket)
        order.append(ticket.id)
        shop.world.finish(ticket, "new")
    assert order == ["x", "y", "b", "c"]
    assert shop.world.residue() == {}


def test_move_into_an_empty_group_starts_it(shop: Shop) -> None:
    for n in range(250):
        shop.send("old", f"t{n}")
    shop.groups.revoke("t100")
    assert shop.groups.move("old", "new") == 248
    assert shop.world.queued("celery") == ["t0", "t1"]
    assert ids(shop, "new")[:2] == ["t2", "t3"]
    assert shop.world.depth("new") == 248


def test_move_while_the_old_group_goes_on(shop: Shop) -> None:
    """Timeline: the line is read, the run ends, the next head leaves the line, and only then the script moves it."""
    for id in "abcd":
        shop.send("old", id)
    ticket, store = shop.begin(), shop.world.gate.store
    run = store.run
    done: list[Finished] = []

    def finish_in_between(name: str, *args: Any, **more: Any) -> Any:
        if name == "move" and not done:
            done.append(shop.world.finish(ticket, "old"))
        return run(name, *args, **more)

    store.run = finish_in_between  # type: ignore[method-assign]
    assert shop.groups.move("old", "new") == 2
    assert (shop.groups.get("old").head, shop.groups.get("new").head, ids(shop, "new")) == ("b", "c", ["d"])
    assert shop.groups.verify() == []


def test_move_byte_for_byte(shop: Shop) -> None:
    shop.groups.pause("old")
    shop.task.apply_async(("old", 2**70), task_id="a", headers={"mine": {"groupfifo_key": "old", "x": 1.5}})
    before = stored(shop.world.redis.hget(shop.world.keys.entries, "a"))
    shop.groups.move("old", "\u00e9 {}|")
    shop.groups.resume("\u00e9 {}|")
    payload = json.loads(shop.world.pop("celery") or b"")
    assert payload["headers"]["mine"] == {"groupfifo_key": "old", "x": 1.5}
    assert payload["headers"]["groupfifo_key"] == "\u00e9 {}|"
    assert json.dumps(payload["body"]).encode() in before


def test_move_refuses_what_it_cannot_do(shop: Shop) -> None:
    shop.send("old", "a")
    shop.send("old", "b")
    shop.send("new", "x")
    shop.groups.drain("new")
    with pytest.raises(GroupDraining, match="'new' is draining"):
        shop.groups.move("old", "new")
    with pytest.raises(GroupFifoError, match="into itself"):
        shop.groups.move("old", "old")
    shop.world.redis.hset(shop.world.keys.entries, "b", "garbage")
    with pytest.raises(GroupFifoError, match="Task b of group 'old' can't be read"):
        shop.groups.move("old", "fresh")
    assert shop.groups.move("nothing", "fresh") == 0


def test_move_to_another_partition_is_refused_with_the_reason(redis_url: str) -> None:
    app = Celery("cluster", broker=redis_url, set_as_current=False)
    app.conf.groupfifo_partitions = 4
    groups = Groups(app)
    place = lambda key: groups.gate.keyspace.of_group(key)  # noqa: E731
    other = next(key for key in "abcdefgh" if place(key) is not place("old"))
    same = next(key for key in "abcdefghijklmnop" if place(key) is place("old"))
    with pytest.raises(GroupFifoError, match=r"'old' and '.' are in different partitions .*choose a key of the same"):
        groups.move("old", other)
    assert groups.move("old", same) == 0
    groups.gate.store.client.close()


# -- revoke ----------------------------------------------------------------


def test_a_revoke_is_audited_by_the_step_that_does_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeline: the script takes the task out, and its caller dies before it can tell anybody."""
    shop.send("k", "a")
    shop.send("k", "b")
    shop.send("k", "later", countdown=60)

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("celery_groupfifo.sending.revoke.tell_revoked", die)
    for id in ("b", "later"):
        with pytest.raises(KeyboardInterrupt):
            shop.groups.revoke(id, by="anna")
    done = shop.groups.actions()
    assert [(each.by, each.what, each.key, each.more) for each in done] == [
        ("anna", "revoke", "k", {"task_id": id}) for id in ("later", "b")
    ]
    monkeypatch.undo()
    shop.begin()
    assert not shop.groups.revoke("a") and not shop.groups.revoke("b"), "what was not done"
    assert len(shop.groups.actions()) == 2, "is not noted"
    assert shop.world.gate.revoke("never") is None


def test_revoke(shop: Shop) -> None:
    shop.send("k", "a")
    shop.send("k", "b")
    assert shop.groups.revoke("b", by="anna")
    assert shop.state("b") == "REVOKED"
    assert not shop.groups.revoke("b") and not shop.groups.revoke("never")
    assert [(action.by, action.key) for action in shop.groups.actions()] == [("anna", "k")]


# -- audit -----------------------------------------------------------------


def test_each_action_is_logged_and_kept_with_who_when_and_why(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "celery_groupfifo.audit")
    shop.send("k", "a")
    shop.groups.pause("k", "incident 7", by="anna")
    shop.groups.resume("k")
    shop.groups.skip("k", expected="a", reason="poison", by="ben")
    newest, middle, oldest = shop.groups.actions()
    assert (oldest.what, oldest.by, oldest.key, oldest.reason) == ("pause", "anna", "k", "incident 7")
    assert (newest.what, newest.more) == ("skip", {"task_id": "a"})
    assert "@" in middle.by, "user and host"
    assert newest.when.timestamp() * 1000 == shop.world.now
    assert "anna: pause of group 'k', because: incident 7" in caplog.text


def test_what_was_refused_is_not_in_the_audit(shop: Shop) -> None:
    shop.send("k", "a")
    with pytest.raises(HeadChanged):
        shop.groups.skip("k", expected="b")
    shop.groups.resume("k")
    shop.groups.drain("nothing")
    assert shop.groups.actions() == []


def test_the_audit_is_bounded(shop: Shop) -> None:
    for _ in range(1010):
        shop.groups.pause("k")
    assert len(shop.groups.actions(limit=5000)) == 1000


@pytest.mark.parametrize("key", ["", "x" * 513, 7])
def test_a_wrong_key_is_named(shop: Shop, key: object) -> None:
    with pytest.raises(InvalidGroupKey, match="The group key of this call"):
        shop.groups.pause(key)  # type: ignore[arg-type]
