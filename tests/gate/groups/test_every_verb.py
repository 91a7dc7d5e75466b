"""Every verb of operators at a gate of thousands of groups and long lines: no single call to Redis grows with these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.cutting import part_of
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.groups.listing import SORTS, STATES
from celery_groupfifo.groups.workers import Workers
from celery_groupfifo.metrics.snapshot import Snapshots
from celery_groupfifo.sending import revoke
from celery_groupfifo.sending.telling import Teller
from celery_groupfifo.testing import embedded
from tests.gate.groups.touched import Call, monitored
from tests.support.shop import Shop
from tests.support.stored import stored
from tests.support.world import World, make_entry

#: Groups, and places of each long line: more than one call may touch.
GROUPS, LINE = 4_000, 5_000
LONG = ("deep", "revoked", "cut", "moved", "deeper")
#: Elements that one call may touch: `line` looks at 1,600 places, and asks for the entry of each.
MOST = 3_500
#: Commands of a verb that is about one group or task.
COMMANDS = 30
#: The verbs that look at all groups, or go through a line.
WHOLE = {"list", "verify", "status", "doctor", "purge", "purge_many", "move", "redrive_many", "discard"}


def fill(world: World, key: str, many: int, first: int = 0) -> None:
    """Park a task, and write others behind it, as parking each takes a test too long: `<key>0`, `<key>1` and so on."""
    world.tick(1)
    world.park(f"{key}{first}", key)
    text = stored(world.redis.hget(world.keys.entries, f"{key}{first}"))
    us, pipe = int(text[:16]), world.redis.pipeline(transaction=False)
    for n in range(first + 1, first + many):
        pipe.hset(world.keys.entries, f"{key}{n}", b"%d" % (us + n) + text[16:])
        pipe.rpush(world.keys.line(quote(key)), f"{us + n} {key}{n}")
    pipe.execute()
    world.tick((first + many) // 1000 + 1)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with embedded.start(appendonly=False) as server, pytest.MonkeyPatch.context() as patched:
        patched.setattr(Workers, "ask", lambda *_: {})
        patched.setattr(Teller, "tell", lambda *_: None)
        patched.setattr(revoke, "mark", lambda *_: None)
        shop = Shop(f"{server.url}/0")
        world, keys = shop.world, shop.world.keys
        world.fail(world.run("failed", "blocked"), "blocked")
        for start in range(0, GROUPS, 1000):
            world.tick(1)
            entries = [make_entry(world.gate, f"t{n}", f"k{n}") for n in range(start, start + 1000)]
            world.gate.park_all(entries, world.gate.numbers(len(entries)))
        fill(world, "deep", LINE)
        later = [make_entry(world.gate, f"later{n}", "later", delay=60_000) for n in range(300)]
        world.gate.park_all(later, world.gate.numbers(len(later)))
        for key in ("revoked", "cut", *(f"k{n}" for n in range(100, 104))):
            shop.groups.pause(key)
        fill(world, "revoked", LINE + 5)
        world.redis.hdel(keys.entries, *(f"revoked{n}" for n in range(LINE)))
        world.redis.hset(keys.groups, "revoked", world.group("revoked")._replace(empty=LINE).text())
        fill(world, "cut", 100)
        world.gate.cut([part_of(keys, quote("cut"))], world.now * 1000 + 999)
        fill(world, "cut", LINE, first=100)
        for n in range(200, 210):
            shop.groups.drop(f"k{n}", f"t{n}")
        yield shop
        world.close()


def verbs(groups: Groups) -> dict[str, list[Callable[[], object]]]:
    """Return calls of every verb, those that take much away last."""
    return {
        "list": [
            *(partial(groups.list, None, sort, 20) for sort in SORTS),
            *(partial(groups.list, state, sort, 20) for state, sort in zip(STATES, cycle(SORTS), strict=False)),
        ],
        "get": [lambda: groups.get("deep"), lambda: groups.get("revoked"), lambda: groups.get("later")],
        "tasks": [
            lambda: groups.tasks("deep"),
            lambda: groups.tasks("deep", 20, LINE - 50),
            lambda: groups.tasks("revoked", 3),
        ],
        "explain": [
            partial(groups.explain, key) for key in ("deep", "revoked", "later", "cut", "k7", "none", "blocked")
        ],
        "find": [
            partial(groups.find, id)
            for id in ("deep1", f"deep{LINE // 2}", f"deep{LINE - 1}", "later5", "cut9", "none")
        ],
        "stats": [groups.stats],
        "report": [groups.report],
        "reset_report": [groups.reset_report],
        "actions": [lambda: groups.actions(1000), lambda: groups.actions(10, "deep")],
        "status": [groups.status],
        "workers": [groups.workers],
        "verify": [lambda: groups.verify(repair=True)],
        "doctor": [groups.doctor],
        "dead_letters": [
            groups.dead_letters,
            lambda: groups.dead_letters("k201"),
            lambda: groups.dead_letters(search="x"),
        ],
        "dead_letter": [lambda: groups.dead_letter("t201")],
        "dead_letter_refs": [groups.dead_letter_refs],
        "count_dead_letters": [groups.count_dead_letters, lambda: groups.count_dead_letters(search="x")],
        "pause": [lambda: groups.pause("deep")],
        "resume": [lambda: groups.resume("deep")],
        "limit": [lambda: groups.limit("deep", concurrency=2, rate="9/s"), lambda: groups.limit("deep")],
        "drain": [lambda: groups.drain("deep"), lambda: groups.resume("deep")],
        "terminate": [lambda: groups.terminate("deep5")],
        "retry": [lambda: groups.retry("blocked")],
        "skip": [lambda: groups.skip("deep", str(groups.get("deep").head))],
        "drop": [lambda: groups.drop("deep", str(groups.get("deep").head))],
        "revoke": [
            partial(groups.revoke, id)
            for id in (f"deep{LINE // 2}", "later7", "cut9", "cut4000", "t50", f"revoked{LINE + 4}")
        ],
        "redrive": [lambda: groups.redrive("t201", "head"), lambda: groups.redrive("t202")],
        "redrive_many": [lambda: groups.redrive_many(key="k203"), groups.redrive_many],
        "discard": [
            lambda: groups.drop("k300", "t300"),
            lambda: groups.discard("t300"),
            lambda: groups.discard(all=True),
        ],
        "move": [lambda: groups.move("revoked", "moved"), lambda: groups.move("deep", "deeper")],
        "purge": [lambda: groups.purge("deeper"), lambda: groups.purge("cut"), lambda: groups.purge("later")],
        "purge_many": [lambda: groups.purge_many([f"k{n}" for n in range(1000)])],
    }


def test_no_call_of_any_verb_touches_more_than_a_part(shop: Shop) -> None:
    groups = Groups(shop.app, shop.world.gate, paced=False)
    every = verbs(groups)
    public = {name for name in dir(Groups) if not name.startswith("_") and callable(getattr(Groups, name))}
    assert set(every) == public, "a verb has no calls here"
    pages: dict[str, list[Callable[[], object]]] = {
        "metrics": [Snapshots(shop.app, max_age=0.0).get],
        "sweep": [shop.world.sweep],
    }
    wrong = []
    for name, made in {**pages, **every}.items():
        for at, call in enumerate(made):
            said = observed(shop, call)
            wrong += [f"{name} {at}: {each}" for each in said if each.touched > MOST]
            if name not in WHOLE | set(pages) and len(said) > COMMANDS:
                wrong.append(f"{name} {at}: {[each.words[:2] for each in said]}")
    assert wrong == []


def observed(shop: Shop, call: Callable[[], object]) -> list[Call]:
    keys = shop.world.keys
    with monitored(shop.world.redis, [keys.audit, *(keys.line(quote(key)) for key in LONG)]) as said:
        try:
            call()
        except GroupFifoError as error:  # it has looked, and refuses
            assert "deep5" in str(error)
    return said
