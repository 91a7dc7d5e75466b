"""Due items get their turn, whatever else is due: kinds do not wait behind each other, and a call is short."""

from __future__ import annotations

from typing import Any

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.gate.keys import due_ms, due_score, quote
from celery_groupfifo.gate.recovery import BATCH, MOST_BYTES
from celery_groupfifo.sending.telling import Teller
from tests.support.world import TTL_MS, World


def evaluations(world: World) -> int:
    return int(world.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def etas(world: World, count: int, **more: Any) -> None:
    """So many are due in a second, each in a group of its own."""
    for n in range(count):
        world.park(f"e{n}", f"E{n}", delay=1000, **more)


def revoked(world: World, key: str, count: int) -> None:
    """So many places in line, and none of them holds a task; behind them stands one that does."""
    pipe = world.redis.pipeline()
    for n in range(count):
        pipe.rpush(world.keys.line(quote(key)), f"{world.now * 1000} {key}{n}")
    pipe.execute()
    world.park(f"last of {key}", key)


def test_a_lost_workers_head_waits_behind_no_eta(world: World) -> None:
    world.idle_sweeps(TTL_MS)
    world.run("lost", "L")
    world.idle_sweeps(TTL_MS - 1000)
    etas(world, 3 * BATCH)
    world.tick(1000)
    assert world.sweep(world.lists("q")).reclaimed == 1
    assert world.queued()[0] == "lost"


def test_each_kind_gets_a_share_of_a_call(world: World) -> None:
    for n in range(BATCH + 20):
        world.hold(world.run(f"h{n}", f"H{n}"), 1000, f"H{n}")
    etas(world, BATCH + 20)
    world.gate.store.mark_unsent(world.keys, quote("nothing"), "nothing")
    world.redis.delete(world.keys.begins)  # nobody serves the queue: there is room for all
    world.tick(1000)
    swept = world.sweep(world.lists("other"))
    assert len(swept.named) in (49, 50) and swept.next_due == 0
    assert len(world.queued()) == 99, "holds and ETAs; the last one was nothing"
    for _ in range(2):
        swept = world.sweep(world.lists("other"))
    assert len(world.queued()) == 2 * BATCH + 40 and swept.next_due != 0


def test_a_kind_takes_what_the_others_leave(world: World) -> None:
    etas(world, BATCH + 1)
    world.tick(1000)
    assert len(world.sweep(world.lists("q")).named) == BATCH


def test_the_soonest_of_all_kinds_is_told(world: World) -> None:
    world.run("r", "R")  # its lease: 30 s
    assert world.sweep().next_due == TTL_MS / 1000
    world.park("e", "E", delay=9000)
    assert world.sweep().next_due == 9
    world.hold(world.run("h", "H"), 5000, "H")
    assert world.sweep().next_due == 5
    world.gate.store.mark_unsent(world.keys, quote("R"), "r")
    assert world.redis.zscore(world.keys.due, "r R r") == due_score("r", 0)


def test_many_etas_cost_three_calls(world: World) -> None:
    etas(world, BATCH)
    world.tick(1000)
    before = evaluations(world)
    world.sweep(world.lists("q"))
    assert evaluations(world) == before + 3
    assert len(world.queued()) == BATCH


def test_etas_of_one_group_join_in_the_order_of_their_times(world: World) -> None:
    for n, delay in enumerate((3000, 1000, 2000)):
        world.park(f"t{n}", delay=delay)
    world.tick(3000)
    world.sweep(world.lists("q"))
    assert (world.queued(), world.waiting()) == (["t1"], ["t2", "t0"])


def test_large_messages_make_no_call_long(world: World) -> None:
    """So many bytes, and one message more, and the rest follows with the next call."""
    etas(world, 20, body="x" * 100_000)
    world.tick(1000)
    before = evaluations(world)
    world.sweep(world.lists("q"))
    assert evaluations(world) == before + 1 + 7, "three in each call that follows the sweep's own"
    assert world.redis.llen("q") == 20
    for n in range(20):
        world.hold(world.run(f"h{n}", f"H{n}", queue="other"), 1000, f"H{n}", body="x" * 100_000)
    world.tick(1000)
    moved: list[int] = []
    while len(moved) < 10 and world.sweep(world.lists("q")).next_due == 0:
        moved.append(world.redis.llen("q"))
    assert moved == [23, 26, 29, 32, 35, 38]


def test_a_long_walk_over_empty_places_is_a_matter_of_a_few_sweeps(world: World) -> None:
    first = world.run("first")
    revoked(world, "g", 3500)
    world.finish(first)
    sweeps = 1
    while world.sweep(world.lists("q")).next_due == 0:
        sweeps += 1
    assert (world.queued(), sweeps) == (["last of g"], 7)


def test_walks_of_many_groups_share_a_call(world: World) -> None:
    for key in "ABC":
        first = world.run(f"{key}0", key)
        revoked(world, key, 450)
        world.finish(first, key)
    before = evaluations(world)
    assert world.sweep(world.lists("q")).next_due == 0
    assert evaluations(world) == before + 3, "one group's walk, and a part of the next one's; then the third one's"
    world.sweep(world.lists("q"))
    assert sorted(world.queued()) == ["last of A", "last of B", "last of C"]


def test_what_is_cancelled_fits_into_an_answer(world: World) -> None:
    ticket = world.run("a")
    for n in range(12):
        world.park(f"b{n}", body="x" * 300_000)
    world.fail(ticket, policy="cancel_rest")
    sizes: list[int] = []
    (part,) = world.gate.sweep(world.keys).cut_off
    world.gate.cancel_rest(part, lambda gone: sizes.append(len(gone)))
    assert sizes == [4, 4, 4], "a million bytes, and a few messages more"
    assert world.residue() == {}


def test_what_is_purged_fits_into_an_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(Teller, "tell", lambda self, gone: told.append(len(gone)))
    world.run("a")
    for n in range(6):
        world.park(f"b{n}", body="x" * 300_000)
    assert Groups(world.app, world.gate).purge("g") == 6
    assert [count for count in told if count] == [4, 2]
    assert MOST_BYTES < 4 * 300_000


@pytest.mark.parametrize(
    "member, kind", [("w w1", 0), ("h g a", 1), ("e g a", 2), ("a g", 3), ("v w1", 3), ("r g a", 3)]
)
def test_a_score_tells_kind_and_time(member: str, kind: int) -> None:
    score = due_score(member, 1_800_000_000_123)
    assert (score // 10**14, due_ms(score)) == (kind, 1_800_000_000_123)
    assert float(score) == score and int(float(score)) == score, "no digit is lost in a double"
