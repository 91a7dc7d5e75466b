"""A broker's failover list of Redis servers: the gate is at the first one that works, and follows."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis
from celery import Celery

from celery_groupfifo import GroupFifo, Groups, park_many
from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.gate.servers import follow
from celery_groupfifo.testing import embedded
from tests.support.waiting import until
from tests.support.world import make_entry

#: Nobody listens there.
DEAD = "redis://127.0.0.1:1/0"


class Two:
    """Two servers that know nothing of each other, and an app with a list of both."""

    def __init__(self, stack: ExitStack) -> None:
        self.servers = [stack.enter_context(embedded.start()) for _ in range(2)]
        self.clients = [stack.enter_context(redis.Redis(port=server.port)) for server in self.servers]
        self.app = Celery("two", broker=[f"{server.url}/0" for server in self.servers], set_as_current=False)
        self.gate = build_gate(self.app)

    def parked(self) -> list[int]:
        """Return the number of tasks that each of them holds."""
        entries = self.gate.keyspace.partitions[0].entries
        return [int(client.hlen(entries)) for client in self.clients]


@pytest.fixture
def two() -> Iterator[Two]:
    with ExitStack() as stack:
        two = Two(stack)
        yield two
        two.gate.store.close()


def park(gate: Gate, id: str) -> bool:
    return gate.park(make_entry(gate, id, id), gate.number())


@pytest.mark.parametrize("form", ["text", "list"])
def test_with_the_first_one_dead_tasks_go_to_the_next(redis_url: str, form: str) -> None:
    broker = [DEAD, redis_url] if form == "list" else f"{DEAD};{redis_url}"
    app = Celery("list", broker=broker, set_as_current=False)
    GroupFifo(app)
    app.send_task("t", group_key="k")
    assert len(park_many([app.signature("t", group_key="k")])) == 1
    assert Groups(app).get("k").depth == 2
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("celery") == 1, "its ticket is where the tasks' own workers read"
    app.close()


def test_a_list_of_one(redis_url: str) -> None:
    app = Celery("list", broker=[redis_url], set_as_current=False)
    GroupFifo(app)
    app.send_task("t", group_key="k")
    assert Groups(app).get("k").depth == 1
    app.close()


def test_with_none_of_them_the_error_names_all() -> None:
    gate = build_gate(Celery("none", broker=[DEAD, DEAD.replace(":1/", ":2/")], set_as_current=False))
    with pytest.raises(GateUnavailable, match=r"127\.0\.0\.1:1/0, 127\.0\.0\.1:2/0"):
        park(gate, "a")


def test_calls_go_on_at_the_next_one(two: Two, caplog: pytest.LogCaptureFixture) -> None:
    assert park(two.gate, "a") and two.parked() == [1, 0]
    line = Pipelined.open(two.gate.store, ["park"])
    two.servers[0].kill()
    with caplog.at_level(logging.WARNING):
        assert park(two.gate, "b"), "one call, and nobody sees a thing"
    assert two.clients[1].hlen(two.gate.keyspace.partitions[0].entries) == 1
    assert "The gate has moved from" in caplog.text and not line.trusted
    line.close()


def test_all_gates_of_a_process_move_together(two: Two) -> None:
    other = build_gate(two.app)
    assert park(two.gate, "a") and park(other, "b")
    two.servers[0].kill()
    assert park(two.gate, "c")
    two.servers[0].restart()
    assert park(other, "d"), "it was never told"
    assert two.parked() == [2, 2]
    other.store.close()


def test_who_has_moved_stays_when_the_first_one_is_back(two: Two) -> None:
    assert park(two.gate, "a")
    two.servers[0].kill()
    assert park(two.gate, "b")
    two.servers[0].restart()
    two.clients[1].client_kill_filter(_type="normal", skipme=True)
    assert park(two.gate, "c")
    assert two.parked() == [1, 2]


def test_a_worker_follows_its_own_connection(two: Two) -> None:
    """Tickets go to the lists of the gate's server: the worker must read them there."""
    assert park(two.gate, "a")
    connection = two.app.connection_for_read()
    connection.switch(f"{two.servers[1].url}/0")
    follow(two.gate.server, connection)
    assert park(two.gate, "b") and two.parked() == [1, 1]
    connection.switch("redis://127.0.0.1:1/0")
    follow(two.gate.server, connection)
    assert park(two.gate, "c") and two.parked() == [1, 2], "that one is not in the list"


def test_a_replica_takes_over_when_it_is_promoted(two: Two) -> None:
    first = two.servers[0]
    two.clients[1].replicaof("127.0.0.1", str(first.port))
    assert park(two.gate, "a")
    until(lambda: two.parked() == [1, 1])
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    with pytest.raises(GateUnavailable, match="is a replica"):
        park(two.gate, "b")
    two.clients[1].replicaof("NO", "ONE")
    assert park(two.gate, "b")
    assert two.clients[1].hlen(two.gate.keyspace.partitions[0].entries) == 2, "it has what the first one had"


def test_one_that_says_nothing_is_given_up(two: Two) -> None:
    assert two.servers[0].pid is not None
    os.kill(two.servers[0].pid, signal.SIGSTOP)
    try:
        assert park(two.gate, "a"), "it is no error of the call"
        assert two.clients[1].hlen(two.gate.keyspace.partitions[0].entries) == 1
    finally:
        os.kill(two.servers[0].pid, signal.SIGCONT)


def test_a_child_goes_its_own_way(two: Two) -> None:
    assert park(two.gate, "a")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if park(two.gate, "child") else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert two.parked() == [2, 0]


def test_the_doctor_says_it(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celery_groupfifo.groups.workers.Workers.ask", lambda *args: {})
    checks = {check.name: check for check in Groups(two.app).doctor()}
    assert not checks["addresses"].ok and checks["addresses"].unsafe
    assert "list of 2 servers" in checks["addresses"].what
