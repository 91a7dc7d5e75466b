"""One call of every script that operators use, in the manner of tests/gate/scripted.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery_groupfifo.gate.keys import quote
from celery_groupfifo.groups.action_calls import ActionCalls
from tests.gate.scripted import Call, Case
from tests.support.stored import all_stored, stored, stored_fields
from tests.support.world import World

NOTE = '{"by": "me", "what": "test"}'
FLAG = '{"reason": "test", '


def _run(world: World, name: str, more: list[str], *args: Any) -> Call:
    calls = ActionCalls(world.gate, world.keys, NOTE)
    return lambda: calls.run(name, more, *args)


def _before(world: World, call: Call) -> None:
    """Prepare: what has to happen first leaves no answer of its own."""
    call()
    world.redis.delete(*world.redis.keys("*:o:*"))


def pause(world: World) -> Call:
    world.park("a")
    return _run(world, "pause", [world.keys.paused, world.keys.wake], "g", FLAG)


def resume(world: World) -> Call:
    _before(world, pause(world))
    keys = world.keys
    return _run(world, "resume", [keys.paused, keys.line(quote("g")), keys.wake], "g")


def drain(world: World) -> Call:
    world.park("a")
    return _run(world, "drain", [world.keys.line(quote("g"))], "g", FLAG)


def limit(limits: str) -> Callable[[World], Call]:
    """Set a rate while a task runs that is to count; or take it away while it holds a head back, which goes on."""

    def prepare(world: World) -> Call:
        own = [world.keys.line(quote("g")), world.keys.wake]
        ticket = world.run("a")
        world.park("b")
        if limits:
            return _run(world, "limit", own, "g", limits, FLAG, 60_000)
        _before(world, _run(world, "limit", own, "g", "l1/60000/0", FLAG, 0))
        world.finish(ticket)
        return _run(world, "limit", own, "g", "", FLAG, 0)

    return prepare


def skip(reason: str) -> Callable[[World], Call]:
    def prepare(world: World) -> Call:
        world.park("a")
        world.park("b")
        return _run(world, "skip", [world.keys.line(quote("g")), world.keys.wake], "g", "a", reason)

    return prepare


def skip_paused(world: World) -> Call:
    _before(world, pause(world))
    _before(world, skip("")(world))
    world.park("c")
    return _run(world, "skip", [world.keys.line(quote("g")), world.keys.wake], "g", "b", "")


def purge(world: World) -> Call:
    world.park("a")
    world.park("b")
    return _run(world, "purge", [world.keys.line(quote("g")), world.keys.wake], "g", 0, 100, 1000)


def retry(world: World) -> Call:
    ticket = world.run("a")
    world.hold(ticket, 1000)
    return _run(world, "retry", [], "g")


def move(world: World) -> Call:
    world.run("a")
    world.park("b")
    keys = world.keys
    us = stored(world.redis.lindex(keys.line(quote("g")), 0)).split(b" ")[0]
    text = stored(world.redis.hget(keys.entries, "b"))
    more = [keys.line(quote("g")), keys.line(quote("h"))]
    return _run(world, "move", more, "g", "h", us, "b", text.replace(b" g ", b" h ", 1))


def redrive(world: World) -> Call:
    _before(world, skip("dropped")(world))
    more = [world.keys.line(quote("g"))]
    return _run(world, "redrive", more, "g", "a", stored(world.redis.hget(world.keys.dead, "newest")), 1, "")


def redrive_behind(world: World) -> Call:
    for id in "abc":
        world.park(id)
    calls = ActionCalls(world.gate, world.keys, NOTE)
    more = [world.keys.line(quote("g"))]
    for id in "ab":
        calls.run("skip", more, "g", id, "dropped")
    numbers = [stored(world.redis.hget(world.keys.dead, f"i {id}")) for id in "ab"]
    _before(world, lambda: calls.run("redrive", more, "g", "a", numbers[0], 1, ""))
    return _run(world, "redrive", more, "g", "b", numbers[1], 1, "a")


def discard(world: World) -> Call:
    _before(world, skip("dropped")(world))
    return _run(world, "discard", [], 1000, stored(world.redis.hget(world.keys.dead, "newest")))


def letters(world: World) -> Call:
    _before(world, skip("dropped")(world))
    return lambda: world.gate.store.run("letters", world.keys, [], [0, 100, "", 0])


def census(world: World) -> Call:
    world.run("a", "A")
    world.park("a2", "A", delay=1000)
    return lambda: world.gate.store.run("census", world.keys, [], [0, 100])


def line(world: World) -> Call:
    for id in "abcd":
        world.park(id)
    world.gate.revoke("b")
    return lambda: world.gate.store.run("line", world.keys, [world.keys.line(quote("g"))], [0, 100, 1000])


def place(world: World) -> Call:
    world.park("a")
    world.park("b")
    us = stored(world.redis.hget(world.keys.entries, "b")).split(b" ")[0]
    return lambda: world.gate.store.run("place", world.keys, [world.keys.line(quote("g"))], [us, "b", -1, 100, ""])


def recall(world: World) -> Call:
    world.run("a")
    world.park("b", "other")
    crowd(world, "b", "other")
    more = [world.keys.line(quote("g"))]
    return lambda: world.gate.store.run("recall", world.keys, more, ["b", "g", 1])


def mend(world: World) -> Call:
    world.run("a")
    return lambda: world.gate.store.run("mend", world.keys, [], ["g", "aside", "0", "1"])


def crowd(world: World, id: str, group: str) -> None:
    """A released head of another group becomes a second one of "g", as nothing but a hand could do it."""
    keys, redis = world.keys, world.redis
    record, text = stored(redis.hget(keys.groups, group)), stored(redis.hget(keys.entries, id))
    redis.hset(keys.groups, "g", stored(redis.hget(keys.groups, "g")) + b"\n" + record.partition(b"\n")[2])
    redis.hset(keys.entries, id, text.replace(f" {group} ".encode(), b" g ", 1))
    redis.hdel(keys.groups, group)
    for member in map(bytes.decode, all_stored(redis.zrange(keys.on_the_way, 0, -1))):
        if member.endswith(f" {group}"):
            redis.zrem(keys.on_the_way, member)
            redis.zadd(keys.on_the_way, {member.removesuffix(group) + "g": 0})
    for at, message in enumerate(all_stored(redis.lrange("q", 0, -1))):
        redis.lset("q", at, message.decode().replace(f" {id} {group}", f" {id} g"))
    runs = keys.runs(quote("w1"))
    for lane, said in stored_fields(redis.hgetall(runs)).items():
        redis.hset(runs, lane, said.replace(f" {group} ".encode(), b" g "))


CASES = [
    Case("pause", pause),
    Case("resume", resume),
    Case("drain", drain),
    Case("limit", limit("l1/60000/0")),
    Case("limit", limit(""), "none"),
    Case("skip", skip("")),
    Case("skip", skip("dropped"), "setting aside"),
    Case("skip", skip_paused, "paused"),
    Case("purge", purge),
    Case("retry", retry),
    Case("move", move),
    Case("redrive", redrive),
    Case("redrive", redrive_behind, "behind another"),
    Case("discard", discard),
    Case("letters", letters),
    Case("census", census),
    Case("recall", recall),
    Case("mend", mend),
    Case("line", line),
    Case("place", place),
]

#: Scripts that change nothing.
READING = {"census", "line", "place", "letters"}
