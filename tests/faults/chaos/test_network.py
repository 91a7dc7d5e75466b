"""The way to Redis: replies that are lost after the server has acted, connections that break."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import pytest
from kombu import Connection, Consumer, Queue
from kombu.utils.eventio import READ

from celery_groupfifo.testing import embedded
from celery_groupfifo.worker.broker import close_for_sure, pass_over_others
from tests.faults.chaos.nemesis import Nemesis
from tests.support.stages.stage import QUEUE, Stage
from tests.support.stages.verdict import assert_sound
from tests.support.waiting import until


def _send_one(stage: Stage, name: str) -> None:
    stage.send(name, 1)


def _retry(stage: Stage, name: str) -> None:
    stage.send(name, 1, "again")


def _wait_for_the_heart(stage: Stage, name: str) -> None:
    """It renews and sweeps by itself."""


def _delay(stage: Stage, name: str) -> None:
    stage.send(name, 1, countdown=0.2)


def _crowd(stage: Stage, name: str, many: int) -> None:
    """More tasks that wait for a word than the worker takes."""
    for number in range(many):
        stage.send(f"{name}{number}", 1, "wait", name=name)
    until(lambda: sum(run["group"].startswith(name) for run in stage.watch.look().open.values()) == 2)


def _break_the_connection(stage: Stage, name: str) -> None:
    _crowd(stage, name, 4)
    stage.proxy.cut()


def _purge(stage: Stage, name: str) -> None:
    _crowd(stage, name, 7)
    until(lambda: stage.redis.llen(QUEUE))
    stage.redis.delete(QUEUE)


def _revoke(stage: Stage, name: str) -> None:
    stage.send(name, 1, "wait", name=name)
    parked = stage.send(name, 2)
    stage.revoke(name, 2, parked.id)


def _outlast(stage: Stage, name: str) -> None:
    stage.send(name, 1, seconds=2.5)


#: What makes somebody call each script.
CALLERS: dict[str, Callable[[Stage, str], None]] = {
    "park": _send_one,
    "begin": _send_one,
    "finish": _send_one,
    "renew": _wait_for_the_heart,
    "sweep": _wait_for_the_heart,
    "advance": _delay,
    "surrender": _break_the_connection,
    "rerelease": _purge,
    "revoke": _revoke,
    "lease": _outlast,
}


def test_a_lost_reply_does_nothing_twice_and_loses_nothing(stage: Stage) -> None:
    stage.start(1, slots=2, by_proxy=True)
    for script, call in CALLERS.items():
        # Of the call, of its repetition, and of the next attempt, where there is one.
        lost = stage.proxy.lost + {"revoke": 1, "lease": 2, "advance": 2}.get(script, 3)
        stage.proxy.lose_replies(lost - stage.proxy.lost, script)
        call(stage, script)
        until(lambda lost=lost: stage.proxy.lost == lost, lambda script=script: f"{script}: {stage.describe()}")  # type: ignore[misc]
        (stage.directory / script).touch()
        stage.drained()
    counts = assert_sound(stage)
    assert set(counts.repeats) <= {"retry"}, counts.repeats
    assert {start["lost"] for start in stage.watch.started} == {0}, "nobody was lost"


def test_breaking_connections_under_load(stage: Stage) -> None:
    stage.start(1, slots=2, by_proxy=True)
    stage.start(1, slots=2)
    for seq in range(1, 21):
        for group in range(8):
            stage.send(f"g{group}", seq, seconds=0.04)
    nemesis = Nemesis(stage, seed=1)
    for _ in range(6):
        assert nemesis.aim()
        stage.proxy.cut()
        stage.redis.client_kill_filter(_type="normal", skipme=True)
        nemesis.rest(0.25)
    stage.drained()
    counts = assert_sound(stage)
    assert not counts.repeats, counts.repeats


def test_a_channel_whose_brpop_broke_is_closed_with_its_connection() -> None:
    """Without our part this is an AttributeError of kombu 5.7, and the end of a worker with room in its prefetch."""
    with embedded.start() as server, Connection(f"{server.url}/0") as connection:
        channel = connection.default_channel
        close_for_sure(channel)
        got: list[object] = []
        # As in a worker, the connection has other channels, which are closed first.
        for name, of in (("q", channel), ("other", connection.channel())):
            Consumer(of, [Queue(name, channel=of)], callbacks=[lambda _, message: got.append(message)]).consume()
        with connection.Producer(channel=channel) as producer:
            producer.publish("one", routing_key="q")
        while not got:
            connection.drain_events(timeout=5)
        with pytest.raises((socket.timeout, TimeoutError)):
            connection.drain_events(timeout=0.1)
        assert channel._in_poll and channel.qos._delivered, "another BRPOP is out, and a delivery not acknowledged"
        server.kill()
        with suppress(*connection.connection_errors):
            connection.collect()  # as Celery does when the connection breaks
        connection.close()
        assert channel.closed


def test_a_socket_of_somebody_else_ends_nothing_and_is_kept(redis_url: str) -> None:
    """As the gate's in the poller that kombu shares with the worker's loop: before kombu 5.7 it is a KeyError."""
    other, end = socket.socketpair()
    with Connection(redis_url) as connection, other, end:
        channel = connection.default_channel
        pass_over_others(channel)
        poller = channel.connection.cycle.poller
        poller.register(other, READ)
        end.send(b"x")
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.1)
        assert [fileno for fileno, _ in poller.poll(0)] == [other.fileno()], "the loop has yet to hear of it"
