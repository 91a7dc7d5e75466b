"""One call of every script that operators use, in the manner of tests/gate/scripted.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery_groupfifo.groups.action_calls import ActionCalls
from tests.gate.scripted import Call, Case
from tests.gate.support import World

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
    return _run(world, "pause", [world.keys.paused, world.keys.group("g")], "g", FLAG)


def resume(world: World) -> Call:
    _before(world, pause(world))
    keys = world.keys
    return _run(world, "resume", [keys.paused, keys.line("g"), keys.group("g")], "g")


def drain(world: World) -> Call:
    world.park("a")
    return _run(world, "drain", [world.keys.group("g")], "g", FLAG)


def skip(reason: str) -> Callable[[World], Call]:
    def prepare(world: World) -> Call:
        world.park("a")
        world.park("b")
        return _run(world, "skip", [world.keys.line("g"), world.keys.group("g")], "g", "a", reason)

    return prepare


def skip_paused(world: World) -> Call:
    _before(world, pause(world))
    _before(world, skip("")(world))
    world.park("c")
    return _run(world, "skip", [world.keys.line("g"), world.keys.group("g")], "g", "b", "")


def purge(world: World) -> Call:
    world.park("a")
    world.park("b")
    return _run(world, "purge", [world.keys.line("g"), world.keys.group("g")], "g", 0, 100, 1000)


def retry(world: World) -> Call:
    ticket = world.run("a")
    world.hold(ticket, 1000)
    return _run(world, "retry", [world.keys.group("g")])


def move(world: World) -> Call:
    world.run("a")
    world.park("b")
    keys = world.keys
    us = world.redis.lindex(keys.line("g"), 0).split(b" ")[0]
    text = world.redis.hget(keys.entries, "b")
    more = [keys.line("g"), keys.group("g"), keys.line("h"), keys.group("h")]
    return _run(world, "move", more, "g", "h", us, "b", text.replace(b" g ", b" h ", 1))


def redrive(world: World) -> Call:
    _before(world, skip("dropped")(world))
    letter = world.redis.lindex(world.keys.dead, 0)
    entry = letter.partition(b"\n")[2].partition(b" ")[2]
    more = [world.keys.line("g"), world.keys.group("g")]
    return _run(world, "redrive", more, "g", "a", letter, entry, 1)


def ages(world: World) -> Call:
    world.run("a", "A")
    world.park("a2", "A")
    world.run("b", "B")
    lines = [world.keys.line(group) for group in "AB"]
    return lambda: world.gate.store.run("ages", world.keys, lines, [])


def index(world: World) -> Call:
    for id in "abc":
        world.park(id, id)
    return lambda: world.gate.store.run("groups", world.keys, [], [0, 100])


def states(world: World) -> Call:
    world.run("a", "A")
    world.run("c", "C")
    world.park("b", "B")
    world.redis.hset(world.keys.group("C"), "draining", FLAG)
    hashes = [world.keys.group(group) for group in "ABC"]
    return lambda: world.gate.store.run("states", world.keys, hashes, [])


def census(world: World) -> Call:
    world.run("a", "A")
    world.park("a2", "A", delay=1000)
    return lambda: world.gate.store.run("census", world.keys, [], [0, 100])


def line(world: World) -> Call:
    for id in "abcd":
        world.park(id)
    world.gate.revoke("b")
    return lambda: world.gate.store.run("line", world.keys, [world.keys.line("g")], [0, 100, 1000])


def place(world: World) -> Call:
    world.park("a")
    world.park("b")
    us = world.redis.hget(world.keys.entries, "b").split(b" ")[0]
    return lambda: world.gate.store.run("place", world.keys, [world.keys.line("g")], [us, "b", -1, 100])


def lines(world: World) -> Call:
    world.run("a", "A")
    world.park("a2", "A")
    world.park("b", "B")
    places = [key for group in "AB" for key in (world.keys.line(group), world.keys.group(group))]
    return lambda: world.gate.store.run("lines", world.keys, places, [100, 100])


def recall(world: World) -> Call:
    world.run("a")
    world.park("b", "other")
    crowd(world, "b", "other")
    more = [world.keys.line("g"), world.keys.group("g")]
    return lambda: world.gate.store.run("recall", world.keys, more, ["b", 1])


def crowd(world: World, id: str, group: str) -> None:
    """A released head of another group becomes a second one of "g", as nothing but a hand could do it."""
    keys, redis = world.keys, world.redis
    record, text = redis.hget(keys.flight, id), redis.hget(keys.entries, id)
    redis.hset(keys.flight, id, record.replace(f" {group} ".encode(), b" g "))
    redis.hset(keys.entries, id, text.replace(f" {group} ".encode(), b" g ", 1))
    redis.delete(keys.group(group))
    redis.zrem(keys.depth, group)
    redis.zincrby(keys.depth, 1, "g")
    redis.hset(keys.group("g"), f"f {id}", 1)


CASES = [
    Case("pause", pause),
    Case("resume", resume),
    Case("drain", drain),
    Case("skip", skip("")),
    Case("skip", skip("dropped"), "setting aside"),
    Case("skip", skip_paused, "paused"),
    Case("purge", purge),
    Case("retry", retry),
    Case("move", move),
    Case("redrive", redrive),
    Case("groups", index),
    Case("ages", ages),
    Case("states", states),
    Case("census", census),
    Case("lines", lines),
    Case("recall", recall),
    Case("line", line),
    Case("place", place),
]

#: Scripts that change nothing.
READING = {"groups", "ages", "states", "census", "lines", "line", "place"}
