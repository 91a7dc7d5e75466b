"""A task that goes out again because its run came to no end says so, as a broker marks a second delivery."""

from __future__ import annotations

from typing import Any

import pytest
from kombu.utils.json import loads

from celery_groupfifo.gate.model import Ticket
from tests.support.world import TTL_MS, World


def marks(world: World) -> tuple[Any, Any]:
    """Of the message in the queue: at both places where Celery looks."""
    message = loads(world.redis.lindex("q", -1))
    return message["properties"]["delivery_info"].get("redelivered"), message["headers"].get("redelivered")


def begin_next(world: World) -> Ticket:
    ticket = world.receive()
    assert world.begin(ticket)
    return ticket


def test_a_first_ticket_says_nothing(world: World) -> None:
    world.park("a")
    assert marks(world) == (None, None)


@pytest.mark.parametrize("lost", [False, True])
def test_a_head_that_was_given_back(world: World, lost: bool) -> None:
    world.gate.surrender([(world.run("a"), lost)])
    assert marks(world) == (True, True)
    world.gate.surrender([(begin_next(world), False)])
    assert marks(world) == (True, True), "once is enough"


def test_a_head_of_a_lost_worker(world: World) -> None:
    world.run("a")
    world.idle_sweeps(TTL_MS * 2)
    world.sweep()
    assert marks(world) == (True, True)


def test_a_continuation_is_a_message_of_its_own(world: World) -> None:
    world.gate.surrender([(world.run("a"), True)])
    ticket = begin_next(world)
    world.hold(ticket, delay=0)
    assert marks(world) == (None, None)
