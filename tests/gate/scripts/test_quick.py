"""The usual call has a way of its own through a script, see lua/build.py: it does what the rest of the script does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.records import whole_end
from lua import build
from tests.support.world import PLAIN, World, make_entry

Call = Callable[[], Any]


def rest_of(name: str) -> str:
    """A script without what is quick."""
    sources = build.Sources(build.ROOT)
    sources.quick.clear()
    return sources.script(name)


def state(world: World) -> dict[Any, Any]:
    """All that is stored."""
    read: dict[Any, Callable[[Any], Any]] = {
        b"string": world.redis.get,
        b"list": lambda key: world.redis.lrange(key, 0, -1),
        b"hash": world.redis.hgetall,
        b"zset": lambda key: world.redis.zrange(key, 0, -1, withscores=True),
    }
    keys = set(world.redis.keys("*")) - {world.keys.stamp.encode()}
    return {key: (read[world.redis.type(key)](key), world.redis.ttl(key) > 0) for key in keys}


def words(reply: Any) -> list[str]:
    """A reply, as its reader takes it: a number alone is as good as a list of it, and a short end as a whole one."""
    whole = [reply] if reply == 1 else whole_end(reply) if len(reply) == 2 and reply[0] != 1 else reply
    return [word.decode() if isinstance(word, bytes) else str(word) for word in whole]


def done_both_ways(world: World, call: Call) -> None:
    """Make a call, then the same one by the rest of the script alone from the same state, and compare."""
    store, made = world.gate.store, list[tuple[str, list[str], list[Any], Any, Any]]()
    run, before = store.run, {key: (world.redis.dump(key), world.redis.pttl(key)) for key in world.redis.keys("*")}

    def noted(name: str, keys: Keys, more: Sequence[str], args: Sequence[Any]) -> Any:
        reply = run(name, keys, more, args)
        made.append((name, [*keys.base, *more], [store.clock, keys.tag, *args], reply, state(world)))
        return reply

    store.run = noted  # type: ignore[method-assign]
    try:
        call()
    finally:
        del store.run
    ((name, keys, args, reply, after),) = made
    for key in world.redis.keys("*"):
        world.redis.delete(key)
    for key, (dumped, left) in before.items():
        world.redis.restore(key, max(left, 0), dumped or b"")
    assert words(world.redis.eval(rest_of(name), len(keys), *keys, *args)) == words(reply)
    assert state(world) == after


def running(world: World, *groups: str) -> list[Ticket]:
    """A run in each group."""
    return [world.run(f"{group}1", group) for group in groups]


def _busy(world: World) -> None:
    running(world, "A")


def _line(world: World) -> None:
    _busy(world)
    world.park("A2", "A")


def _known(world: World) -> None:
    _line(world)
    world.park("new", "A")


def _paused(world: World) -> None:
    _line(world)
    Groups(world.app, world.gate).pause("A", by="me")


@pytest.mark.parametrize("prepare", [_busy, _line, _known, _paused, lambda world: None])
def test_parks(world: World, prepare: Callable[[World], None]) -> None:
    prepare(world)
    done_both_ways(world, lambda: world.park("new", "A"))


def test_a_repeated_park(world: World) -> None:
    _busy(world)
    entry, number = make_entry(world.gate, "new", "A"), world.gate.number()
    world.gate.park(entry, number)
    done_both_ways(world, lambda: world.gate.park(entry, number))


def _alone(world: World) -> None:
    """Nothing else is there."""


def _others_wait(world: World) -> None:
    world.park("B1", "B")


def _own_line(world: World) -> None:
    world.park("A2", "A")


def _both(world: World) -> None:
    _own_line(world)
    _others_wait(world)


def _stale(world: World) -> None:
    _both(world)
    world.gate.revoke("B1")


def _plain(world: World) -> None:
    _own_line(world)
    world.redis.rpush("q", PLAIN)


def _revoked(world: World) -> None:
    _own_line(world)
    world.park("A3", "A")
    world.gate.revoke("A2")


def _another_queue(world: World) -> None:
    world.park("A2", "A", "elsewhere")


def _second_list(world: World) -> None:
    world.park("A2", "A", "q2")
    world.park("B1", "B", "q2")


def _limited(world: World) -> None:
    world.park("A2", "A", limits="l1/1000/0")


def _gone(world: World) -> None:
    _both(world)
    world.redis.hdel(world.keys.entries, "A2")


def _corrupt(world: World) -> None:
    _both(world)
    world.redis.hset(world.keys.entries, "A2", "nonsense")


@pytest.mark.parametrize("extends", [False, True])
@pytest.mark.parametrize(
    "prepare",
    [
        _alone, _others_wait, _own_line, _both, _stale, _plain, _revoked, _another_queue, _second_list, _limited, _gone,
        _corrupt,
    ],
)  # fmt: skip
def test_ends(world: World, prepare: Callable[[World], None], extends: bool) -> None:
    (run,) = running(world, "A")
    prepare(world)
    call = world.finishing(run, "A", take="lists", lists=world.lists("q", "q2"), extends=extends)
    done_both_ways(world, lambda: world.gate.finish(call))


def test_a_repeated_end(world: World) -> None:
    (run,) = running(world, "A")
    _both(world)
    call = world.finishing(run, "A", take="lists", lists=world.lists("q"))
    world.gate.finish(call)
    done_both_ways(world, lambda: world.gate.finish(call))
