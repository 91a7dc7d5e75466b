"""Which tickets a worker takes for lost, and when: on the gate's own Redis, and on other brokers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.recovery import GRACE_MS
from celery_groupfifo.worker import lost
from celery_groupfifo.worker.lost import BOUND, LONGEST, PAGE, LostTickets
from tests.gate.sending.test_other_brokers import Elsewhere
from tests.support.stored import stored
from tests.support.waiting import until
from tests.support.world import World, ticket_of

#: After how many seconds the head of a ticket is released again that is known to be lost.
SOON = (2, 3, 4)


class Look:
    """A worker that looks, once a second, at a broker that tells the lengths of its queues."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.now = world, 1000.0
        self.length: Callable[[str], int | None] = lambda queue: None
        self.asked = 0
        monkeypatch.setattr(lost, "monotonic", lambda: self.now)
        self.tickets = self.another("w1")

    def another(self, owner: str) -> LostTickets:
        """One more worker."""
        return LostTickets(self.world.gate, quote(owner), self._ask)

    def _ask(self, queue: str) -> int | None:
        self.asked += 1
        return self.length(queue)

    def pass_(self, seconds: float, tickets: LostTickets | None = None) -> list[int]:
        """Look for so long; after how many seconds something was released again, as often as it was."""
        found = []
        for second in range(int(seconds)):
            found += [second] * (tickets or self.tickets).look()
            until(lambda: not len((tickets or self.tickets)._background))
            self.now += 1
            self.world.tick(1000)
        return found


@pytest.fixture
def look(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Look]:
    look = Look(world, monkeypatch)
    yield look
    look.tickets.stop()


def test_a_purged_queue_is_released_again_within_five_seconds(world: World, look: Look) -> None:
    for key in "AB":
        world.park(key, key)
    look.pass_(1)
    world.redis.delete("q")
    assert look.pass_(5)[0] in SOON
    assert world.queued() == ["A", "B"]


def test_what_stands_in_a_list_is_left_alone(world: World, look: Look) -> None:
    for key in "AB":
        world.park(key, key)
    assert look.pass_(100) == []
    assert world.queued() == ["A", "B"]


def test_a_ticket_in_the_last_of_many_queues(world: World, look: Look) -> None:
    for number in range(2 * PAGE + 20):
        world.park(f"t{number}", f"k{number}", f"q{number:03d}")
    world.park("lost", "Z", "z")
    world.redis.delete("z")
    calls = count_calls(world)
    assert len(look.pass_(3)) == 0
    assert calls == {"heads": 3}, "a page each time, and nothing more"
    assert len(look.pass_(9)) == 1
    assert world.queued("z") == ["lost"]


def count_calls(world: World) -> dict[str, int]:
    calls: dict[str, int] = {}
    run = world.gate.store.run

    def counted(name: str, *args: Any, **more: Any) -> Any:
        calls[name] = calls.get(name, 0) + 1
        return run(name, *args, **more)

    world.gate.store.run = counted  # type: ignore[method-assign]
    return calls


def test_a_queue_that_had_no_heads_for_a_while_begins_anew(world: World, look: Look) -> None:
    world.park("a")
    look.pass_(2)
    world.gate.revoke("a")
    look.pass_(10)
    world.park("b")
    world.redis.delete("q")
    assert look.pass_(8)[0] in SOON


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps_hides_no_lost_ticket(world: World, look: Look, hours: int) -> None:
    world.park("a", "A")
    world.redis.delete("q")
    look.pass_(1)
    world.tick(hours * 3_600_000)
    world.park("b", "B")
    assert look.pass_(6)[0] in SOON
    assert sorted(world.queued()) == ["a", "b"]


def test_a_clock_that_was_set_back_makes_nothing_look_lost(world: World, look: Look) -> None:
    world.park("a", "A")
    world.tick(-3_600_000)
    world.park("b", "B")
    assert look.pass_(60) == []


# -- partitions -----------------------------------------------------------------


@pytest.fixture
def wide(redis_url: str) -> Iterator[World]:
    app = Celery("gate-tests", broker=redis_url, set_as_current=False)
    app.conf.groupfifo_partitions = 2
    world = World(redis_url, app)
    yield world
    world.close()


def test_a_ticket_that_was_overtaken_by_those_of_another_partition(
    wide: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both share the broker's list: what was begun from it in one partition tells of the other one's tickets."""
    keys = {wide.gate.keyspace.of_group(quote(key)).tag: key for key in ("A", "B", "C", "D")}
    here, there = keys.values()
    wide.park("lost", here)
    wide.receive()
    wide.tick(1)
    fill_other_partition(wide, there)
    assert wide.begin(wide.receive())
    look = Look(wide, monkeypatch)
    assert look.pass_(6)[0] in SOON, "not only when the whole backlog is done"
    assert wide.queued()[-1] == "lost"


def test_a_clock_that_is_set_back_lets_no_ticket_of_a_partition_that_had_a_rest_look_overtaken(
    wide: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timeline: one partition is busy, the clock is set back, and its numbers go on ahead of the other one's."""
    keys = {wide.gate.keyspace.of_group(quote(key)).tag: key for key in ("A", "B", "C", "D")}
    here, there = keys.values()
    wide.park("before", there)
    wide.tick(-3_600_000)
    assert wide.begin(wide.receive())
    fill_other_partition(wide, there)
    wide.park("waits", here)
    look = Look(wide, monkeypatch)
    assert look.pass_(BOUND) == []
    assert wide.queued()[-1] == "waits"
    wide.redis.lpop("q")
    assert look.pass_(10), "its ticket is lost"


def fill_other_partition(wide: World, there: str) -> None:
    """More than can be looked through for a ticket."""
    keys = wide.gate.keyspace.of_group(quote(there))
    groups = [f"{there}-{number}" for number in range(3000)]
    groups = [group for group in groups if wide.gate.keyspace.of_group(quote(group)) is keys][:1100]
    for number, group in enumerate(groups):
        wide.park(f"b{number}", group)


# -- another broker --------------------------------------------------------------


@pytest.fixture
def away(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Look, Elsewhere]]:
    app = Celery("gate-tests", broker="memory://", set_as_current=False)
    app.conf.groupfifo_url = redis_url
    world = World(redis_url, app)
    world.gate.releaser = broker = Elsewhere()
    look = Look(world, monkeypatch)
    yield look, broker
    look.tickets.stop()
    world.close()


