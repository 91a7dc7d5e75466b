"""One call of every script, as the gate makes it: what a test needs that runs all of them under some condition.

Each `Case` prepares a gate and then makes one call that runs one script.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from celery_groupfifo.gate.cutting import part_of
from celery_groupfifo.gate.keys import Keys, quote
from celery_groupfifo.gate.model import Bound, CutOff, Dedup, Ticket
from celery_groupfifo.gate.observations import Observations, Seen, Sent
from celery_groupfifo.gate.recovery import GRACE_MS
from celery_groupfifo.gate.store import Store
from celery_groupfifo.settings import Overflow
from celery_groupfifo.windows import Breaker
from tests.support.world import TTL_MS, World, make_entry, ticket_of

Call = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """A script and a call of it.

    Attributes:
        script: Its name.
        prepare: Brings the gate to where the call makes sense, and returns the call.
        note: Tells cases of one script apart.
    """

    script: str
    prepare: Callable[[World], Call]
    note: str = ""

    def __str__(self) -> str:
        return f"{self.script}-{self.note}" if self.note else self.script


def _observations(world: World) -> Observations:
    return Observations(world.gate.store, world.gate.keyspace)


def _stamp(world: World) -> Call:
    world.run("a")
    world.park("b")
    keys, seen = world.keys.in_edition(2), "1 1 1 0.1.0"
    world.redis.set(keys.stamp, seen)
    more = [keys.stamp, *world.keys.base]
    return lambda: world.gate.store.run("stamp", keys, more, [seen, "2 1 1 0.2.0", 0, ""])


def _home(world: World) -> Call:
    return lambda: world.gate.store.run("home", world.keys, [], ["- - - - g"])


def _observe_send(world: World) -> Call:
    return lambda: _observations(world).draw(quote("A"), "a")


def _seen(world: World) -> Seen:
    return Seen(Sent(_observations(world).draw(quote("A"), "a"), 1, quote("A")), "a", "call")


def _observe_start(world: World) -> Call:
    seen = _seen(world)
    return lambda: _observations(world).start(seen, "task", False, 0) or True


def _observe_end(world: World) -> Call:
    seen = _seen(world)
    _observations(world).start(seen, "task", False, 0)
    return lambda: _observations(world).end([seen])


def _park(world: World) -> Call:
    entry, number = make_entry(world.gate, "a"), world.gate.number()
    return lambda: world.gate.park(entry, number)


def _park_delayed(world: World) -> Call:
    entry, number = make_entry(world.gate, "a", delay=1000), world.gate.number()
    return lambda: world.gate.park(entry, number)


def _park_full(overflow: Overflow) -> Callable[[World], Call]:
    def prepare(world: World) -> Call:
        for id in ("x", "y"):
            world.park(id)
        entry = make_entry(world.gate, "a", bound=Bound(2 if overflow == "raise" else 1, overflow))
        number = world.gate.number()
        return lambda: world.gate.park(entry, number)

    return prepare


def _exchange(world: World) -> Call:
    world.run("x")
    world.park("a")
    entry, number = make_entry(world.gate, "a", body="new"), world.gate.number()
    entry.on_duplicate = "replace"
    return lambda: world.gate.park(entry, number)


def _park_identified(world: World) -> Call:
    world.run("x")
    entry = make_entry(world.gate, "a", dedup=Dedup("one", 1000))
    number = world.gate.number()
    return lambda: world.gate.park(entry, number)


def _park_beside(world: World) -> Call:
    world.run("a")
    entry, number = make_entry(world.gate, "a", dedup=Dedup(";a")), world.gate.number()
    entry.on_duplicate = "keep_latest"
    return lambda: world.gate.park(entry, number)


def _park_in_a_window(world: World) -> Call:
    world.park("b", delay=1000, order=1)
    entry, number = make_entry(world.gate, "a", delay=1000, order=2), world.gate.number()
    return lambda: world.gate.park(entry, number)


def _advance_sorted(world: World) -> Call:
    _park_in_a_window(world)()
    world.tick(1000)
    members = [("e g a", quote("g")), ("e g b", quote("g"))]
    return lambda: world.gate._advance(world.keys, members, ())


def _sweep_mark(world: World) -> Call:
    _advance_sorted(world)()
    world.tick(10_000)
    return lambda: world.sweep().next_due


def _revoke_in_a_window(world: World) -> Call:
    _park_in_a_window(world)()
    return lambda: world.gate.revoke("b")


def _exchange_in_a_window(world: World) -> Call:
    world.park("a", dedup=Dedup("one"), delay=1000, order=1)
    entry, number = make_entry(world.gate, "b", dedup=Dedup("one")), world.gate.number()
    entry.on_duplicate = "replace"
    return lambda: world.gate.park(entry, number)


def _exchange_renamed(delay: int) -> Callable[[World], Call]:
    def prepare(world: World) -> Call:
        world.run("x")
        world.park("a", dedup=Dedup("one"), delay=delay)
        entry, number = make_entry(world.gate, "b", dedup=Dedup("one")), world.gate.number()
        entry.on_duplicate = "keep_latest"
        return lambda: world.gate.park(entry, number)

    return prepare


def _finish_identified(world: World) -> Call:
    world.park("a", dedup=Dedup("one", 1000))
    ticket = world.begin(world.receive())
    assert ticket is not None
    call = world.finishing(ticket)
    return lambda: world.gate.finish(call)


def _sweep_identity(world: World) -> Call:
    _finish_identified(world)()
    world.tick(1000)
    return lambda: world.sweep().next_due


def _insert(behind: bool) -> Callable[[World], Call]:
    def prepare(world: World) -> Call:
        ticket = world.run("x")
        world.park("y")
        if behind:
            world.insert("b", ticket, 1)
        return lambda: world.insert("a", ticket, 2, delay=1000)

    return prepare


def _begin_of_a_tenant(world: World) -> Call:
    for id in "abc":
        world.park(id, id, fair="f1/tenant")
    ticket, call = world.receive(), world.gate.call_name()
    return lambda: world.begin(ticket, "w1", call)


def _finish_of_a_tenant(world: World) -> Call:
    first = _begin_of_a_tenant(world)()
    world.park("x", "x")
    world.sweep(world.lists("q"))
    call = world.finishing(first, "a", take="lists", lists=world.lists("q"))
    return lambda: world.gate.finish(call)


def _advance_of_a_tenant(world: World) -> Call:
    ticket = _begin_of_a_tenant(world)()
    keys, more, args = world.gate.advance_call(ticket, world.lists("q"), ["f q tenant"])
    return lambda: world.gate.store.run("advance", keys, more, args)


def _sweep_of_a_tenant(world: World) -> Call:
    _begin_of_a_tenant(world)()
    return lambda: world.sweep(world.lists("q")).next_due


def _revoke_of_a_tenant(world: World) -> Call:
    _begin_of_a_tenant(world)
    return lambda: world.gate.revoke("a")


def _replace(world: World) -> Call:
    world.run("a")
    entry, number = make_entry(world.gate, "a", body="new"), world.gate.number()
    return lambda: world.gate.park(entry, number, replaces=True)


def _begin(world: World) -> Call:
    world.park("a")
    ticket = world.receive()
    return lambda: world.begin(ticket)


def _finish(take: str) -> Callable[[World], Call]:
    def prepare(world: World) -> Call:
        ticket = world.run("a", "A")
        world.park("a2", "A")
        world.park("b", "B")
        call = world.finishing(ticket, "A", take=take, lists=world.lists("q", "q2"))
        return lambda: world.gate.finish(call)

    return prepare


def _finish_held(world: World) -> Call:
    call = world.holding(world.run("a"), 1000, body="again")
    return lambda: world.gate.finish(call)


def _finish_continued(world: World) -> Call:
    call = world.holding(world.run("a"), 0, lists=world.lists("q", "q2"))
    return lambda: world.gate.finish(call)


def _finish_rejoining(delay: int) -> Callable[[World], Call]:
    def prepare(world: World) -> Call:
        ticket = world.run("a", "A")
        world.park("a2", "A")
        call = world.holding(ticket, delay, "A", rejoins=True, take="lists", lists=world.lists("q", "q2"))
        return lambda: world.gate.finish(call)

    return prepare


def _finish_replaced(world: World) -> Call:
    ticket = world.run("a")
    world.replace("a", delay=1000)
    call = world.finishing(ticket)
    return lambda: world.gate.finish(call)


def _fail(policy: str) -> Callable[[World], Call]:
    def prepare(world: World) -> Call:
        ticket = world.run("a", "A")
        world.park("a2", "A")
        call = world.failing(ticket, "A", policy, lists=world.lists("q", "q2"))
        return lambda: world.gate.finish(call)

    return prepare


def _fail_for_a_time(world: World) -> Call:
    ticket = world.run("a")
    call = world.failing(ticket, "g", "block", 1000)
    return lambda: world.gate.finish(call)


def _fail_counted(most: int) -> Callable[[World], Call]:
    def prepare(world: World) -> Call:
        ticket = world.run("a")
        call = world.failing(ticket, "g", "continue", breaker=Breaker(most, 60_000, 1000))
        return lambda: world.gate.finish(call)

    return prepare


def _advance_blocked(world: World) -> Call:
    ticket = world.run("a")
    world.park("b")
    world.fail(ticket, lasts=1000)
    world.tick(1000)
    return lambda: world.gate._advance(world.keys, [("b g a", quote("g"))], world.lists("q"))


def _fail_replaced(world: World) -> Call:
    ticket = world.run("a")
    world.replace("a", delay=1000)
    call = world.failing(ticket, "g", "block")
    return lambda: world.gate.finish(call)


def _cancel(world: World) -> Call:
    ticket = world.run("a")
    world.park("b")
    world.park("c")
    world.gate.finish(world.failing(ticket, "g", "cancel_rest"))
    part = CutOff(world.keys, quote("g"), str(ticket.fence))
    (read,), _ = world.gate.cut([part])
    return lambda: world.gate.cancel([read])


def _cut(world: World) -> Call:
    world.run("a")
    world.park("b")
    world.park("c", "other")
    parts = [part_of(world.keys, quote(group)) for group in ("g", "other")]
    return lambda: [(read.places, read.gone) for read in world.gate.cut(parts, world.now * 1000, "note").reads]


def _renew(world: World) -> Call:
    ticket = world.run("a")
    world.finish(world.run("b", "B"), "B")
    world.tick(1000)
    return lambda: world.gate.renew(quote("w1"), [ticket])


def _lease(world: World) -> Call:
    ticket = world.run("a")
    return lambda: world.gate.lease(ticket)


def _surrender(world: World) -> Call:
    runs = [(world.run(id, id), lost) for id, lost in (("a", False), ("b", True))]
    return lambda: world.gate.surrender(runs, world.lists("q"))


def _led(world: World) -> Ticket:
    """A run with two followers, and an entry behind them."""
    for id in "abc":
        world.park(id)
    ticket = world.begin(world.receive())
    assert ticket is not None
    world.gate.gather(ticket, "t", 9)
    world.park("d")
    return ticket


def _gather(world: World) -> Call:
    for id in "abcd":
        world.park(id)
    world.gate.revoke("b")
    ticket = world.begin(world.receive())
    assert ticket is not None
    return lambda: [ticket_of(message).id for message in world.gate.gather(ticket, "t", 9)]


def _settle(world: World) -> Call:
    ticket = _led(world)
    return lambda: world.gate.settle(ticket, ["b"])


def _surrender_batch(world: World) -> Call:
    ticket = _led(world)
    return lambda: world.gate.surrender([(ticket, True)], world.lists("q"))


def _finish_left(world: World) -> Call:
    ticket = _led(world)
    call = world.finishing(ticket, take="lists", lists=world.lists("q"))
    return lambda: world.gate.finish(call)


def _sweep(world: World) -> Call:
    world.idle_sweeps(TTL_MS)
    held = world.run("held", "H")
    world.hold(held, TTL_MS, "H")
    world.run("lost", "L")
    world.park("delayed", "D", delay=TTL_MS)
    world.tick(TTL_MS // 2)
    world.sweep()
    world.tick(TTL_MS // 2)
    return lambda: world.sweep(world.lists("q")).next_due


def _reclaim(world: World) -> Call:
    world.run("lost", "L")
    world.tick(TTL_MS)
    world.redis.zrem(world.keys.due, "w w1")
    return lambda: bool(world.gate.reclaim(world.keys, quote("w1"), quote("w2"), world.lists("q"))) and False


def _advance(*queues: str) -> Callable[[World], Call]:
    def prepare(world: World) -> Call:
        for id, key in (("a", "A"), ("b", "B")):
            world.park(id, key, delay=1000)
        world.tick(1000)
        members = [("e A a", quote("A")), ("e B b", quote("B"))]
        return lambda: world.gate._advance(world.keys, members, world.lists(*queues))

    return prepare


def _heads(world: World) -> Call:
    for id in "abc":
        world.park(id, id, queue=f"q{id}")
    world.begin(world.receive("qa"))
    world.park("d", "d", queue="qa")
    return lambda: world.gate.heads(world.keys)


def _rerelease(world: World) -> Call:
    world.park("a", "A")
    world.park("b", "B")
    world.redis.delete("q")
    world.tick(GRACE_MS + 1)
    return lambda: bool(world.gate.rerelease(world.keys, "q", quote("w1"))) and False  # a repeated call counts none


def _elsewhere(world: World) -> Call:
    entry = make_entry(world.gate, "a", "A")
    entry.queue, entry.list_key = "*away", None
    world.gate.park(entry, world.gate.number())
    world.tick(GRACE_MS + 1)
    return lambda: bool(world.gate.rerelease(world.keys, "*away", quote("w1"), rereleases=1)) and False


def _revoke(world: World) -> Call:
    world.run("a")
    world.park("b")
    return lambda: world.gate.revoke("b")


def _park_several(world: World) -> Call:
    world.run("x", "B")
    entry, number = make_entry(world.gate, "a", "A", others=["B", "C"], bound=Bound(9, "raise")), world.gate.number()
    return lambda: world.gate.park(entry, number)


def _finish_several(world: World) -> Call:
    world.park("a", "A", others=["B"])
    world.park("b", "B", others=["A"])
    ticket = world.begin(world.receive())
    assert ticket is not None
    call = world.finishing(ticket, "A", take="lists", lists=world.lists("q"))
    return lambda: replace(world.gate.finish(call), held=None)  # a repetition leaves the other groups to any sweep


def _fail_several(world: World) -> Call:
    world.park("a", "A", others=["B"])
    ticket = world.begin(world.receive())
    assert ticket is not None
    world.park("b", "B")
    call = world.failing(ticket, "A", "cancel_rest", breaker=Breaker(2, 60_000, 1000), others=["B"])
    return lambda: replace(world.gate.finish(call), held=None)


def _revoke_several(world: World) -> Call:
    world.run("x", "B")
    world.park("a", "A", others=["B", "C"])
    return lambda: world.gate.revoke("a")


CASES = [
    Case("park_several", _park_several),
    Case("finish", _finish_several, "several keys"),
    Case("fail", _fail_several, "several keys"),
    Case("revoke", _revoke_several, "several keys"),
    Case("park", _park),
    Case("park", _park_delayed, "delayed"),
    Case("park", _park_full("raise"), "bounded"),
    Case("park", _park_full("drop_oldest"), "dropping"),
    Case("park", _replace, "replacing"),
    Case("park", _park_identified, "with an identity"),
    Case("park", _park_beside, "beside a run"),
    Case("park", _park_in_a_window, "in a window"),
    Case("exchange", _exchange, "replacing"),
    Case("exchange", _exchange_renamed(0), "with another id"),
    Case("exchange", _exchange_renamed(1000), "with another id and an ETA"),
    Case("insert", _insert(behind=False)),
    Case("insert", _insert(behind=True), "behind another part"),
    Case("exchange", _exchange_in_a_window, "in a window"),
    Case("begin", _begin),
    Case("gather", _gather),
    Case("settle", _settle),
    Case("finish", _finish("lists"), "lists"),
    Case("finish", _finish("own"), "own"),
    Case("finish", _finish("none"), "none"),
    Case("finish", _finish_held, "held"),
    Case("finish", _finish_continued, "continued"),
    Case("finish", _finish_rejoining(0), "rejoining"),
    Case("finish", _finish_rejoining(1000), "rejoining later"),
    Case("finish", _finish_replaced, "replaced"),
    Case("finish", _finish_identified, "with an identity"),
    Case("fail", _fail("block"), "block"),
    Case("fail", _fail_for_a_time, "block for a time"),
    Case("fail", _fail_counted(1), "breaker opens"),
    Case("fail", _fail_counted(2), "breaker counts"),
    Case("fail", _fail("dead_letter"), "dead_letter"),
    Case("fail", _fail("cancel_rest"), "cancel_rest"),
    Case("fail", _fail_replaced, "replaced"),
    Case("cancel", _cancel),
    Case("cut", _cut),
    Case("observe_send", _observe_send),
    Case("observe_start", _observe_start),
    Case("observe_end", _observe_end),
    Case("renew", _renew),
    Case("lease", _lease),
    Case("surrender", _surrender),
    Case("surrender", _surrender_batch, "of a batch"),
    Case("finish", _finish_left, "with followers left"),
    Case("sweep", _sweep),
    Case("sweep", _sweep_identity, "of an identity"),
    Case("sweep", _sweep_mark, "of a mark"),
    Case("reclaim", _reclaim),
    Case("advance", _advance("q")),
    Case("advance", _advance(), "to publish"),
    Case("advance", _advance_blocked, "block"),
    Case("advance", _advance_sorted, "sorted"),
    Case("heads", _heads),
    Case("stamp", _stamp),
    Case("home", _home),
    Case("rerelease", _rerelease),
    Case("rerelease", _elsewhere, "to publish"),
    Case("revoke", _revoke),
    Case("revoke", _revoke_in_a_window, "in a window"),
    Case("begin", _begin_of_a_tenant, "of a tenant"),
    Case("finish", _finish_of_a_tenant, "of a tenant"),
    Case("advance", _advance_of_a_tenant, "of a tenant"),
    Case("sweep", _sweep_of_a_tenant, "of a tenant"),
    Case("revoke", _revoke_of_a_tenant, "of a tenant"),
]


@dataclass(frozen=True)
class Made:
    """A call as the store got it."""

    script: str
    keys: list[str]
    args: list[Any]


@contextmanager
def recorded(store: Store) -> Any:
    """Collect what is run on a store meanwhile."""
    made: list[Made] = []
    run = store.run

    def recording(name: str, keys: Keys, more: Sequence[str], args: Sequence[Any]) -> Any:
        made.append(Made(name, [*keys.base, *more], ["", keys.tag, *args]))
        return run(name, keys, more, args)

    store.run = recording  # type: ignore[method-assign]
    try:
        yield made
    finally:
        del store.run
