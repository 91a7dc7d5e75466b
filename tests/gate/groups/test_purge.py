"""Purges of many groups: cut off, told, ended; what a result backend hears is what it hears of one task."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery, signals
from celery.backends.redis import RedisBackend

from celery_groupfifo import GroupFifoTask, Groups, InvalidOption
from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.cutting import GROUPS, PLACES, TEXTS, part_of
from celery_groupfifo.gate.keys import CLAIM_MS, quote
from celery_groupfifo.sending import kinds
from celery_groupfifo.sending.revoke import mark
from celery_groupfifo.sending.telling import Teller
from tests.gate.scripted import recorded
from tests.support.shop import Shop, shop
from tests.support.world import make_entry

__all__ = ["shop"]

MANY = 100


def fill(shop: Shop, groups: int = MANY, each: int = 5) -> list[str]:
    """Park tasks in groups; return the keys."""
    for number in range(each):
        entries = [make_entry(shop.world.gate, f"t{at}.{number}", f"k{at}") for at in range(groups)]
        shop.world.tick(1)
        shop.world.gate.park_all(entries, shop.world.gate.numbers(len(entries)))
    return [f"k{at}" for at in range(groups)]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that the result backend is told of."""
    ids: list[str] = []
    monkeypatch.setattr(Teller, "tell", lambda self, gone: ids.extend(id for id, _ in gone))
    return ids


# -- the calls ---------------------------------------------------------------


