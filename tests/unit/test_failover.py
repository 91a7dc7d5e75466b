"""Which server of a list is used, when some of them do not work."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
import redis

from celery_groupfifo.gate.connections import Connections
from celery_groupfifo.gate.failover import Failover


class Server:
    """Says what a test lets it say; stands for the connections to it, and for each of them."""

    def __init__(self, role: str = "master") -> None:
        self.role = role
        self.error: redis.RedisError | None = None
        self.tried = 0

    def open(self) -> Server:
        self.tried += 1
        if isinstance(self.error, redis.ConnectionError):
            raise self.error
        return self

    def close(self, connection: Any) -> None: ...

    def send_command(self, *words: str) -> None:
        assert words == ("INFO", "replication")

    def read_response(self) -> bytes:
        if self.error is not None:
            raise self.error
        return f"# Replication\r\nrole:{self.role}\r\n".encode()


def failover_of(*servers: Server) -> Failover:
    return Failover(servers, [f"s{number}" for number in range(len(servers))])  # type: ignore[arg-type]


GONE = redis.ConnectionError("refused")


def test_the_first_that_works() -> None:
    first, second, third = Server(), Server(), Server()
    failover = failover_of(first, second, third)
    assert failover.last() is None
    first.error = GONE
    assert failover.find() == failover.last() == 1
    assert third.tried == 0


def test_it_is_kept_also_when_an_earlier_one_is_back(caplog: pytest.LogCaptureFixture) -> None:
    """A client that went back by itself would part from those that can't reach it yet."""
    first, second = Server(), Server()
    failover = failover_of(first, second)
    first.error = GONE
    assert failover.find() == 1
    first.error = None
    failover.doubt()
    assert failover.find() == 1 and first.tried == 1
    assert not caplog.records


def test_in_doubt_the_next_one_that_works(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Server(), Server()
    failover = failover_of(first, second)
    assert failover.find() == 0
    first.error = GONE
    assert failover.find() == 0, "nobody has complained"
    failover.doubt()
    with caplog.at_level(logging.WARNING):
        assert failover.find() == 1
    assert "The gate has moved from s0 to s1" in caplog.text
    second.error, first.error = GONE, None
    failover.doubt()
    assert failover.find() == 0


def test_a_replica_is_none_to_use() -> None:
    first, second = Server("slave"), Server()
    failover = failover_of(first, second)
    assert failover.find() == 1
    second.role, first.role = "slave", "master"
    failover.doubt()
    assert failover.find() == 0
    first.role = "slave"
    failover.doubt()
    with pytest.raises(redis.ConnectionError, match=r"No server of s0, s1 works\. s1 is a replica"):
        failover.find()
    second.role = "master"
    assert failover.find() == 1


def test_one_that_does_not_tell_its_role_counts() -> None:
    first = Server()
    first.error = redis.exceptions.NoPermissionError("this user has no permissions to run the 'info' command")
    assert failover_of(first, Server()).find() == 0
    first.error = redis.ResponseError("unknown command")
    assert failover_of(first, Server()).find() == 1


def test_a_connection_that_has_failed_is_a_doubt() -> None:
    failover = failover_of(Server(), Server())
    options = {"host": "127.0.0.1", "port": 1, "socket_timeout": 1.0}
    connections = Connections(options, failover, [options, options].__getitem__)
    with pytest.raises(redis.ConnectionError):
        connections.open()
    assert failover._doubted
    failover.find()
    connections.drop(connections.generation)
    assert failover._doubted
    generation = connections.generation
    failover.follow(1)
    connections._lead_to(failover.last())
    assert connections.generation > generation and not failover._doubted


def test_a_burst_of_callers_shares_one_look() -> None:
    first = Server()
    failover, entered, go = failover_of(first, Server()), threading.Event(), threading.Event()
    open_, found = first.open, []

    def slow() -> Server:
        entered.set()
        assert go.wait(30)
        return open_()

    first.open = slow  # type: ignore[method-assign]
    threads = [threading.Thread(target=lambda: found.append(failover.find())) for _ in range(50)]
    threads[0].start()
    assert entered.wait(30)
    for thread in threads[1:]:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(30)
    assert (found, first.tried) == ([0] * 50, 1)
