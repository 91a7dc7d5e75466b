"""Connections to the gate's Redis: as many as are needed at once, a few afterwards, and none that leads nowhere."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from celery_groupfifo import GroupFifo, Groups, park_many
from celery_groupfifo.gate.connections import KEPT, Connections
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.servers import gate_server
from celery_groupfifo.settings import Settings
from celery_groupfifo.testing import embedded
from tests.gate.servers import tls
from tests.support.places import REPOSITORY
from tests.support.waiting import until
from tests.support.world import World, make_entry

#: More than redis-py's pools let through.
BURST = 150


@pytest.fixture
def world(own_world: World) -> World:
    """A world on a server of its own: its connections are counted."""
    return own_world


def names(world: World, name: str = "groupfifo") -> list[str]:
    """The ids of the connections that the server has from gates of a name."""
    return [each["id"] for each in world.redis.client_list() if each["name"] == name]


def at_once(many: int, call: Callable[[int], Any]) -> list[Any]:
    """Call in many threads, all of which have begun before the first call is made."""
    start = threading.Barrier(many)

    def one(number: int) -> Any:
        start.wait()
        return call(number)

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(one, range(many)))


def pile_up(world: World, call: Callable[[int], Any]) -> list[Any]:
    """The same, while the server answers nobody for a while: each call needs a connection of its own."""
    world.redis.client_pause(500)
    return at_once(BURST, call)


def test_a_burst_of_parks_opens_what_it_needs_and_gives_back(world: World) -> None:
    entries = [(make_entry(world.gate, f"t{n}", f"g{n}"), world.gate.number()) for n in range(BURST)]
    seen: list[int] = []
    give_back = world.gate.store.connections.give_back

    def noted(connection: Any) -> None:
        seen.append(id(connection))
        give_back(connection)

    world.gate.store.connections.give_back = noted  # type: ignore[method-assign]
    assert pile_up(world, lambda n: world.gate.park(*entries[n])) == [True] * BURST
    assert len(set(seen)) > 100, "else it was no burst"
    until(lambda: len(names(world)) <= KEPT)


def test_a_burst_of_commands_opens_what_it_needs_and_gives_back(world: World) -> None:
    client = world.gate.store.client
    assert at_once(BURST, lambda n: client.brpop([f"nothing{n}"], timeout=1)) == [None] * BURST
    until(lambda: len(names(world)) <= KEPT)


def test_afterwards_everybody_is_served(world: World) -> None:
    app = Celery("burst", broker=world.url, set_as_current=False)
    app.conf.broker_pool_limit = BURST
    GroupFifo(app)
    app.send_task("warm", group_key="w")
    results = pile_up(world, lambda n: app.send_task("t", group_key=f"g{n}", ignore_result=True).id)
    assert len(set(results)) == BURST
    signature = app.signature("t", group_key="m")
    assert len(park_many([signature, signature.clone()])) == 2
    app.control.revoke("nobody")
    assert Groups(app).stats()
    app.close()


def test_a_connection_of_ones_own(world: World) -> None:
    connections = world.gate.store.connections
    connection = connections.open()
    connection.send_command("CLIENT", "GETNAME")
    assert connection.read_response() == b"groupfifo"
    connection.send_command("HGETALL", "nothing")
    assert connection.read_response() == [], "RESP2"
    assert connection.protocol == 2 and connection.socket_timeout == connection.socket_connect_timeout == 5
    assert connections.trusts(connection)
    connections.close(connection)
    until(lambda: not names(world))


def test_after_a_failure_what_was_opened_before_it_counts_no_more(world: World) -> None:
    connections = world.gate.store.connections
    mine, other = connections.open(), connections.take()
    before = connections.generation
    connections.drop(before)
    assert connections.generation > before
    assert not connections.trusts(mine)
    connections.give_back(other)
    assert other._sock is None, "it is not kept open"
    fresh = connections.take()
    assert fresh is not other and connections.trusts(fresh)
    connections.drop(before)
    assert connections.trusts(fresh), "it was opened after the failure"
    for connection in (mine, fresh):
        connections.close(connection)


def test_closed_ones_are_not_given_out(world: World) -> None:
    held = [world.gate.store.connections.take() for _ in range(3)]
    for connection in held:
        world.gate.store.connections.give_back(connection)
    world.redis.client_kill_filter(_type="normal", skipme=True)
    assert world.gate.store.client.get("nothing") is None
    assert len(names(world)) == len(world.gate.store.connections._idle) == 1, "the other ones are as dead"


@pytest.mark.parametrize("struck", ["script", "command", "pipeline"])
def test_an_answer_left_unread_reaches_nobody(world: World, monkeypatch: pytest.MonkeyPatch, struck: str) -> None:
    """Timeline: a call is sent, and before its answer is read a time limit strikes."""
    connections, store = world.gate.store.connections, world.gate.store
    world.redis.set("k", "not mine")
    connection = connections.take()
    connections.give_back(connection)

    def strike(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(connection, "read_response", strike)
    with pytest.raises(KeyboardInterrupt):
        if struck == "script":
            world.park("a")
        elif struck == "command":
            store.client.get("k")
        else:
            store.client.pipeline(transaction=False).get("k").get("k").execute()
    assert connection._sock is None
    assert store.client.get("nothing") is None


def test_a_child_has_its_own(world: World) -> None:
    connections = world.gate.store.connections
    kept = [connections.take() for _ in range(3)]
    for connection in kept:
        connections.give_back(connection)
    mine = set(names(world))
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert world.park("child")
            os.write(into, str(world.gate.store.client.client_id()).encode())
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.read(out, 100).decode() not in mine
    os.close(out)
    os.close(into)
    assert set(names(world)) == mine, "the child has closed nothing of its parent's"
    assert connections.take() in kept and world.depth() == 1


def works(gate: Gate) -> bool:
    """Park and read, on a kept connection as well; returns True when all got through."""
    parked = [gate.park(make_entry(gate, f"t{n}", f"g{n}"), gate.number()) for n in range(2)]
    return parked == [True, True] and gate.store.version() >= (6, 2) and len(gate.store.connections._idle) == 1


def gate_at(url: str) -> Gate:
    app = Celery("reach", broker="memory://", set_as_current=False)
    app.conf.groupfifo_url = url
    return build_gate(app)


def test_through_a_unix_socket(tmp_path: Path) -> None:
    with embedded.start(appendonly=False, extra_args=("--unixsocket", str(tmp_path / "s"))):
        gate = gate_at(f"unix://{tmp_path}/s?db=2")
        assert works(gate)
        gate.store.close()


def test_through_tls(world: World, tmp_path: Path) -> None:
    path = tls.certificate(tmp_path)
    with tls.in_front_of(world.redis.connection_pool.connection_kwargs["port"], path) as port:
        gate = gate_at(f"rediss://127.0.0.1:{port}/3?ssl_ca_certs={path}")
        assert works(gate)
        gate.store.close()


def test_with_a_password_and_a_database(tmp_path: Path) -> None:
    with embedded.start(appendonly=False) as server, redis.Redis.from_url(server.url) as admin:
        admin.config_set("requirepass", "secret")
        gate = gate_at(f"redis://:secret@127.0.0.1:{server.port}/5?max_connections=1&timeout=3")
        assert works(gate)
        assert admin.info("keyspace")["db5"]["keys"] > 0
        gate.store.close()


GREEN = """
import sys
{patch}
from celery import Celery
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.connections import KEPT
from tests.support.world import make_entry

