"""A long walk over all that may happen to heads of tenants: at each step, verify finds nothing, and nobody is stuck."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from celery_groupfifo.gate.keys import quote, unquote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.records import Limits
from celery_groupfifo.groups import Groups
from celery_groupfifo.windows import Rate
from tests.gate.scripts.test_fair import left
from tests.support.stored import all_stored
from tests.support.world import World, ticket_of

WEIGHTS = {"a": 2, "b": 1, "c": 1}
KEYS = [f"{tenant}-{number}" for tenant in WEIGHTS for number in range(4)]
LIMITS = ["", "", "", Limits(concurrency=2).text(), Limits(Rate(2, 500)).text()]


class Walk:
    """A gate, and what is done to it.

    Attributes:
        running: The runs that have begun and not ended.
        beyond: Tickets that may be on their way beyond a tenant's weight: they had had their turns.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random, self.groups = world, Random(seed), Groups(world.app, world.gate)
        self.running: list[Ticket] = []
        self.sent = self.beyond = 0
        self.paused: set[str] = set()

    def key(self) -> str:
        return self.random.choice(KEYS)

    def park(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            key = self.key()
            more: dict[str, Any] = self.random.choice([{}, {}, {"delay": 300}, {"delay": 300, "reserves": True}])
            fair = f"f{WEIGHTS[key[0]]}/{key[0]}" if self.random.random() < 0.9 else ""
            self.world.park(f"t{self.sent}", key, fair=fair, limits=self.random.choice(LIMITS), **more)
            self.sent += 1

    def begin(self) -> None:
        message = self.world.pop()
        if message is None:
            return
        ticket = ticket_of(message)._replace(lane=str(self.random.getrandbits(40)))
        keys, more, args = self.world.gate.begin_call(ticket, quote("w1"), self.world.gate.call_name())
        reply = self.world.gate.store.run("begin", keys, more, args)
        begun = self.world.gate.granted(ticket, reply)
        if begun is not None:
            self.running.append(begun)
            members = self.world.gate.invited(begun, reply)
            if members and self.random.random() < 0.8:  # else the worker dies before it
                advance = self.world.gate.advance_call(begun, self.world.lists("q"), members)
                self.world.gate.publish(self.world.gate.store.run("advance", *advance)[2:])

    def end(self) -> None:
        if not self.running:
            return
        ticket = self.running.pop(self.random.randrange(len(self.running)))
        key, way = unquote(ticket.group), self.random.choice(["take", "take", "take", "none", "own", "hold", "fail"])
        if way == "hold":
            self.world.hold(ticket, self.random.choice([0, 200]), key)
        elif way == "fail":
            self.world.fail(ticket, key, self.random.choice(["dead_letter", "cancel_rest", "block"]), 200)
        else:
            lists = self.world.lists("q") if way == "take" else ()
            done = self.world.finish(ticket, key, take="lists" if way == "take" else way, lists=lists)
            if done.taken:
                taken = ticket_of(done.taken)
                self.running.append(taken._replace(fence=done.fence, lane=ticket.lane))

    def surrender(self) -> None:
        if self.running:
            self.beyond += 1
            self.world.gate.surrender([(self.running.pop(), True)], self.world.lists("q"))

    def lose(self) -> None:
        """A ticket is lost on its way."""
        if self.world.pop():
            self.world.tick(4000)
            self.world.rerelease()

    def operate(self) -> None:
        key = self.key()
        found = self.world.group(key).flights
        verb = self.random.choice(["revoke", "purge", "skip", "retry", "pause", "resume", "move"])
        if verb == "revoke" and found:
            self.world.gate.revoke(self.random.choice(found).task_id)
        elif verb == "purge" and found:
            self.groups.purge(key)
        elif verb == "skip" and found and found[0].state != "running":
            self.groups.skip(key, expected=found[0].task_id)
        elif verb == "retry" and key not in self.paused and any(each.state == "held" for each in found):
            self.beyond += len(found)
            self.groups.retry(key)
        elif verb == "pause":
            self.groups.pause(key)
            self.paused.add(key)
        elif verb == "resume" and self.paused:
            self.groups.resume(self.paused.pop())
        elif verb == "move" and self.world.waiting(key):
            self.groups.move(key, self.key() if self.key() != key else f"{key[0]}-9")

    def sweep(self) -> None:
        self.world.tick(self.random.choice([10, 200, 600]))
        self.world.sweep(self.world.lists("q"))

    def check(self) -> None:
        assert [breach for breach in self.groups.verify() if breach.name != "left"] == []
        for tenant, weight in WEIGHTS.items():
            members = [
                each.split(b" ") for each in all_stored(self.world.redis.zrange(self.world.keys.on_the_way, 0, -1))
            ]
            out = [words for words in members if words[0] == b"\x7fo" and words[2] == tenant.encode()]
            assert len(out) <= weight + self.beyond
        if not all_stored(self.world.redis.zrange(self.world.keys.on_the_way, 0, -1)):
            self.beyond = 0

    def to_the_end(self) -> None:
        """All that is left runs."""
        for key in list(self.paused):
            self.groups.resume(key)
        for _ in range(1000):
            self.world.tick(300)
            self.world.sweep(self.world.lists("q"))
            self.world.rerelease()
            self.begin()
            while self.running:
                self.world.finish(self.running[-1], unquote(self.running.pop().group))
            if not self.world.redis.hlen(self.world.keys.entries):
                break
        for _ in range(3):
            self.world.tick(11_000)
            self.world.sweep(self.world.lists("q"))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_each_head_has_its_turn(world: World, seed: int) -> None:
    walk = Walk(world, seed)
    steps: list[Callable[[], None]] = [walk.park, walk.begin, walk.begin, walk.end, walk.end, walk.sweep]
    steps += [walk.operate, walk.surrender, walk.lose]
    for _ in range(150):
        walk.random.choices(steps, [6, 5, 5, 5, 5, 3, 2, 1, 1])[0]()
        walk.check()
    walk.to_the_end()
    assert world.residue() == {} and not left(world)
