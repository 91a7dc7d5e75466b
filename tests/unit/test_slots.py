"""The map of a Redis Cluster counts that a living node with a majority has, also when others name another master."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from redis.exceptions import MovedError, NoPermissionError

from celery_groupfifo.gate import slots as module
from celery_groupfifo.gate.slots import Address, NoClusterError, SlotMaster, Slots

A, B, C = ("10.0.0.1", 7000), ("10.0.0.2", 7000), ("10.0.0.3", 7000)
HALVES: list[tuple[int, int, Address]] = [(0, 8191, A), (8192, 16383, B)]


class Node:
    """Says what a test lets it say; stands for the connections to it, and for each of them."""

    def __init__(self, ranges: list[tuple[int, int, Address]], epoch: int = 1, state: str = "ok") -> None:
        self.ranges, self.epoch, self.state = ranges, epoch, state
        self.error: redis.RedisError | None = None
        self.info_error: redis.RedisError | None = None
        self.asked = 0

    def take(self) -> Node:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self

    def give_back(self, connection: Any) -> None: ...

    def close(self, connection: Any) -> None: ...

    def send_command(self, *words: str) -> None:
        self._words = words

    def read_response(self) -> Any:
        if self._words == ("CLUSTER", "SLOTS"):
            return [
                [first, last, [host.encode(), port, b"id", []], [b"10.0.0.9", 7000, b"replica", []]]
                for first, last, (host, port) in self.ranges
            ]
        assert self._words == ("CLUSTER", "INFO")
        if self.info_error is not None:
            raise self.info_error
        return f"cluster_state:{self.state}\r\ncluster_current_epoch:{self.epoch}\r\n".encode()


class Nodes(dict[Address, Node]):
    """The nodes by address; others are away."""

    def at(self, address: Address) -> Any:
        if address not in self:
            self[address] = Node([])
            self[address].error = redis.ConnectionError("refused")
        return self[address]


class Clock:
    """The time of a test; it goes on with each look."""

    now = 1000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def slots_of(nodes: Nodes, *seeds: Address) -> Slots:
    return Slots(seeds or (A, B), nodes.at)


def test_one_answer_serves_until_it_is_doubted() -> None:
    nodes = Nodes({A: Node(HALVES), B: Node(HALVES)})
    slots = slots_of(nodes)
    assert slots.last(0) is None, "nobody was asked yet"
    assert [slots.find(0), slots.find(9000), slots.find(16383)] == [A, B, B]
    assert (nodes[A].asked, nodes[B].asked) == (1, 0)
    slots.doubt(0, redis.ConnectionError("lost"))
    assert slots.last(0) == A, "a kept connection elsewhere is not doubted"
    assert slots.find(0) == A and nodes[A].asked == 2


def test_nodes_that_are_away_are_asked_last() -> None:
    nodes = Nodes({B: Node([(0, 16383, B)])})
    slots = slots_of(nodes, A, B)
    assert slots.find(5) == B
    for _ in range(3):
        slots.doubt(5, None)
        assert slots.find(5) == B
    assert nodes[A].asked == 1


def test_a_node_that_is_no_seed_is_asked_when_the_seeds_are_away() -> None:
    nodes = Nodes({A: Node([(0, 16383, C)]), C: Node([(0, 16383, C)])})
    slots = slots_of(nodes, A)
    assert slots.find(1) == C
    nodes[A].error = redis.TimeoutError("late")
    slots.doubt(1, None)
    assert slots.find(1) == C and nodes[C].asked == 1


def test_a_node_that_missed_a_change_does_not_count() -> None:
    old, new = Node([(0, 16383, A)], epoch=3), Node([(0, 16383, B)], epoch=4)
    nodes = Nodes({A: old, B: new})
    slots = slots_of(nodes, B, A)
    assert slots.find(1) == B
    new.error = redis.ConnectionError("refused")
    nodes[C] = Node([(0, 16383, C)], epoch=5)
    slots._nodes = [A, C]
    slots.doubt(1, None)
    assert slots.find(1) == C, "the first one knows less than was known"


def test_a_node_without_a_majority_does_not_count() -> None:
    nodes = Nodes({A: Node([(0, 16383, A)], epoch=9, state="fail"), B: Node([(0, 16383, B)], epoch=5)})
    assert slots_of(nodes, A, B).find(1) == B


def test_when_none_has_one_the_newest_map_counts() -> None:
    nodes = Nodes({A: Node([(0, 16383, A)], epoch=5, state="fail"), B: Node([(0, 16383, B)], epoch=6, state="fail")})
    assert slots_of(nodes, A, B).find(1) == B


def test_a_refusal_that_names_the_master_is_believed_for_its_slot() -> None:
    nodes = Nodes({A: Node(HALVES), B: Node(HALVES)})
    slots = slots_of(nodes)
    master = SlotMaster(slots, 5)
    assert master.find() == A
    master.doubt(MovedError("5 10.0.0.3:7000"))
    assert (master.last(), master.find(), slots.find(6)) == (C, C, A)
    master.doubt(redis.ResponseError("MOVED 5 10.0.0.2:7000"))  # as our own readers leave it
    assert master.find() == B and nodes[A].asked == 1
    master.doubt(redis.ConnectionError("lost"))
    assert master.find() == A, "asked again"


@pytest.mark.parametrize("said", ["5 :7000", "5 ?:7000", "6 10.0.0.3:7000"])
def test_one_that_names_none_is_a_doubt(said: str) -> None:
    nodes = Nodes({A: Node(HALVES), B: Node(HALVES)})
    slots = slots_of(nodes)
    slots.find(5)
    slots.doubt(5, MovedError(said))
    assert slots.find(5) == A and nodes[A].asked == 2


def test_a_slot_that_nobody_serves_is_asked_for_again() -> None:
    nodes = Nodes({A: Node([(0, 8191, A)])})
    slots = slots_of(nodes)
    for _ in range(2):
        with pytest.raises(redis.ConnectionError, match="No node of the cluster serves slot 9000"):
            slots.find(9000)
    nodes[A].ranges = HALVES
    assert slots.find(9000) == B


def test_none_answers() -> None:
    slots = slots_of(Nodes())
    for _ in range(2):
        with pytest.raises(redis.ConnectionError, match=r"No node of the cluster answers\. refused"):
            slots.find(1)


def test_a_server_that_is_no_node() -> None:
    nodes = Nodes({A: Node([])})
    nodes[A].read_response = _disabled  # type: ignore[method-assign]
    slots = slots_of(nodes)
    for _ in range(2):
        with pytest.raises(NoClusterError, match="cluster support disabled"):
            slots.find(1)


def _disabled() -> Any:
    raise redis.ResponseError("This instance has cluster support disabled")


def test_a_node_without_a_host_is_the_one_that_was_asked() -> None:
    nodes = Nodes({A: Node([(0, 99, ("", 7005)), (100, 200, ("?", 7006))])})
    slots = slots_of(nodes)
    assert slots.find(1) == ("10.0.0.1", 7005)
    with pytest.raises(redis.ConnectionError, match="serves slot 150"):
        slots.find(150)


def test_a_user_who_may_not_ask_for_the_epoch() -> None:
    nodes = Nodes({A: Node(HALVES)})
    nodes[A].info_error = NoPermissionError("no permissions")
    assert slots_of(nodes).find(1) == A
