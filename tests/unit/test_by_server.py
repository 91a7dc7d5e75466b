"""The parts of a worker for each partition of a cluster: what is for one goes to that, what is for all to all."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from celery_groupfifo.worker.by_server import Outboxes, Renewers, Sweepers, partitions_by_server

Deeds = list[tuple[str, str, Any]]


class Part:
    """An outbox, renewer or sweeper that notes what it is told."""

    def __init__(self, tag: str, deeds: Deeds, takes: float = 0.0, answers: bool = True) -> None:
        self.tag, self.deeds, self.takes, self.answers = tag, deeds, takes, answers
        self.uses_loop_connection, self.renewed = True, float(len(tag))

    def send(self, call: Any, wait: bool) -> None:
        self.deeds.append((self.tag, "send", wait))

    def has(self, run: Any) -> bool:
        return self.answers

    def kept(self) -> list[Any]:
        return [self.tag]

    def detach(self) -> None:
        self.deeds.append((self.tag, "detach", None))

    def close(self, patience: float) -> bool:
        time.sleep(min(self.takes, patience))
        self.deeds.append((self.tag, "close", patience))
        return self.answers

    def stop(self, within: float = -1.0) -> None:
        time.sleep(min(self.takes, max(within, 0.0)))
        self.deeds.append((self.tag, "stop", within))

    def wake_in(self, seconds: float) -> None:
        self.deeds.append((self.tag, "wake", seconds))


def parts(deeds: Deeds, **options: Any) -> Any:
    return {tag: Part(tag, deeds, **options) for tag in ("a", "b", "c")}


def call_of(tag: str) -> Any:
    return SimpleNamespace(arguments=(SimpleNamespace(tag=tag), [], []))


def test_a_call_goes_to_the_outbox_of_its_partition() -> None:
    deeds: Deeds = []
    made = parts(deeds)
    made["b"].answers = False
    outboxes = Outboxes(made)
    outboxes.send(call_of("b"), wait=True)
    assert deeds == [("b", "send", True)]
    run: Any = SimpleNamespace(ticket=SimpleNamespace(tag="b"))
    assert not outboxes.has(run)
    assert [str(kept) for kept in outboxes.kept()] == ["a", "b", "c"]
    outboxes.uses_loop_connection = False
    assert not any(part.uses_loop_connection for part in made.values()) and not outboxes.uses_loop_connection


def test_outboxes_close_within_one_time_and_tell_of_one_that_was_not_answered() -> None:
    deeds: Deeds = []
    made = parts(deeds)
    made["a"].takes, made["a"].answers = 60.0, False
    began = time.monotonic()
    assert not Outboxes(made).close(0.2)
    assert time.monotonic() - began < 30
    assert [deed[:2] for deed in deeds[:3]] == [("a", "detach"), ("b", "detach"), ("c", "detach")]
    assert [deed[:2] for deed in deeds[3:]] == [("a", "close"), ("b", "close"), ("c", "close")]
    assert [deed[2] for deed in deeds[4:]] == [0.0, 0.0], "the first one took the whole time"


def test_sweepers_are_told_to_stop_before_one_is_waited_for() -> None:
    deeds: Deeds = []
    made = parts(deeds, takes=60.0)
    Sweepers(made).stop()
    assert deeds[:3] == [("a", "stop", 0.0), ("b", "stop", 0.0), ("c", "stop", 0.0)]
    assert deeds[3][2] > 0 and [deed[2] for deed in deeds[4:]] == [0.0, 0.0]


def test_a_sweeper_is_woken_for_its_partition() -> None:
    deeds: Deeds = []
    sweepers = Sweepers(parts(deeds))
    sweepers.wake_in(0.5, "b")
    assert deeds == [("b", "wake", 0.5)]
    deeds.clear()
    sweepers.wake_in(0.0)
    assert [deed[0] for deed in deeds] == ["a", "b", "c"]


def test_a_renewal_is_that_of_the_partition() -> None:
    made = parts([])
    made["b"].renewed = 7.0
    assert Renewers(made).renewed_at("b") == 7.0


def test_partitions_of_one_server_share_the_parts() -> None:
    one, other = object(), object()
    keys = [SimpleNamespace(tag=tag, store=store) for tag, store in (("a", one), ("b", other), ("c", one))]
    gate: Any = SimpleNamespace(
        keyspace=SimpleNamespace(partitions=keys), store=SimpleNamespace(at=lambda keys: keys.store)
    )
    assert partitions_by_server(gate) == [[keys[0], keys[2]], [keys[1]]]
