"""The client with which the benchmarks keep a gate busy: each end takes a task, and as many run as are meant to."""

from __future__ import annotations

import redis

from benchmarks.scenarios.player import QUEUE, WAITING, Game, Player, Servers
from benchmarks.scenarios.watch import finished_runs
from celery_groupfifo import Groups
from tests.support.world import World


def test_the_heads_of_the_groups_that_do_not_run_wait_in_the_queue(world: World, redis_url: str) -> None:
    found = played(redis_url, Game(groups=12, running=4, together=2, take="lists"))
    assert world.redis.llen(QUEUE) == 8
    assert found == (4, 12 * (WAITING + 1)), "running, and in all: as many as were parked at first"


def test_each_group_goes_on_with_its_own_next_task(world: World, redis_url: str) -> None:
    found = played(redis_url, Game(groups=6, running=6, together=6))
    assert world.redis.llen(QUEUE) == 0
    assert found == (6, 6 * (WAITING + 1))


def played(url: str, game: Game) -> tuple[int, int]:
    """Play 24 tasks. Returns the tasks that run, and those at the gate."""
    with redis.Redis.from_url(url) as client:
        player = Player(Servers(url, [client], {"groupfifo:0": 0}), game)
        try:
            figures = player.play(24)
            assert figures["cpu_us"] > 0 and finished_runs(client)() == 24
            stats = Groups(player.app).stats()
        finally:
            player.close()
    return stats.running, stats.running + stats.waiting + stats.parked
