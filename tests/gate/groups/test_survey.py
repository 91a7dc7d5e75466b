"""A survey reads many small answers on one connection, whatever they hold and however they come."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as LateAnswer

from celery_groupfifo import Groups
from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate import records
from celery_groupfifo.gate.fronts import read_fronts
from celery_groupfifo.gate.keys import Quoted, quote
from celery_groupfifo.gate.packing import pack
from celery_groupfifo.gate.records import PlaceInLine, StoredGroup
from celery_groupfifo.gate.stream import Stream, pack_each
from celery_groupfifo.groups import survey
from tests.support.world import World, make_entry

Pair = tuple[Stream, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A stream, and the server's end of its connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        yield Stream(SimpleNamespace(_sock=ours)), theirs


ANSWERS = b"$3\r\none\r\n$-1\r\n:-42\r\n$0\r\n\r\n*2\r\n$1\r\n7\r\n*3\r\n$8\r\na\r\nb\r\n\r\n\r\n:1\r\n*0\r\n"
READ = [b"one", None, -42, b"", [b"7", [b"a\r\nb\r\n\r\n", 1, []]]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_answers_of_every_kind_in_pieces_of_any_size(pair: Pair, size: int) -> None:
    stream, server = pair

    def serve() -> None:
        for start in range(0, len(ANSWERS), size):
            server.sendall(ANSWERS[start : start + size])

    thread = threading.Thread(target=serve)
    thread.start()
    assert stream.read(2) + stream.read(len(READ) - 2) == READ
    thread.join()


def test_an_error_in_the_middle_is_raised(pair: Pair) -> None:
    stream, server = pair
    server.sendall(b":1\r\n-WRONGTYPE Operation against a key\r\n:2\r\n")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        stream.read(3)


def test_a_connection_that_ends_or_hangs_is_an_error(pair: Pair) -> None:
    stream, server = pair
    stream._socket.settimeout(0.01)
    server.sendall(b"$10\r\nhal")
    with pytest.raises(LateAnswer):
        stream.read()
    server.close()
    again = Stream(SimpleNamespace(_sock=stream._socket))
    with pytest.raises(LostConnection):
        again.read()
    with pytest.raises(LostConnection):
        for _ in range(100):
            again.send(b"x" * 1000)


@pytest.mark.parametrize("more", [(), ("0", "-1")])
def test_a_command_for_each_word(more: tuple[str, ...]) -> None:
    words = ["a", "", "größe:w:b", "c d\r\n"]
    assert pack_each("CMD", words, *more) == b"".join(pack(["CMD", word, *more]) for word in words)
    assert pack_each("CMD", [], *more) == b""


RECORD = "w id 17 - - - 0 123456 - - celery"
TEXTS = [
    f"- 0 0\n{RECORD}",
    f"pd 3 2\n{RECORD}",
    f"bc 0 0\nh id 17 - 99 b 1 5 - - q\n{RECORD}",
    f"- 0 0\nr b 19 20 - - 0 5 w/1 call q\n{RECORD}",
    "- 4 1",
    "d 0 0",
    "bad",
    "- 0 0\nr bad garbage",
    f"- 0 0\nx{RECORD[1:]}",
    f"- 0\n0 {RECORD}",
    f"x y z\n{RECORD}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_front_of_a_group_is_as_in_its_whole_state(text: str) -> None:
    group = StoredGroup.parse(Quoted("g"), text.encode())
    ((letters, others, flying, strongest),), (since,) = read_fronts([text.encode()])
    first = min(group.flights, key=lambda flight: flight.release, default=None)
    assert letters == "".join(flag for flag in group.flags if flag in "pbd") + "".join(
        next(letter for letter, state in records.STATES.items() if state == flight.state) for flight in group.flights
    )
    assert others == group.aside + len(group.flights) - group.empty
    assert since == (first.since if first else 0)
    assert flying == len(group.flights)
    assert strongest == next((letter for letter in "pbdrwh" if letter in letters), "")


@pytest.mark.parametrize("more", [[], [b"garbage"], [b"x 1"]])
def test_times_of_many_places_are_those_of_each(more: list[bytes]) -> None:
    items = [b"1764326400123456 a", None, b"1764326400999999 b", *more]
    each = [0 if item is None else PlaceInLine.parked_ms(item) for item in items]
    assert PlaceInLine.each_parked_ms(items) == each == [1764326400123, 0, 1764326400999, *(0 for _ in more)]


def test_a_foreign_key_in_place_of_a_line_is_an_error_of_ours(world: World, groups: Groups) -> None:
    world.park("a", "g")
    world.redis.set(world.keys.line(quote("g")), "foreign")
    with pytest.raises(GroupFifoError, match=r"another type"):
        groups.list(sort="age")


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something once, when a survey has asked for its second page."""

    def install(deed: Callable[[], object]) -> None:
        sent: list[tuple[bytes, ...]] = []
        send = Stream.send

        def noted(self: Stream, *commands: bytes) -> None:
            send(self, *commands)
            sent.append(commands)
            if len(sent) == 2:
                deed()

        monkeypatch.setattr(Stream, "send", noted)

    return install


@pytest.fixture
def many(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(survey, "PAGE", 10)
    for number in range(700):
        world.park(f"t{number}", f"g{number}")
    return world


def test_a_survey_begins_anew_when_its_connection_is_lost(
    many: World, groups: Groups, between: Callable[[Callable[[], object]], None]
) -> None:
    groups.list(sort="age")
    between(lambda: many.redis.client_kill_filter(_type="normal", skipme=True))
    page = groups.list(sort="age", limit=1000)
    assert sorted(group.key for group in page) == sorted(f"g{number}" for number in range(700))


def test_an_unread_answer_is_nobody_elses(
    many: World, groups: Groups, between: Callable[[Callable[[], object]], None]
) -> None:
    """Whoever is interrupted in a survey leaves no connection behind on which answers are still to come."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    between(interrupt)
    with pytest.raises(KeyboardInterrupt):
        groups.list(sort="age")
    assert many.gate.park_all([make_entry(many.gate, "another", "g7")], many.gate.numbers(1)) == [True]
    assert groups.get("g7").depth == 2


def test_no_redis_is_an_error_of_ours(world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise LostConnection("gone")

    monkeypatch.setattr(Stream, "send", lost)
    with pytest.raises(GateUnavailable):
        groups.list(sort="depth")
