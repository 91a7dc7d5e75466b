"""Another broker, and a reply that is lost: the repetition of the call asks for the very same tickets again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.recovery import GRACE_MS
from celery_groupfifo.testing import embedded
from tests.gate.sending.test_other_brokers import Elsewhere
from tests.support.proxy import Proxy
from tests.support.stored import all_stored
from tests.support.world import World, make_entry

Call = Callable[[], Any]
Away = tuple[World, Elsewhere]


@pytest.fixture
def proxy(redis_server: embedded.Server) -> Iterator[Proxy]:
    with Proxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def away(redis_url: str, proxy: Proxy) -> Iterator[Away]:
    app = Celery("gate-tests", broker="memory://", set_as_current=False)
    app.conf.groupfifo_url = f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}"
    world = World(redis_url, app)
    world.gate.releaser = broker = Elsewhere()
    yield world, broker
    world.close()


def run(away: Away, id: str = "a", key: str = "g") -> Ticket:
    world, broker = away
    world.park(id, key)
    assert world.begin(broker.sent[-1])
    return broker.sent[-1]


def park(away: Away) -> Call:
    world, _ = away
    entry, number = make_entry(world.gate, "a"), world.gate.number()
    return lambda: world.gate.park(entry, number)


def finish(away: Away) -> Call:
    world, _ = away
    call = world.finishing(run(away))
    world.park("b")
    return lambda: world.gate.finish(call)


def hold(away: Away) -> Call:
    call = away[0].holding(run(away), 0)
    return lambda: away[0].gate.finish(call)


def fail(away: Away) -> Call:
    world, _ = away
    call = world.failing(run(away), policy="dead_letter")
    world.park("b")
    return lambda: world.gate.finish(call)


def surrender(away: Away) -> Call:
    ticket = run(away)
    return lambda: away[0].gate.surrender([(ticket, True)])


def revoke(away: Away) -> Call:
    world, _ = away
    world.park("a")
    world.park("b")
    return lambda: world.gate._revoke(world.keys, "a", quote("g"), "")


def reclaim(away: Away) -> Call:
    world, _ = away
    run(away)
    world.redis.zrem(world.keys.due, "w w1")  # a sweep does, when the lease is over
    return lambda: world.gate.reclaim(world.keys, quote("w1"), quote("w2"))


def held(away: Away) -> Call:
    world, _ = away
    world.hold(run(away), 1000)
    world.tick(1000)
    return world.sweep


def unsent(away: Away) -> Call:
    world, broker = away
    broker.error = ValueError("away")
    world.park("a")
    broker.error = None
    return world.sweep


def advance(away: Away) -> Call:
    world, _ = away
    world.park("a", delay=1000)
    world.tick(1000)
    return lambda: world.gate._advance(world.keys, [("e g a", quote("g"))], ())


def rerelease(away: Away) -> Call:
    world, _ = away
    world.park("a")
    world.tick(GRACE_MS + 1)
    return lambda: world.gate.rerelease(world.keys, "*q", quote("w1"), rereleases=1)


PREPARED = {
    "park": park,
    "finish": finish,
    "finish with a continuation": hold,
    "fail": fail,
    "surrender": surrender,
    "revoke": revoke,
    "reclaim": reclaim,
    "sweep: hold": held,
    "sweep: unsent": unsent,
    "advance": advance,
    "rerelease": rerelease,
}


@pytest.mark.parametrize(
    "what, lost", [(what, lost) for what in PREPARED for lost in (1, 2) if (what, lost) != ("revoke", 2)]
)
def test_the_ticket_reaches_the_broker(away: Away, proxy: Proxy, what: str, lost: int) -> None:
    """Lost once, the store repeats the call; lost twice, its caller does (a second revoke is a call of its own)."""
    world, broker = away
    call = PREPARED[what](away)
    sent = len(broker.sent)
    proxy.lose_replies(lost)
    if lost == 2:
        with pytest.raises(GateUnavailable):
            call()
    call()
    assert proxy.lost == lost
    assert len(broker.sent) == sent + 1
    assert world.begin(broker.sent[-1]), "with the fence that counts"


def test_an_answer_that_has_come_is_not_asked_for_again(away: Away) -> None:
    world, broker = away
    world.hold(run(away), 1000)
    world.tick(1000)
    world.sweep()
    sent = len(broker.sent)
    world.sweep()
    assert len(broker.sent) == sent


def test_nothing_is_remembered_where_the_script_pushes_the_tickets(world: World) -> None:
    world.hold(world.run("a"), 1000)
    world.tick(1000)
    world.sweep(world.lists("q"))
    world.redis.delete("q")
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 1
    assert all(name.isdigit() for name in all_stored(world.redis.hkeys(world.keys.runs(quote("w1")))))


def test_what_a_worker_without_runs_remembers_is_forgotten(away: Away) -> None:
    world, _ = away
    world.hold(run(away), 1000, owner="w2")
    world.tick(1000)
    world.sweep(owner="idle")
    calls = world.keys.runs(quote("idle"))
    assert b"sweep" in all_stored(world.redis.hkeys(calls))
    assert 0 < world.redis.pttl(calls) <= world.gate.keep_ms
