"""A broker that is not the gate's Redis: the caller brings the tickets, and a crash on the way costs a release."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.recovery import GRACE_MS
from celery_groupfifo.gate.releaser import Destination
from celery_groupfifo.gate.route import Route
from tests.support.world import World, ticket_of


class Elsewhere:
    """Takes what a releaser gets; a broker that can be away."""

    takes = False

    def __init__(self) -> None:
        self.sent: list[Ticket] = []
        self.error: Exception | None = None

    def destination(self, route: Route) -> Destination:
        return Destination("*" + route.routing_key)

    def is_direct(self, route: Route) -> bool:
        return True

    def check(self, producer: object) -> None:
        """Any producer will do."""

    def send(self, queue: str, message: bytes, producer: object = None) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(ticket_of(message))

    def ids(self) -> list[str]:
        return [ticket.id for ticket in self.sent]


@pytest.fixture
def away(redis_url: str) -> Iterator[tuple[World, Elsewhere]]:
    app = Celery("gate-tests", broker="memory://", set_as_current=False)
    app.conf.groupfifo_url = redis_url
    world = World(redis_url, app)
    world.gate.releaser = broker = Elsewhere()
    yield world, broker
    world.close()


def test_every_way_out_reaches_the_broker(away: tuple[World, Elsewhere]) -> None:
    world, broker = away
    for id in ("a", "b", "c", "d"):
        world.park(id)
    world.begin(broker.sent[-1])
    world.gate.surrender([(broker.sent[-1], False)])
    world.begin(broker.sent[-1])
    world.finish(broker.sent[-1])
    world.gate.revoke("b")
    world.begin(broker.sent[-1])
    world.hold(broker.sent[-1], 100)
    world.tick(100)
    world.sweep()
    assert broker.ids() == ["a", "a", "b", "c", "c"]
    releases = [ticket.release for ticket in broker.sent]
    assert releases == sorted(set(releases))


def test_own_hands_over_without_the_broker(away: tuple[World, Elsewhere]) -> None:
    world, broker = away
    for id in ("a", "b"):
        world.park(id)
    world.begin(broker.sent[0])
    taken = ticket_of(world.finish(broker.sent[0], take="own").taken or b"")
    assert (taken.id, broker.ids()) == ("b", ["a"])
    world.tick(GRACE_MS * 2)
    assert world.rerelease(rereleases=1) == 0, "it is not on its way"
    world.finish(taken)
    assert world.residue() == {}


@pytest.mark.parametrize("error", [OperationalError("away"), GateUnavailable("away")])
def test_a_ticket_that_cannot_be_brought_is_released_later(away: tuple[World, Elsewhere], error: Exception) -> None:
    world, broker = away
    broker.error = error
    assert world.park("a"), "it is accepted: the gate is the truth"
    broker.error = None
    world.tick(GRACE_MS + 1)
    assert world.rerelease(rereleases=1) == 1
    assert broker.ids() == ["a"]


def test_an_unforeseen_error_of_the_broker_does_not_lose_what_was_done(away: tuple[World, Elsewhere]) -> None:
    world, broker = away
    world.park("a")
    world.park("b")
    world.begin(broker.sent[0])
    broker.error = ValueError("this message can't be published")
    assert not world.finish(broker.sent[0]).stale
    broker.error = None
    world.tick(GRACE_MS + 1)
    assert world.rerelease(rereleases=1) == 1
    assert broker.ids() == ["a", "b"]


def test_an_overtaken_ticket_is_released_again_after_the_grace(away: tuple[World, Elsewhere]) -> None:
    world, broker = away
    world.park("a", "A")
    world.park("b", "B")
    world.begin(broker.sent[1])
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 1
    assert broker.ids() == ["a", "b", "a"]


def test_a_busy_queue_is_left_alone(away: tuple[World, Elsewhere]) -> None:
    world, broker = away
    world.park("a", "A")
    for n in range(5):
        world.tick(GRACE_MS * 10)
        world.park(f"t{n}", f"g{n}")
    world.tick(1)
    world.begin(broker.sent[0])
    assert world.rerelease() == 0, "the queue moves, and all others came later"
