"""Answers of Redis, read as they come."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ResponseError

from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate.pipelined import Pipelined, parse

ANSWERS = [
    (b":42\r\n", 42),
    (b"+OK\r\n", b"OK"),
    (b"$5\r\nhello\r\n", b"hello"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"*0\r\n", []),
    (b"*3\r\n:1\r\n$3\r\na\r\n\r\n:-1\r\n", [1, b"a\r\n", -1]),
    (b"*2\r\n*1\r\n:7\r\n$1\r\nx\r\n", [[7], b"x"]),
]


@pytest.mark.parametrize(("text", "answer"), ANSWERS)
def test_each_kind_of_answer(text: bytes, answer: Any) -> None:
    assert parse(bytearray(text), 0) == (answer, len(text))


@pytest.mark.parametrize("text", [text for text, _ in ANSWERS] + [b"-ERR no\r\n"])
def test_what_has_not_come_whole_is_waited_for(text: bytes) -> None:
    for size in range(len(text)):
        assert parse(bytearray(text[:size]), 0) is None, text[:size]


def test_an_error_is_one() -> None:
    parsed = parse(bytearray(b"-WRONGTYPE it is\r\n"), 0)
    assert parsed is not None and isinstance(parsed[0], ResponseError) and str(parsed[0]) == "WRONGTYPE it is"


class Store:
    """Stands for the gate's."""

    shown, in_cluster = "redis://somewhere/0", False
    connections = SimpleNamespace(close=lambda connection: connection.disconnect(), trusts=lambda connection: True)

    def wrapped(self, name: str, error: Exception) -> GroupFifoError:
        return GroupFifoError(str(error))


@pytest.fixture
def ends() -> Iterator[tuple[Pipelined, socket.socket]]:
    mine, server = socket.socketpair()
    connection = SimpleNamespace(_sock=mine, disconnect=mine.close)
    yield Pipelined(connection, Store()), server  # type: ignore[arg-type]
    mine.close()
    server.close()


def test_whole_answers_are_read_and_the_rest_is_kept(ends: tuple[Pipelined, socket.socket]) -> None:
    line, server = ends
    assert line.read() == []
    server.sendall(b":1\r\n$4\r\nab")
    assert line.read() == [1]
    server.sendall(b"cd\r\n:2\r\n")
    assert line.read() == [b"abcd", 2]


def test_an_answer_larger_than_what_is_read_at_once(ends: tuple[Pipelined, socket.socket]) -> None:
    line, server = ends
    text = b"x" * 150_000
    server.setblocking(False)
    to_send, replies = b"$150000\r\n" + text + b"\r\n", list[Any]()
    while not replies:
        if to_send:
            to_send = to_send[server.send(to_send[:50_000]) :]
        replies = line.read()
    assert replies == [text]


def test_errors_come_in_their_place(ends: tuple[Pipelined, socket.socket]) -> None:
    line, server = ends
    server.sendall(b":1\r\n-WRONGTYPE no\r\n:2\r\n")
    first, error, last = line.read()
    assert (first, last) == (1, 2) and isinstance(error, GroupFifoError)


def test_forgotten_scripts_are_a_lost_connection(ends: tuple[Pipelined, socket.socket]) -> None:
    line, server = ends
    server.sendall(b"-NOSCRIPT No matching script.\r\n")
    with pytest.raises(GateUnavailable):
        line.read()


def test_what_came_before_the_end_is_heard_first(ends: tuple[Pipelined, socket.socket]) -> None:
    line, server = ends
    server.sendall(b":1\r\n")
    server.close()
    assert line.read() == [1]
    with pytest.raises(GateUnavailable):
        line.read()


def test_whoever_sends_to_a_server_that_reads_nothing_does_not_wait(ends: tuple[Pipelined, socket.socket]) -> None:
    line, server = ends
    assert line.send([b"y" * 4_000_000]) is False
    server.setblocking(True)
    got = 0
    while got < 4_000_000:
        got += len(server.recv(1_000_000))
        line.flush()
    assert line.flush() is True


def test_its_end_is_seen_from_another_thread(ends: tuple[Pipelined, socket.socket]) -> None:
    line, _ = ends
    line.end()
    with pytest.raises(GateUnavailable):
        line.read()
    with pytest.raises(GateUnavailable):
        line.send([b"x"])
    line.close()
    line.end()  # a second time it does nothing