gate = build_gate(Celery("green", broker=sys.argv[1]))
held = []
def park(number):
    held.append(gate.store.connections.take())
    sleep(0.2)
    gate.store.connections.give_back(held.pop())
    return gate.park(make_entry(gate, f"t{{number}}", f"g{{number}}"), gate.number())
{run}
assert results == [True] * 120, results
assert 0 < len(gate.store.connections._idle) <= KEPT
print("done")
"""
GEVENT = GREEN.format(
    patch="from gevent import monkey; monkey.patch_all()",
    run="""import gevent
from gevent import sleep
jobs = [gevent.spawn(park, number) for number in range(120)]
gevent.joinall(jobs, raise_error=True)
results = [job.value for job in jobs]""",
)
EVENTLET = GREEN.format(
    patch="import eventlet; eventlet.monkey_patch()",
    run="""from eventlet import sleep
jobs = [eventlet.spawn(park, number) for number in range(120)]
results = [job.wait() for job in jobs]""",
)


@pytest.mark.parametrize("program", [GEVENT, EVENTLET], ids=["gevent", "eventlet"])
def test_greenlets(redis_url: str, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program, redis_url],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.endswith("done\n"), done.stderr


@pytest.fixture
def connections(redis_url: str) -> Iterator[Connections]:
    """Connections that bring no gate with them."""
    made = gate_server(Celery("raw", broker=redis_url, set_as_current=False), Settings()).connections(1.5, "raw")
    yield made
    made.close_idle()


def test_every_wait_of_a_connection_ends(connections: Connections) -> None:
    connection = connections.open()
    assert connection._sock.gettimeout() == 1.5 and connection.socket_connect_timeout == 1.5
    assert connection._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert connection._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    connections.close(connection)
