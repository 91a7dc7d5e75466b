"""begin, renew, lease: who holds a group, and for how long."""

from __future__ import annotations

import pytest

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from tests.support.world import TTL_MS, World


def test_a_ticket_begins_once(world: World) -> None:
    world.park("a")
    ticket = world.receive()
    assert world.begin(ticket, "w1")
    assert not world.begin(ticket, "w1"), "a doubled delivery to the same worker"
    assert not world.begin(ticket, "w2"), "and to another one"


def test_an_older_ticket_is_stale(world: World) -> None:
    old = world.run("a")
    world.gate.surrender([(old, False)])
    new = world.receive()
    assert new.release > old.release
    assert not world.begin(old)
    begun = world.begin(new)
    assert begun is not None and begun.fence > old.fence


@pytest.mark.parametrize("change", [{"entry": "unknown"}, {"release": 1}])
def test_a_ticket_that_was_never_issued_begins_nothing(world: World, change: dict[str, object]) -> None:
    world.park("a")
    assert not world.begin(world.receive()._replace(**change))  # type: ignore[arg-type]


def test_a_ticket_of_another_gate_is_an_error_that_says_what_to_do(world: World) -> None:
    with pytest.raises(GroupFifoError, match=r"'other:0'.*groupfifo_namespace"):
        world.begin(Ticket("other:0", 1, 0, 0, "a", quote("g")))


def test_a_lease_runs_down_and_is_renewed(world: World) -> None:
    ticket = world.run("a")
    assert world.gate.lease(ticket) == TTL_MS / 1000
    world.tick(20_000)
    assert world.gate.lease(ticket) == 10
    assert world.gate.renew(quote("w1"), [ticket]) == []
    assert world.gate.lease(ticket) == TTL_MS / 1000


def test_a_lease_that_is_over_but_not_reclaimed_is_renewed(world: World) -> None:
    ticket = world.run("a")
    world.tick(TTL_MS * 3)
    assert world.gate.lease(ticket) == 0
    assert world.gate.renew(quote("w1"), [ticket]) == []
    assert world.gate.lease(ticket) == TTL_MS / 1000


def test_a_heartbeat_tells_which_leases_are_lost(world: World) -> None:
    kept, given, ended = (world.run(id, id) for id in "abc")
    world.gate.surrender([(given, False)])
    world.finish(ended, "c")
    assert world.gate.renew(quote("w1"), [kept, given, ended]) == [given, ended]
    assert world.gate.lease(given) is None
    assert world.gate.lease(ended) is None