Away = tuple[Look, Elsewhere]


def test_a_queue_that_nobody_consumes_gets_no_more_messages(away: Away) -> None:
    look, broker = away
    for number in range(200):
        look.world.park(f"t{number}", f"k{number}")
    look.length = lambda queue: len(broker.sent)
    assert look.pass_(10 * BOUND) == []
    assert len(broker.sent) == 200
    assert look.asked <= 11, "once a minute"


def test_as_many_go_out_again_as_are_missing(away: Away) -> None:
    look, broker = away
    for number in range(200):
        look.world.park(f"t{number}", f"k{number}")
    look.length = lambda queue: len(broker.sent) - 120  # they were lost
    assert len(look.pass_(10 * BOUND)) == 120
    assert len(broker.sent) == 320


def test_two_workers_ring_once_between_them(away: Away) -> None:
    look, _ = away
    for number in range(10):
        look.world.park(f"t{number}", f"k{number}")
    look.length = lambda queue: 7
    other = look.another("w2")
    lost = 0
    for _ in range(int(BOUND) + 5):
        lost += len(look.pass_(1)) + other.look()
        until(lambda: not len(other._background))
    assert lost == 3
    other.stop()


def test_where_the_broker_cannot_tell_it_waits_twice_as_long_each_time(away: Away) -> None:
    look, broker = away
    for number in range(60):
        look.world.park(f"t{number}", f"k{number}")
    times = sorted(set(look.pass_(4 * BOUND)))
    assert len(times) == 2 and times[0] <= BOUND + 5 and 2 * BOUND <= times[1] - times[0] <= 2 * BOUND + 10
    assert len(broker.sent) == 60 * 3
    assert BOUND * 2**6 > LONGEST


def test_a_begin_starts_the_waiting_anew(away: Away) -> None:
    look, broker = away
    look.world.park("a", "A")
    look.world.park("b", "B")
    look.pass_(2 * BOUND)
    assert len(broker.sent) == 4
    assert look.world.begin(broker.sent[-2])
    assert len(set(look.pass_(2 * BOUND))) == 1, "after one minute again, not after two"


def test_all_workers_share_the_waiting(away: Away) -> None:
    look, broker = away
    look.world.park("a", "A")
    look.pass_(BOUND + 5)
    assert len(broker.sent) == 2
    other = look.another("w2")
    assert look.pass_(BOUND + 5, other) == [], "it has seen nobody do it, but it knows"
    other.stop()


def test_an_overtaken_ticket_is_released_again_whatever_the_length(away: Away) -> None:
    look, broker = away
    look.world.park("a", "A")
    look.world.park("b", "B")
    look.length = lambda queue: 1000
    assert look.world.begin(broker.sent[1])
    assert look.pass_(GRACE_MS / 1000 + 2)[0] in SOON
    assert broker.ids() == ["a", "b", "a"]


def test_a_queue_from_which_something_is_begun_is_not_quiet(away: Away) -> None:
    look, broker = away
    look.length = lambda queue: 0
    look.world.park("old", "O")
    for number in range(5):
        look.pass_(BOUND - 10)
        look.world.park(f"t{number}", f"k{number}")
        assert look.world.begin(broker.sent[-1])
        assert look.pass_(5), "it was overtaken"
    assert look.asked == 0


def test_a_broker_that_hangs_stops_no_look(away: Away) -> None:
    look, broker = away
    released = threading.Event()
    look.length = lambda queue: 0 if released.wait(30) else None
    look.world.park("a")
    for _ in range(int(2 * BOUND)):
        assert look.tickets.look() == 0
        look.now += 1
        look.world.tick(1000)
    assert look.asked == 1, "it is asked once, and waited for elsewhere"
    released.set()
    until(lambda: not len(look.tickets._background))
    assert look.pass_(2) == [0]
    assert len(broker.sent) == 2


def test_an_answer_counts_only_while_nothing_has_moved(away: Away) -> None:
    look, broker = away
    look.world.park("a", "A")
    look.world.park("b", "B")
    moved: list[Ticket] = []

    def length(queue: str) -> int:
        if not moved:
            moved.append(broker.sent[0])
            assert look.world.begin(broker.sent[0])  # a is consumed: one message less, and nothing is lost
        return 1

    look.length = length
    assert look.pass_(BOUND + 30) == []
    assert len(broker.sent) == 2


def test_the_ticket_that_was_released_again_is_the_one_that_counts(away: Away) -> None:
    look, broker = away
    look.world.park("a")
    look.length = lambda queue: 0
    look.pass_(BOUND + 5)
    first, second = broker.sent[:2]
    assert not look.world.begin(first)
    assert look.world.begin(second)


def test_ticket_of_reads_what_was_released_again(world: World, look: Look) -> None:
    world.park("a")
    world.redis.delete("q")
    look.pass_(6)
    assert ticket_of(stored(world.redis.lindex("q", 0))).id == "a"
