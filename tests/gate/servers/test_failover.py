"""The server behind a name changes: what the old one refuses is asked of the new one, on a new connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from celery import Celery

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, ScriptRefused
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.testing import embedded
from tests.support.waiting import until
from tests.support.world import make_entry


class Pair:
    """Two servers, and a name that leads to one of them. What is connected stays where it is."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self._name = folder / "name"
        self._sockets = [folder / "first", folder / "second"]
        started = [self._start(servers, path) for path in self._sockets]
        self.first, self.second = (servers.enter_context(redis.Redis.from_url(server.url)) for server in started)
        self.ports = [server.port for server in started]
        self._name.symlink_to(self._sockets[0])
        self.app = Celery("pair", broker="memory://", set_as_current=False)
        self.app.conf.groupfifo_url = f"unix://{self._name}"
        self.gate = build_gate(self.app)

    def _start(self, servers: ExitStack, path: Path) -> embedded.Server:
        options = ("--unixsocket", str(path), "--repl-diskless-sync-delay", "0")
        return servers.enter_context(embedded.start(appendonly=False, extra_args=options))

    def switch(self) -> None:
        """Let the name lead to the second one; some connections to the first are kept."""
        held = [self.gate.store.connections.take() for _ in range(3)]
        for connection in held:
            self.gate.store.connections.give_back(connection)
        self._name.unlink()
        self._name.symlink_to(self._sockets[1])

    def park(self, id: str) -> bool:
        return self.gate.park(make_entry(self.gate, id, id), self.gate.number())

    def accepted(self, id: str) -> bool:
        """Return whether the second one has a task."""
        return bool(self.second.hexists(self.gate.keyspace.partitions[0].entries, id))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as servers:
        pair = Pair(tmp_path, servers)
        yield pair
        pair.gate.store.close()


def demote(pair: Pair) -> None:
    """The first one is a replica of the second from now on."""
    pair.first.replicaof("127.0.0.1", pair.ports[1])
    until(lambda: pair.first.info("replication")["master_link_status"] == "up")


def cut_off(pair: Pair) -> None:
    """The first one is a replica that answers nothing: its master is away."""
    pair.first.config_set("replica-serve-stale-data", "no")
    pair.first.replicaof("127.0.0.1", 1)


def deserted(pair: Pair) -> None:
    """The first one takes itself for the master, and has lost its replicas."""
    pair.first.config_set("min-replicas-to-write", 1)


def closed_to_us(pair: Pair) -> None:
    """The first one does not let this user do anything any more."""
    pair.first.execute_command("ACL", "SETUSER", "default", "-@all", "+client")


def calls(gate: Gate) -> dict[str, Callable[[], object]]:
    """Every way to the server that writes."""
    reader = Reader(gate)
    return {
        "script": lambda: gate.park(make_entry(gate, "a", "a"), gate.number()),
        "scripts": lambda: gate.park_all([make_entry(gate, "b", "b")], gate.numbers(1)),
        "push": lambda: gate.store.push("q", b"x"),
        "ring_bell": lambda: gate.store.ring_bell("bell"),
        "wait": lambda: gate.store.wait("nothing", 0.1),
        "forget": lambda: gate.store.forget("nothing"),
        "read": lambda: reader.one("getdel", "nothing"),
    }


@pytest.mark.parametrize(
    ("happens", "path"),
    [
        (happens, path)
        for happens in (demote, cut_off, deserted, closed_to_us)
        for path in ("script", "scripts", "push", "ring_bell", "wait", "forget", "read")
        if (happens, path) != (deserted, "wait")  # a list that stays empty needs no write
    ],
)
def test_what_the_old_server_refuses_the_new_one_does(pair: Pair, happens: Callable[[Pair], None], path: str) -> None:
    assert pair.park("before")
    pair.switch()
    happens(pair)
    answer = calls(pair.gate)[path]()
    assert answer in (True, [True], None)
    if path == "script":
        assert pair.accepted("a") and not pair.accepted("before")
    assert all(pair.gate.store.connections.trusts(each) for each in pair.gate.store.connections._idle)


def test_a_wait_in_progress_ends_when_its_server_becomes_a_replica(pair: Pair) -> None:
    """Timeline: BRPOP is out, the server is demoted and unblocks it. What rang may be lost: it looks again."""
    gate, errors = build_gate(pair.app, timeout=120), []

    def wait() -> None:
        try:
            gate.store.wait("bell", 60)
        except GroupFifoError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    until(lambda: pair.first.info("clients")["blocked_clients"] == 1)
    pair.switch()
    pair.first.replicaof("127.0.0.1", pair.ports[1])
    waiting.join(20)
    assert not waiting.is_alive() and not errors
    gate.store.close()


@pytest.mark.parametrize("happens", [demote, deserted])
def test_where_the_name_still_leads_to_the_old_one_it_is_told_and_passes_later(
    pair: Pair, happens: Callable[[Pair], None]
) -> None:
    assert pair.park("before")
    happens(pair)
    entry, number = make_entry(pair.gate, "a", "a"), pair.gate.number()
    with pytest.raises(GateUnavailable):
        pair.gate.park(entry, number)
    with pytest.raises(GateUnavailable):
        pair.gate.park_all([make_entry(pair.gate, "b", "b")], pair.gate.numbers(1))
    pair.switch()
    assert pair.gate.park(entry, number) and pair.accepted("a")


def test_what_the_right_server_forbids_stays_forbidden(pair: Pair) -> None:
    pair.park("before")
    pair.first.execute_command("ACL", "SETUSER", "default", "-evalsha")
    with pytest.raises(ScriptRefused):
        pair.park("a")
    pair.first.execute_command("ACL", "SETUSER", "default", "+evalsha")
    assert pair.park("a")
