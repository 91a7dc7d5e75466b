"""Fairness: a tenant with many groups takes turns with the others. What is counted is starts, never seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Dedup, Ticket
from celery_groupfifo.gate.records import Fair, Flight, Limits
from celery_groupfifo.groups.api import Groups
from celery_groupfifo.settings import OnDuplicate
from celery_groupfifo.windows import Rate
from tests.support.stored import all_stored
from tests.support.world import World, make_entry, ticket_of


def of(tenant: str, weight: int = 1) -> str:
    """The words of an entry of a tenant."""
    return Fair(weight, quote(tenant)).text()


def park(world: World, id: str, key: str, tenant: str | None, weight: int = 1, **more: object) -> None:
    """Park an entry of a tenant."""
    entry = make_entry(world.gate, id, key, **more)  # type: ignore[arg-type]
    entry.fair = of(tenant, weight) if tenant else ""
    assert world.gate.park(entry, world.gate.number())


def fill(world: World, tenant: str, groups: int, each: int = 1, weight: int = 1) -> None:
    """Park entries of many groups of a tenant."""
    for number in range(groups):
        for turn in range(each):
            park(world, f"{tenant}{number}.{turn}", f"{tenant}-{number}", tenant, weight)


def begin(world: World, ticket: Ticket | None = None) -> Ticket:
    """Begin the next ticket, as a worker does: what its answer invites goes out at once."""
    ticket = ticket or world.receive()
    ticket = ticket._replace(lane=str(ticket.release))
    keys, more, args = world.gate.begin_call(ticket, quote("w1"), world.gate.call_name())
    reply = world.gate.store.run("begin", keys, more, args)
    begun = world.gate.granted(ticket, reply)
    assert begun is not None
    if members := world.gate.invited(begun, reply):
        advance(world, begun, members)
    return begun


def advance(world: World, ticket: Ticket, members: list[str]) -> list[bytes]:
    """Make the call that a begin invites to; the tickets to publish."""
    keys, more, args = world.gate.advance_call(ticket, world.lists("q"), members)
    words = world.gate.store.run("advance", keys, more, args)[2:]
    world.gate.publish(words)
    return list(words)


def key_of(ticket: Ticket) -> str:
    """The key of a ticket's group."""
    return str(ticket.group)


def finish(world: World, ticket: Ticket, take: str = "lists") -> Ticket | None:
    """End a run; the next one that the worker takes with it."""
    done = world.finish(ticket, key_of(ticket), take=take, lists=world.lists("q") if take == "lists" else ())
    return ticket_of(done.taken) if done.taken else None


def starts(world: World, slots: int = 1, most: int = 10_000) -> list[str]:
    """Run all that goes out on so many slots, and return the ids in the order in which they start.

    A slot takes its next task with the end of one, or else from the broker.
    """
    order: list[str] = []
    running: list[Ticket] = []
    while len(order) < most:
        while len(running) < slots and world.queued():
            running.append(begin(world))
            order.append(running[-1].id)
        if not running:
            break
        taken = finish(world, running.pop(0))
        if taken is not None:
            running.append(taken)
            order.append(taken.id)
    return order


def tenants(order: Iterable[str]) -> str:
    """The tenants of the starts."""
    return "".join(id[0] for id in order)


def left(world: World) -> set[bytes]:
    """The members of tenants in the gate's keys."""
    found = all_stored(world.redis.zrange(world.keys.on_the_way, 0, -1))
    due = all_stored(world.redis.zrange(world.keys.due, 0, -1))
    return {each for each in found if each.startswith(b"\x7f")} | {each for each in due if each.startswith(b"f ")}


def head(world: World, key: str) -> Flight:
    """The head of a group."""
    flight = world.flight(key)
    assert flight is not None
    return flight


# -- the bound ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 3])
def test_a_tenant_with_one_group_starts_every_other_time(world: World, slots: int) -> None:
    fill(world, "a", 100)
    for number in range(10):
        park(world, f"b{number}", "b", "b")
    assert world.queued() == ["a0.0", "b0"]
    order = tenants(starts(world, slots))
    assert len(order) == 110
    at = [place for place, tenant in enumerate(order) if tenant == "b"]
    # Its next task is there when the one before has ended: after one turn of the slots, and one start of the other.
    assert max(later - before for before, later in zip(at, at[1:], strict=False)) <= slots + 1
    assert at[0] == 1 and not left(world)


def test_without_fair_keys_it_waits_for_all_others(world: World) -> None:
    for number in range(100):
        park(world, f"a{number}", f"a-{number}", None)
    for number in range(2):
        park(world, f"b{number}", "b", None)
    order = tenants(starts(world))
    assert order == "a" * 100 + "bb" and not left(world)
