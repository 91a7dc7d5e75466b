"""The reply is lost after the server acted: every script is called again, and does its work once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.testing import embedded
from tests.gate.scripted import CASES, Case
from tests.support.proxy import Proxy
from tests.support.snapshot import snapshot
from tests.support.world import World, make_entry


@pytest.fixture
def proxy(redis_server: embedded.Server) -> Iterator[Proxy]:
    with Proxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def far(redis_url: str, proxy: Proxy) -> Iterator[World]:
    """A world whose gate speaks through the proxy; its own look at the server does not."""
    database = redis_url.rpartition("/")[2]
    world = World(f"redis://127.0.0.1:{proxy.port}/{database}")
    world.redis.close()
    world.redis = world.redis.__class__.from_url(redis_url)
    yield world
    world.close()


#: Where the second answer tells less than the first, and what that costs.
COSTS = {
    "sweep": "what was named is left alone for the time of its claim",
    "advance": "a ticket for a list that was not given is released again later",
    "revoke": "it finds the entry gone",
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_lost_reply_is_not_even_noticed(world: World, far: World, proxy: Proxy, case: Case) -> None:
    expected = case.prepare(world)()
    after = snapshot(world)
    world.redis.flushdb()
    call = case.prepare(far)
    proxy.lose_replies(1)
    answer = call()
    assert proxy.lost == 1
    left = snapshot(far)
    assert left.get(far.keys.stats.encode()) == after.get(far.keys.stats.encode()), "done once"
    if str(case) not in COSTS:
        assert answer == expected
        assert left == after


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.script in ("park", "finish", "fail", "renew")], ids=str
)
def test_a_caller_that_hears_nothing_twice_repeats_the_call(world: World, far: World, proxy: Proxy, case: Case) -> None:
    expected = case.prepare(world)()
    after = snapshot(world)
    world.redis.flushdb()
    call = case.prepare(far)
    proxy.lose_replies(2)
    with pytest.raises(GateUnavailable):
        call()
    assert proxy.lost == 2
    assert call() == expected
    assert snapshot(far) == after


def test_a_begin_whose_reply_never_came_is_repeated_by_its_caller(far: World, proxy: Proxy) -> None:
    far.park("a")
    ticket, call = far.receive(), far.gate.call_name()
    proxy.lose_replies(2)
    with pytest.raises(GateUnavailable):
        far.begin(ticket, "w1", call)
    assert far.begin(ticket, "w1", call), "the lease is its own: else nobody runs the task until it is over"
    assert not far.begin(ticket, "w1", far.gate.call_name()), "a doubled delivery to the same worker"


def test_a_task_that_ended_before_the_repetition_does_not_run_again(far: World, proxy: Proxy) -> None:
    entry, number = make_entry(far.gate, "a"), far.gate.number()
    proxy.lose_replies(2)
    with pytest.raises(GateUnavailable):
        far.gate.park(entry, number)
    ticket = far.receive()
    assert far.begin(ticket)
    far.finish(ticket)
    assert far.gate.park(entry, number)
    assert far.residue() == {}


def test_many_parks_are_repeated_as_a_whole(far: World, proxy: Proxy) -> None:
    entries, numbers = [make_entry(far.gate, f"t{n}") for n in range(20)], far.gate.numbers(20)
    proxy.lose_replies(1)
    assert far.gate.park_all(entries, numbers) == [True] * 20
    assert proxy.lost == 1
    assert (far.queued(), far.waiting()) == (["t0"], [f"t{n}" for n in range(1, 20)])


def test_what_a_lost_sweep_named_is_moved_by_a_later_one(far: World, proxy: Proxy) -> None:
    far.park("a", delay=1000)
    far.tick(1000)
    proxy.lose_replies(1)
    far.sweep()
    assert far.queued() == []
    far.tick(2000)
    far.sweep()
    assert far.queued() == ["a"]


def test_a_revoke_whose_reply_was_lost_still_says_that_it_was_done(far: World, proxy: Proxy) -> None:
    far.run("first")
    far.park("a")
    proxy.lose_replies(1)
    assert far.gate.revoke("a"), "else nobody makes its state REVOKED"
    assert far.waiting() == []
