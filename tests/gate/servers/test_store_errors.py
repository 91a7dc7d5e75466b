"""Every error of Redis becomes one kind of error, with a name and a remedy."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.recovery import GRACE_MS
from tests.support.world import TTL_MS, World, make_entry, ticket_of


@pytest.fixture
def own(own_world: World) -> World:
    """A world on a server that this test may ruin."""
    return own_world


def test_a_server_that_is_not_there_is_told_at_once(world: World) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"redis://:secret@127.0.0.1:{free.getsockname()[1]}/0"
    gate = build_gate(Celery("gate-tests", broker=url, set_as_current=False))
    started = time.monotonic()
    with pytest.raises(GateUnavailable, match=r"can't be used right now") as raised:
        gate.park(make_entry(gate, "a"), gate.number())
    assert time.monotonic() - started < gate.store.timeout, "no time-out is waited for"
    assert isinstance(raised.value, OperationalError), "Celery's publish retry policy applies"
    assert "secret" not in str(raised.value)
    with pytest.raises(GateUnavailable):
        gate.park_all([make_entry(gate, "a")], gate.numbers(1))


class Silent:
    """A server that takes connections, and says nothing."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        self.app = Celery("gate-tests", broker=url, set_as_current=False)

    def connections(self) -> int:
        """Count the connections since the last call: each stands for one timeout that was waited for."""
        self._listener.setblocking(False)
        many = 0
        with suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()
                many += 1
        return many


@pytest.fixture
def silent() -> Iterator[Silent]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Silent(listener)


def test_a_server_that_does_not_answer_costs_two_timeouts(silent: Silent) -> None:
    silent.app.conf.groupfifo_lease_ttl, silent.app.conf.groupfifo_sweep_interval = 2.0, 0.5
    gate = build_gate(silent.app)
    assert gate.store.timeout <= 1.0, "half a lease"
    with pytest.raises(GateUnavailable):
        gate.park(make_entry(gate, "a"), gate.number())
    assert silent.connections() == 2


@pytest.mark.parametrize(("patient", "timeouts"), [(True, 2), (False, 1)])
def test_who_must_not_wait_is_answered_after_one_timeout(silent: Silent, patient: bool, timeouts: int) -> None:
    gate = build_gate(silent.app, timeout=0.5, patient=patient)
    started = time.monotonic()
    with pytest.raises(GateUnavailable):
        gate.park(make_entry(gate, "a"), gate.number())
    assert time.monotonic() - started >= 0.5 * timeouts
    assert silent.connections() == timeouts


def test_nor_does_a_restart_cost_it_anything(own: World) -> None:
    """A connection that was closed is known to be lost at once: the call is repeated on a new one."""
    gate = build_gate(own.app, patient=False)
    assert gate.park(make_entry(gate, "a"), gate.number())
    own.redis.client_kill_filter(_type="normal", skipme=True)
    assert gate.park(make_entry(gate, "b"), gate.number())
    gate.store.close()


def test_a_foreign_type_under_a_name_of_the_gate_is_named(world: World) -> None:
    world.redis.set(world.keys.entries, "foreign")
    for call in (
        lambda: world.park("a"),
        lambda: world.gate.revoke("a"),
    ):
        with pytest.raises(GroupFifoError, match=r"another type .* groupfifo_namespace") as raised:
            call()
        assert not isinstance(raised.value, GateUnavailable), "trying again does not help"
        assert raised.value.__cause__ is not None


def fill(world: World) -> None:
    world.redis.config_set("maxmemory-policy", "noeviction")
    world.redis.config_set("maxmemory", 1)


def test_a_full_redis_takes_no_new_tasks_and_says_that_it_passes(own: World) -> None:
    own.gate.store.meet()
    fill(own)
    entry, number = make_entry(own.gate, "a"), own.gate.number()
    with pytest.raises(GateUnavailable, match=r"right now .*maxmemory"):
        own.gate.park(entry, number)
    (answer,) = own.gate.park_all([make_entry(own.gate, "b")], own.gate.numbers(1))
    assert isinstance(answer, GateUnavailable)
    own.redis.config_set("maxmemory", 0)
    assert own.redis.keys() == [own.keys.stamp.encode()], "nothing was half done"
    assert own.gate.park(entry, number)
    assert own.queued() == ["a"]


