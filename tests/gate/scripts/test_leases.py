"""A worker's lease: one for all of its runs, and what becomes of them when it ends."""

from __future__ import annotations

import pytest

from celery_groupfifo.gate.keys import CLAIM_MS, quote
from tests.support.snapshot import copied, put_back
from tests.support.world import TTL_MS, World, ticket_of

W1, W2 = quote("w1"), quote("w2")


def lease(world: World) -> float | None:
    """The time when the lease of w1 ends, in ms from now; None: it has none."""
    score = world.redis.zscore(world.keys.due, "w w1")
    return None if score is None else float(score) - world.now


def test_a_worker_has_one_lease_for_all_of_its_runs(world: World) -> None:
    for key in "ABC":
        world.run(key.lower(), key)
    assert world.redis.zrange(world.keys.due, 0, -1) == [b"w w1"]
    world.tick(1000)
    world.run("d", "D")
    assert lease(world) == TTL_MS, "a begin is a sign of life"


def test_an_end_extends_the_lease_when_it_says_so(world: World) -> None:
    a, b = world.run("a", "A"), world.run("b", "B")
    world.tick(1000)
    assert not world.finish(a, "A", extends=False).stale
    assert lease(world) == TTL_MS - 1000
    assert not world.finish(b, "B", extends=True).stale
    assert lease(world) == TTL_MS


def test_all_runs_of_a_lost_worker_are_found(world: World) -> None:
    world.idle_sweeps(TTL_MS)
    tickets = [world.run(key.lower(), key) for key in "ABC"]
    world.park("d", "D")
    world.finish(tickets[0], "A", take="lists", lists=world.lists("q"))
    world.idle_sweeps(TTL_MS)
    assert world.sweep(world.lists("q"), owner="w2").reclaimed == 3
    assert sorted(world.queued()) == ["b", "c", "d"]
    assert lease(world) is None
    assert [world.receive().lost for _ in range(3)] == [1, 1, 1]


def test_a_worker_that_renews_before_its_heads_are_taken_back_keeps_them(world: World) -> None:
    """Timeline: a sweep finds the lease over, and is lost itself; the worker wakes, and renews."""
    world.idle_sweeps(TTL_MS)
    ticket = world.run("a")
    world.idle_sweeps(TTL_MS)
    advance, world.gate.reclaim = world.gate.reclaim, lambda *_, **__: 0  # type: ignore[method-assign]
    world.sweep(owner="w2")
    assert lease(world) is None
    assert world.gate.renew(W1, [ticket]) == []
    world.gate.reclaim = advance  # type: ignore[method-assign]
    world.tick(CLAIM_MS)
    assert world.sweep(owner="w2").reclaimed == 0
    assert not world.finish(ticket).stale


def test_a_run_that_its_worker_has_forgotten_goes_back_to_its_group(world: World) -> None:
    kept, forgotten = world.run("a", "A"), world.run("b", "B")
    world.tick(TTL_MS - 1)
    assert world.gate.renew(W1, [kept]) == []
    assert world.queued() == [], "its begin may not have been heard yet"
    world.tick(1)
    assert world.gate.renew(W1, [kept]) == []
    assert (world.queued(), world.receive().lost) == (["b"], 1)
    assert world.finish(forgotten, "B").stale and not world.finish(kept, "A").stale


def test_a_run_in_a_slot_that_is_named_is_not_forgotten(world: World) -> None:
    """Timeline: an end takes a task, and its answer is late: the worker names the lane, and the run before."""
    before = world.run("a", "A")
    world.park("b", "B")
    world.finish(before, "A", take="lists", lists=world.lists("q"))
    world.tick(2 * TTL_MS)
    assert world.gate.renew(W1, [before]) == [before]
    assert world.queued() == []


def test_a_run_that_was_in_another_slot_before_is_not_forgotten(world: World) -> None:
    """Timeline: a run goes back to its group, the worker begins it again in another lane, and nobody uses the first."""
    before = world.run("a")
    world.gate.surrender([(before, False)])
    now = world.begin(world.receive())
    assert now is not None and now.lane != before.lane
    world.tick(2 * TTL_MS)
    assert world.gate.renew(W1, [now]) == []
    assert world.queued() == [] and not world.finish(now).stale


def test_a_worker_that_leaves_gives_back_what_it_has(world: World) -> None:
    world.run("a", "A")
    world.gate.leave(W1, world.lists("q"))
    assert (world.queued(), world.receive().lost) == (["a"], 0)
    assert lease(world) is None and not world.redis.exists(world.keys.runs(W1))


def test_the_answers_of_a_lost_worker_are_kept(world: World) -> None:
    world.idle_sweeps(TTL_MS)
    call = world.finishing(world.run("a", "A"), "A")
    done = world.gate.finish(call)
    world.idle_sweeps(2 * TTL_MS)
    assert lease(world) is None
    assert world.gate.finish(call) == done, "it lives, and asks again"


@pytest.mark.parametrize("how", ["told by a renewal", "taken back"])
def test_a_run_whose_end_was_lost_is_found_though_its_lane_is_used_again(world: World, how: str) -> None:
    """Timeline: a run ends; Redis loses that, as a replica that takes over; the worker uses its lane again."""
    world.idle_sweeps(TTL_MS)
    before = world.run("a", "A")
    copy = copied(world.redis)
    world.finish(before, "A")
    put_back(world.redis, copy)
    world.park("b", "B")
    ticket = world.pop()
    assert ticket is not None
    again = world.gate.begin(ticket_of(ticket)._replace(lane=before.lane), W1)
    assert again is not None
    if how == "taken back":
        world.idle_sweeps(TTL_MS)
        assert world.sweep(world.lists("q"), owner="w2").reclaimed == 2
        assert sorted(world.queued()) == ["a", "b"]
        return
    world.tick(TTL_MS - 1)
    assert world.gate.renew(W1, [again]) == [] and world.queued() == []
    world.tick(1)
    assert world.gate.renew(W1, [again]) == []
    assert world.queued() == ["a"], "its group goes on"
    begun = world.begin(world.receive(), "w2")
    assert begun is not None and begun.fence > before.fence
    world.tick(2 * TTL_MS)
    assert world.gate.renew(W1, [again]) == [] and not world.finish(again, "B").stale
    assert not world.finish(begun, "A", owner="w2").stale and world.residue() == {}


def test_a_lane_whose_run_is_over_leaves_no_words(world: World) -> None:
    for number in range(5):
        ended = world.run(f"a{number}", "A")
        world.finish(ended, "A")
        assert world.redis.hlen(world.keys.runs(W1)) <= number + 1
    copy = world.redis.hgetall(world.keys.runs(W1))
    world.park("b", "B")
    text = world.pop()
    assert text is not None and world.gate.begin(ticket_of(text)._replace(lane=ended.lane), W1)
    assert world.redis.hgetall(world.keys.runs(W1)).keys() == copy.keys()
