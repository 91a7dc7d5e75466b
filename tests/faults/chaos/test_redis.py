"""Redis itself: restarted, emptied, full, read-only, stalled; and what the broker does to its messages."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from celery.utils import uuid
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.pidbox import Mailbox

from tests.faults.chaos.nemesis import STALL_SECONDS, Nemesis
from tests.support.stages.app import LEASE_TTL
from tests.support.stages.stage import QUEUE, Stage
from tests.support.stages.verdict import assert_sound
from tests.support.waiting import until

#: A purged head is released again after 3 to 5 s, and before this on the slowest machine; elsewhere it takes a minute.
RELEASED_WITHIN = 20.0


def _load(stage: Stage, groups: int, tasks: int, seconds: float) -> None:
    for seq in range(1, tasks + 1):
        for group in range(groups):
            stage.send(f"g{group}", seq, seconds=seconds)


def test_restarts_flushed_scripts_and_killed_clients_under_load(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(worker_prefetch_multiplier=4)  # room for deliveries, which is what kombu trips over
    workers = stage.start(2, slots=2)
    stage.produce(lambda: _load(stage, 8, 40, 0.05))
    nemesis = Nemesis(stage, seed=1)
    for strike in (lambda: stage.gate.restart(0.3), stage.redis.script_flush, nemesis.kill_clients) * 2:
        assert nemesis.aim()
        strike()
        nemesis.rest(0.5)
    stage.produced()
    stage.drained()
    counts = assert_sound(stage)
    assert not counts.repeats, counts.repeats
    assert all(worker.alive for worker in workers), "nobody had to be restarted"
    assert {start["lost"] for start in stage.watch.started} == {0}


def test_a_worker_survives_many_restarts_of_redis(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(worker_prefetch_multiplier=4)
    worker = stage.start(1, slots=2)[0]
    for number in range(5):
        for group in range(6):
            for seq in range(1, 5):
                stage.send(f"r{number}-g{group}", seq, seconds=0.05)
        until(lambda: stage.watch.look().open)
        stage.gate.restart(0.2)
        until(lambda: worker.log.count("Connected to redis") > number + 1 or not worker.alive, worker.process.tail)  # noqa: B023
        assert worker.alive, worker.log[-3000:]
    stage.drained()
    assert "Unrecoverable" not in worker.log
    assert_sound(stage)


def test_a_stall_shorter_than_a_lease_costs_nobody_a_lease(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(worker_prefetch_multiplier=1)  # else one worker may have three of the four tasks, for two slots
    stage.start(2, slots=2)
    for group in range(4):
        stage.send(f"g{group}", 1, seconds=3 * STALL_SECONDS)
        stage.send(f"g{group}", 2)
    until(lambda: len(stage.watch.look().open) == 4)
    for _ in range(2):
        stage.gate.stall(STALL_SECONDS)
        time.sleep(0.3)  # a stall, a breath, a stall: the fault's own shape
    stage.drained()
    counts = assert_sound(stage)
    assert not counts.repeats and not stage.watch.told, (counts.repeats, stage.watch.told)


def _ask(mailbox: Mailbox, connection: Connection) -> None:
    """Ask all workers something. The queue for their answers is there."""
    assert mailbox.reply_exchange is not None
    reply_to = {"exchange": mailbox.reply_exchange.name, "routing_key": mailbox.oid}
    question = {"method": "ping", "arguments": {}, "destination": None, "ticket": uuid(), "reply_to": reply_to}
    everybody = mailbox.exchange
    connection.Producer().publish(question, exchange=everybody, declare=[everybody], serializer="json")


def _tasks_end_while(stage: Stage, refuse: Callable[[], object], accept: Callable[[], object]) -> None:
    """Tasks end while Redis takes no writes, for longer than a lease; then it does again."""
    stage.start(2, slots=4)
    for group in range(3):
        stage.send(f"g{group}", 1, "wait", name="go")
        stage.send(f"g{group}", 2)
    until(lambda: len(stage.watch.look().open) == 3)
    refuse()
    (stage.directory / "go").touch()
    until(lambda: len(stage.watch.look().done) >= 3)
    with pytest.raises(OperationalError):
        stage.app.tasks["chaos.step"].apply_async(("g0", 99), retry=False)
    time.sleep(LEASE_TTL + 0.5)  # the fault's own length
    accept()
    stage.send("g0", 3)
    stage.drained()
    counts = assert_sound(stage)
    assert not counts.repeats, "what was over stayed over"
    for worker in stage.workers:
        assert worker.alive, worker.log


def test_while_redis_is_full_tasks_end_and_none_is_lost_or_repeated(make_stage: Callable[..., Stage]) -> None:
    # Without this setting of Celery's a worker ends when it is asked something, and Redis can't take the answer.
    stage = make_stage()
    stage.redis.config_set("maxmemory-policy", "noeviction")
    with stage.app.connection_for_write() as connection:
        mailbox = stage.app.control.mailbox(connection)
        mailbox.reply_queue(connection.default_channel).declare()

        def fill() -> None:
            stage.redis.config_set("maxmemory", "1")
            _ask(mailbox, connection)

        _tasks_end_while(stage, fill, lambda: stage.redis.config_set("maxmemory", "0"))
    for worker in stage.workers:
        # It was asked, as by Flower or by a worker that starts.
        worker.logs("Control command error")


def test_while_redis_is_read_only_completions_are_kept(make_stage: Callable[..., Stage]) -> None:
    # Without this setting of Celery's a worker ends when its broker turns into a replica.
    stage = make_stage()
    # A replica of nobody: it keeps its data, and refuses writes, as after a failover.
    _tasks_end_while(
        stage,
        lambda: stage.redis.replicaof("127.0.0.1", "1"),
        lambda: stage.redis.replicaof("NO", "ONE"),
    )


def test_fences_stay_above_all_earlier_ones_when_redis_is_emptied(stage: Stage) -> None:
    stage.start(2, slots=4)
    for group in range(3):
        stage.send(f"g{group}", 1, "wait", name="go")
    until(lambda: len(stage.watch.look().open) == 3)
    before = {run["group"]: run["fence"] for run in stage.watch.open.values()}
    stage.redis.flushall()
    until(lambda: len(stage.watch.look().told) == 3, "their workers were not told that the leases are gone")
    for group in range(3):
        stage.send(f"g{group}", 2)
    until(lambda: all((group, 2) in stage.watch.look().done for group in before), stage.describe)
    after = [start["fence"] for start in stage.watch.started if start["seq"] == 2]
    assert min(after) > max(before.values())
    (stage.directory / "go").touch()
    refused = lambda: [each["group"] for each in stage.events if each.get("reason") == "refused"]  # noqa: E731
    until(lambda: sorted(refused()) == sorted(before), "what ran before is refused by the fence")
    until(lambda: not stage.left(), stage.describe)


def test_a_purged_queue_is_released_again(stage: Stage) -> None:
    stage.start(1, slots=2)
    for group in range(12):
        stage.send(f"g{group}", 1, "wait", name="go")
        stage.send(f"g{group}", 2)
    until(lambda: len(stage.watch.look().open) == 2)
    waiting = until(lambda: stage.redis.llen(QUEUE) == 8, stage.describe) and stage.redis.llen(QUEUE)
    assert stage.app.control.purge() == waiting
    took = until(lambda: stage.redis.llen(QUEUE) == waiting, stage.describe)
    assert took <= RELEASED_WITHIN, took
    (stage.directory / "go").touch()
    stage.drained()
    assert not assert_sound(stage).repeats


def test_a_visibility_timeout_shorter_than_the_task_brings_nothing_back(make_stage: Callable[..., Stage]) -> None:
    options = {"visibility_timeout": 2, "unacked_restore_interval": 0.5, "unacked_restore_throttle": 1}
    stage = make_stage(broker_transport_options=options)
    workers = stage.start(2, slots=2, options=["--loglevel", "DEBUG"])
    for group in range(2):
        stage.send(f"g{group}", 1, seconds=5.0)
        stage.send(f"g{group}", 2)
    until(lambda: len(stage.watch.look().open) == 2)
    assert not stage.redis.exists("unacked"), "kombu keeps no copies of what has a lease"
    stage.drained()
    assert not assert_sound(stage).repeats
    assert not any("tale ticket" in worker.log for worker in workers), "nothing came back"