def test_a_full_redis_still_lets_tasks_end_and_the_next_ones_begin(own: World) -> None:
    ticket = own.run("a")
    own.park("b")
    own.park("c")
    fill(own)
    taken = ticket_of(own.finish(ticket, take="lists", lists=own.lists("q")).taken or b"")
    assert taken.id == "b"
    assert not own.finish(taken, lists=own.lists("q")).stale, "the head goes out within the script"
    last = own.receive()
    assert last.id == "c" and own.begin(last)
    assert not own.finish(last).stale
    assert own.residue() == {}


def test_a_full_redis_keeps_a_head_whose_queue_the_finisher_does_not_declare(own: World) -> None:
    ticket = own.run("a")
    own.park("b")
    fill(own)
    assert not own.finish(ticket).stale, "that the ticket can't be brought is no failure of the finish"
    own.redis.config_set("maxmemory", 0)
    own.tick(GRACE_MS + 1)
    assert own.rerelease() == 1
    assert own.queued() == ["b"]


def test_a_full_redis_lets_a_task_end_and_keeps_its_continuation(own: World) -> None:
    ticket = own.run("a")
    fill(own)
    assert own.hold(ticket, 1000, body="x" * 100_000).due == 1
    own.redis.config_set("maxmemory", 0)
    own.tick(1000)
    own.sweep()
    assert own.queued() == ["a"]


def test_a_full_redis_takes_no_lease_away(own: World) -> None:
    """Heartbeats are refused meanwhile; then every owner has a whole lease to renew first."""
    own.idle_sweeps(TTL_MS * 2)
    ticket = own.run("a")
    fill(own)
    for _ in range(4):
        own.tick(TTL_MS // 2)
        with pytest.raises(GateUnavailable):
            own.sweep()
    own.redis.config_set("maxmemory", 0)
    assert own.sweep().reclaimed == 0
    assert own.gate.renew(quote("w1"), [ticket]) == []
    assert not own.finish(ticket).stale


def test_a_full_redis_takes_heads_back_without_losing_them(own: World) -> None:
    ticket = own.run("a")
    fill(own)
    try:
        own.gate.surrender([(ticket, False)], own.lists("q"))
    except GateUnavailable:
        own.redis.config_set("maxmemory", 0)
        own.gate.surrender([(ticket, False)], own.lists("q"))
    own.redis.config_set("maxmemory", 0)
    assert own.queued() == ["a"]
    assert own.depth() == 1


def test_a_read_only_replica_is_an_error_that_passes(own: World) -> None:
    ticket = own.run("a")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        own.redis.replicaof("127.0.0.1", nobody.getsockname()[1])
    with pytest.raises(GateUnavailable, match=r"(?i)readonly|read.only"):
        own.park("b")
    with pytest.raises(GateUnavailable):
        own.finish(ticket)
    own.redis.replicaof("NO", "ONE")
    assert own.park("b")
    assert not own.finish(ticket).stale
    assert own.queued() == ["b"]


def test_a_script_that_redis_cannot_run_is_named(world: World) -> None:
    with pytest.raises(GroupFifoError, match=r"could not run 'park'"):
        world.gate.store.run("park", world.keys, [], [])


def test_a_killed_connection_is_not_noticed(world: World) -> None:
    for n in range(5):
        world.redis.client_kill_filter(_type="normal", skipme=True)
        assert world.park(f"t{n}")
    assert world.queued() == ["t0"] and world.depth() == 5


def test_no_message_shows_a_password(world: World) -> None:
    app = Celery("gate-tests", broker="redis://user:secret@127.0.0.1:1/0", set_as_current=False)
    gate = build_gate(app)
    with pytest.raises(GateUnavailable) as raised:
        gate.store.version()
    assert "secret" not in str(raised.value) and "127.0.0.1:1" in str(raised.value)