def test_many_groups_share_each_call_and_leave_nothing(shop: Shop, told: list[str]) -> None:
    keys = fill(shop)
    shop.world.redis.config_resetstat()
    with recorded(shop.world.gate.store) as made:
        assert shop.groups.purge_many(keys, by="anna") == dict.fromkeys(keys, 5)
    assert sorted(told) == sorted(f"t{at}.{number}" for at in range(MANY) for number in range(5))
    assert shop.world.residue() == {}
    scripts = [call.script for call in made]
    assert len(scripts) <= 2 * -(-MANY // min(GROUPS, PLACES // 6)) + 2, "a cut and an end for so many groups"
    assert set(scripts) == {"cut", "cancel"}
    said = shop.world.redis.info("commandstats")
    names = ("lrange", "renamenx", "lpush", "hget", "exists", "lpop", "hset", "hdel", "zrem")
    inside = sum(said.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names)
    assert inside <= 8 * MANY, "a few short commands for each group"
    done = shop.groups.actions()
    assert [(each.by, each.what, each.key, each.more["groups"]) for each in done] == [("anna", "purge", "", MANY)]
    assert shop.groups.actions(key="k3") == done and shop.groups.actions(key="other") == []


def test_no_call_reads_or_ends_more_than_so_many_places(
    shop: Shop, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.groups.pause("g")
    for number in range(3 * PLACES):
        shop.world.park(f"t{number}", "g")
    sizes: list[int] = []
    cut = shop.world.gate.cut

    def noted(parts: Any, *args: Any) -> Any:
        answer = cut(parts, *args)
        sizes.append(sum(len(read.places) for read in answer.reads))
        return answer

    monkeypatch.setattr(shop.world.gate, "cut", noted)
    shop.world.redis.config_resetstat()
    assert shop.groups.purge_many(["g"]) == {"g": 3 * PLACES}
    assert sizes == [PLACES] * 3
    reads = shop.world.redis.info("commandstats")["cmdstat_hmget"]["calls"]
    assert reads >= 3 * PLACES / TEXTS, "Redis serves others in between"
    shop.groups.resume("g")
    assert shop.world.residue() == {}


def test_keys_are_a_list(shop: Shop) -> None:
    with pytest.raises(InvalidOption, match="keys='abc' does not work: give a list of keys"):
        shop.groups.purge_many("abc")
    assert shop.groups.purge_many([]) == {}
    assert shop.groups.purge_many(["never"]) == {"never": 0} and shop.groups.actions() == []


def test_etas_of_many_groups_are_looked_for_once(shop: Shop, told: list[str]) -> None:
    for at in range(30):
        shop.send(f"k{at}", f"a{at}")
        shop.send(f"k{at}", f"later{at}", countdown=600)
    shop.send("other", "stays", countdown=600)
    shop.world.redis.config_resetstat()
    assert sum(shop.groups.purge_many([f"k{at}" for at in range(30)]).values()) == 60
    assert shop.world.redis.info("commandstats")["cmdstat_zscan"]["calls"] <= 2
    assert [group.key for group in shop.groups.list()] == ["other"] and len(told) == 60


# -- who dies in between -----------------------------------------------------


def test_what_was_not_told_is_cut_off_and_a_repetition_tells_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeline: the tasks are cut off, the backend is away, the operator's process ends."""
    for id in "abc":
        shop.send("k", id)

    def away(*args: object, **more: object) -> None:
        raise OSError("away")

    monkeypatch.setattr(RedisBackend, "ensure", away)
    monkeypatch.setattr(RedisBackend, "mark_as_revoked", away)
    with pytest.raises(GroupFifoError, match="can't be told that 3 tasks are revoked, of which a is the first"):
        shop.groups.purge("k")
    assert shop.groups.get("k").depth == 3 and shop.world.queued("celery") == ["a"]
    assert shop.world.begin(shop.world.receive("celery")) is None, "its ticket is stale"
    monkeypatch.undo()
    assert shop.groups.verify() == []
    assert [shop.state(id) for id in "abc"] == ["PENDING"] * 3
    shop.send("k", "new")
    assert shop.groups.purge("k") == 4
    assert [shop.state(id) for id in ("a", "b", "c", "new")] == ["REVOKED"] * 4
    assert shop.world.residue() == {}


def test_a_sweep_goes_on_with_what_an_operator_has_left(shop: Shop, told: list[str]) -> None:
    for id in "abc":
        shop.send("k", id)
    part = part_of(shop.world.keys, quote("k"))
    shop.world.gate.cut([part], shop.world.now * 1000 + 1000)
    assert shop.world.sweep().cancelled == [], "it is left to the operator for a while"
    shop.world.tick(CLAIM_MS)
    assert [id for id, _ in shop.world.sweep().cancelled] == ["a", "b", "c"]
    assert shop.world.residue() == {} and told == []


def test_two_that_end_the_same_part_end_each_task_once(shop: Shop) -> None:
    for id in "abc":
        shop.send("k", id)
    part, gate = part_of(shop.world.keys, quote("k")), shop.world.gate
    first, _ = gate.cut([part], shop.world.now * 1000 + 1000)
    second, _ = gate.cut([part])
    gate.cancel(first)
    shop.send("k", "a")
    gate.cancel(second)
    gate.cancel(second)
    assert shop.world.queued("celery")[-1] == "a" and shop.groups.get("k").depth == 1
    assert shop.groups.verify() == []


@pytest.mark.parametrize("before", [True, False], ids=["before it is read", "after"])
def test_a_task_that_was_revoked_and_sent_again_is_not_ended(shop: Shop, before: bool) -> None:
    """Timeline: b is cut off, revoked, and sent again under its id; then what was cut off is ended."""
    for id in "abc":
        shop.send("k", id)
    part, gate = part_of(shop.world.keys, quote("k")), shop.world.gate
    reads, _ = gate.cut([part], shop.world.now * 1000 + 1000)
    assert shop.groups.revoke("b")
    shop.send("k", "b")
    if before:
        reads, _ = gate.cut([part])
    gate.cancel(reads)
    assert shop.groups.verify() == []
    found = shop.groups.find("b")
    assert found is not None and found.key == "k" and shop.groups.get("k").depth == 1
    shop.world.finish(_begun(shop), "k")
    assert shop.world.residue() == {}


def _begun(shop: Shop) -> Any:
    while True:
        begun = shop.world.begin(shop.world.receive("celery"))
        if begun is not None:
            return begun


def test_what_is_cut_off_and_not_told_is_not_ended(shop: Shop) -> None:
    """Timeline: two read the same part; one ends its first task, and the other one the same number of places."""
    for id in "abc":
        shop.send("k", id)
    part, gate = part_of(shop.world.keys, quote("k")), shop.world.gate
    (read,), _ = gate.cut([part], shop.world.now * 1000 + 1000)
    read.places, read.present = read.places[:1] * 3, read.present[:1]
    gate.cancel([read])
    assert [id for id, _ in gate.cut([part]).reads[0].gone] == ["b", "c"]


def test_a_line_keeps_what_came_meanwhile(shop: Shop) -> None:
    shop.groups.pause("k")
    shop.send("k", "a")
    bound = shop.world.now * 1000
    shop.send("k", "new")
    (read,), _ = shop.world.gate.cut([part_of(shop.world.keys, quote("k"))], bound)
    assert [id for id, _ in read.gone] == ["a"] and shop.world.waiting("k") == ["new"]


def test_a_cut_that_is_repeated_leaves_what_came_meanwhile(shop: Shop) -> None:
    shop.send("k", "a")
    part, bound = part_of(shop.world.keys, quote("k")), shop.world.now * 1000 + 1
    _, noted = shop.world.gate.cut([part], bound, "note")
    shop.send("k", "new")
    again = shop.world.gate.cut([part], bound, "note")
    assert noted and not again.noted and [id for id, _ in again.reads[0].gone] == ["a"]
    assert shop.world.queued("celery") == ["a", "new"]
    assert len(shop.world.redis.lrange(shop.world.keys.audit, 0, -1)) == 1


# -- what the backend hears ----------------------------------------------------


def metas(app: Celery, ids: list[str]) -> list[dict[str, Any]]:
    """The results in the backend, without what differs anyway."""
    found = [json.loads(app.backend.get(app.backend.get_key_for_task(id)) or b"{}") for id in ids]
    return [{name: value for name, value in meta.items() if name not in ("date_done",)} for meta in found]


CALLS: dict[str, dict[str, Any]] = {
    "usual": {},
    "a child": {"parent_id": "p-1", "root_id": "r-1"},
    "of a group": {"group_id": "grp-1", "parent_id": "p-2", "root_id": "r-1"},
    "without a result": {"ignore_result": True},
    "with headers": {"headers": {"group": "mine", "body": "x"}},
    "with a callback": {"link_error": []},
    "compressed": {"compression": "zlib"},
}


@pytest.mark.parametrize("said", CALLS.values(), ids=CALLS)
def test_the_backend_hears_of_many_what_it_hears_of_one(shop: Shop, said: dict[str, Any]) -> None:
    ids = [f"id-{number}" for number in range(3)]
    for id in ids:
        shop.send("k", id, **said)
    messages = {id: entry.whole() for id, entry in shop.world.gate.store.entries(shop.world.keys, ids).items()}
    for id in ids:
        mark(shop.app, id, messages[id])
    alone = metas(shop.app, ids)
    for id in ids:
        shop.app.backend.delete(shop.app.backend.get_key_for_task(id))
    assert shop.groups.purge("k") == 3
    assert metas(shop.app, ids) == alone
    if "ignore_result" not in said:
        assert [meta["status"] for meta in alone] == ["REVOKED"] * 3
        assert 0 < shop.world.redis.ttl(shop.app.backend.get_key_for_task("id-1").decode()) <= 86_400


def test_results_are_published_and_a_success_stays(shop: Shop) -> None:
    for id in ("a", "b"):
        shop.send("k", id)
    shop.app.backend.store_result("b", 7, "SUCCESS")
    listener = shop.world.redis.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(*(shop.app.backend.get_key_for_task(id) for id in ("a", "b")))
    listener.get_message(timeout=1)
    shop.groups.purge("k")
    heard = [message for message in (listener.get_message(timeout=0.5) for _ in range(4)) if message]
    assert [json.loads(message["data"])["task_id"] for message in heard] == ["a"]
    assert (shop.state("a"), shop.state("b")) == ("REVOKED", "SUCCESS")
    listener.close()


def test_the_usual_tasks_are_told_in_one_pipeline(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        shop.send("k", f"t{number}")
    made: list[str] = []
    monkeypatch.setattr(RedisBackend, "_store_result", _counted(made, RedisBackend._store_result))
    assert shop.groups.purge("k") == 50
    assert len(made) <= 2, "Celery writes one result of a kind, and another one when that is old"
    assert [shop.state(f"t{number}") for number in range(50)] == ["REVOKED"] * 50


def _counted(made: list[str], call: Any) -> Any:
    def counted(self: Any, task_id: str, *args: Any, **more: Any) -> Any:
        made.append(task_id)
        return call(self, task_id, *args, **more)

    counted.__module__ = call.__module__
    return counted


def test_members_of_a_chord_are_told_by_celery(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[str] = []
    monkeypatch.setattr(RedisBackend, "on_chord_part_return", lambda self, request, *_: parts.append(request.id))
    shop.send("k", "a")
    shop.send("k", "b", chord=shop.task.si("end"), group_id="grp")
    shop.send("k", "c")
    assert shop.groups.purge("k") == 3
    assert parts == ["b"] and [shop.state(id) for id in "abc"] == ["REVOKED"] * 3


def test_each_task_has_its_signal(shop: Shop) -> None:
    heard: list[tuple[Any, ...]] = []

    def receive(sender: Any, request: Any, **more: Any) -> None:
        heard.append((request.id, sender.name, tuple(request.args), more["terminated"], shop.state(request.id)))

    signals.task_revoked.connect(receive)
    try:
        shop.send("k", "a")
        shop.send("k", "b", ignore_result=True)
        shop.groups.purge("k")
    finally:
        signals.task_revoked.disconnect(receive)
    assert heard == [
        ("a", "shop.send", ("k", 7), False, "REVOKED"),
        ("b", "shop.send", ("k", 7), False, "PENDING"),
    ]


@pytest.mark.parametrize("setting", [{"result_extended": True}, {"result_serializer": "pickle"}])
def test_other_results_go_celerys_way(shop: Shop, monkeypatch: pytest.MonkeyPatch, setting: dict[str, Any]) -> None:
    shop.app.conf.update(setting, accept_content=["json", "pickle"])
    shop.app.backend.serializer = shop.app.conf.result_serializer
    for id in ("a", "b"):
        shop.send("k", id)
    made: list[str] = []
    monkeypatch.setattr(RedisBackend, "_store_result", _counted(made, RedisBackend._store_result))
    assert shop.groups.purge("k") == 2
    assert made == ["a", "b"] and [shop.state(id) for id in "ab"] == ["REVOKED"] * 2


def test_a_backend_that_is_no_redis_is_told_one_by_one(redis_url: str) -> None:
    app = Celery("other", broker=redis_url, backend="cache+memory://", set_as_current=False)

    @app.task(base=GroupFifoTask, group_key="{key}", name="other.send", shared=False)
    def send(key: str) -> None:
        """Never run here."""

    for id in ("a", "b"):
        send.apply_async(("k",), task_id=id)
    assert Groups(app).purge("k") == 2
    assert [app.AsyncResult(id).state for id in "ab"] == ["REVOKED"] * 2


def test_a_wrapped_part_of_celery_is_called_for_each(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    store = RedisBackend.store_result

    def wrapped(self: Any, task_id: str, *args: Any, **more: Any) -> Any:
        made.append(task_id)
        return store(self, task_id, *args, **more)

    monkeypatch.setattr(RedisBackend, "store_result", wrapped)
    for id in ("a", "b"):
        shop.send("k", id)
    assert shop.groups.purge("k") == 2 and made == ["a", "b"]


def test_what_is_named_here_is_there() -> None:
    assert all(hasattr(RedisBackend, name) for name in kinds._WRITERS)
