"""Fences: one for each start, drawn when it begins. They grow in each group, also when Redis loses its last writes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.recovery import GRACE_MS
from tests.support.snapshot import copied, put_back
from tests.support.world import TTL_MS, World, ticket_of

#: Starts the task "a" of group A once more, as often as it is called, and returns its fence.
Start = Callable[[], int]


def _by_a_begin(world: World) -> Start:
    world.park("a", "A")

    def start() -> int:
        begun = world.begin(world.receive())
        assert begun is not None and begun.id == "a"
        return begun.fence

    return start


def _by_a_finish(take: str, key: str) -> Callable[[World], Start]:
    def prepare(world: World) -> Start:
        before = world.run("before", key)
        world.park("a", "A")

        def start() -> int:
            done = world.finish(before, key, take=take, lists=world.lists("q"))
            assert ticket_of(done.taken or b"").id == "a"
            return done.fence

        return start

    return prepare


STARTS = {
    "begin": _by_a_begin,
    "next of the lists": _by_a_finish("lists", "B"),
    "own, as the lists are empty": _by_a_finish("lists", "A"),
    "own": _by_a_finish("own", "A"),
}


@pytest.mark.parametrize("prepare", STARTS.values(), ids=STARTS)
def test_a_start_that_redis_has_lost_is_made_again_under_a_higher_fence(
    world: World, prepare: Callable[[World], Start]
) -> None:
    """Timeline: the task starts; Redis loses that, and keeps all that was before; the task starts again."""
    start = prepare(world)
    world.tick(5)
    before = copied(world.redis)
    fences = []
    for _ in range(4):
        fences.append(start())
        put_back(world.redis, before)
        world.tick(1)
    assert fences == sorted(set(fences))


def test_the_run_of_a_lost_start_holds_nothing(world: World) -> None:
    """Its ticket has begun twice: its end, its renewal and its return are told from those of the second run."""
    world.park("a")
    before = copied(world.redis)
    ticket = world.receive()
    first = world.begin(ticket, "w1")
    put_back(world.redis, before)
    assert first is not None and world.finish(first).stale
    world.tick(1)
    second = world.begin(world.receive(), "w2")
    assert second is not None and second.release == first.release
    assert world.finish(first).stale and world.fail(first).stale
    assert world.gate.renew(quote("w1"), [first, second]) == [first]
    assert world.gate.lease(first) is None
    world.gate.surrender([(first, True)], world.lists("q"))
    assert world.queued() == [] and not world.finish(second, owner="w2").stale


@pytest.mark.parametrize("take", ["lists", "own", "none"])
def test_fences_grow_in_each_group_when_an_older_copy_takes_over(world: World, take: str) -> None:
    """Timeline: heads are released; a copy is made; their groups run on; the copy takes over, with the old tickets."""
    groups = [f"g{number}" for number in range(30)]
    for task in range(4):
        for group in groups:
            world.park(f"{group}-{task}", group)
    fences: dict[str, list[int]] = {group: [] for group in groups}
    world.tick(10)
    for copy in (copied(world.redis), None):
        for _ in range(60 if copy else 120):
            world.tick(1)
            _run_on(world, take, fences)
        if copy is not None:
            put_back(world.redis, copy)
    for found in fences.values():
        assert len(found) > 4, "each group has tasks that ran twice"
        assert all(earlier < later for earlier, later in pairwise(found)), found
    assert world.residue() == {}


def _run_on(world: World, take: str, fences: dict[str, list[int]]) -> None:
    """A worker takes a ticket, runs its task, and what comes with the ends of two runs."""
    message = world.pop()
    run = world.begin(ticket_of(message)) if message else None
    for left in (2, 1, 0):
        if run is None:
            break
        key = run.id.partition("-")[0]
        fences[key].append(run.fence)
        done = world.finish(run, key, take=take if left else "none", lists=world.lists("q"))
        run = ticket_of(done.taken).begun(done.fence)._replace(lane=run.lane) if done.taken else None


def test_a_begin_that_is_repeated_has_the_same_fence(world: World) -> None:
    world.park("a")
    ticket, call = world.receive(), world.gate.call_name()
    first = world.begin(ticket, "w1", call)
    world.tick(1000)
    assert first is not None and first.fence
    assert world.begin(ticket, "w1", call) == first, "its answer was lost"
    assert world.begin(ticket, "w1", world.gate.call_name()) is None, "a doubled delivery"
    assert world.begin(ticket, "w2", call) is None, "another worker"


@pytest.mark.parametrize("prepare", [STARTS["next of the lists"], STARTS["own"]], ids=["lists", "own"])
def test_a_finish_that_is_repeated_gives_the_same_fence(world: World, prepare: Callable[[World], Start]) -> None:
    world.gate.call_name = lambda: "same"  # type: ignore[method-assign]
    start = prepare(world)
    first = start()
    world.tick(1000)
    assert start() == first


def test_a_release_draws_no_fence(world: World) -> None:
    world.park("a")
    assert world.receive().fence == 0
    assert world.group().flights[0].fence == 0


def _surrendered(world: World, ticket: Ticket) -> None:
    world.gate.surrender([(ticket, False)], world.lists("q"))


def _retried(world: World, ticket: Ticket) -> None:
    world.hold(ticket, 0, lists=world.lists("q"))


def _reclaimed(world: World, ticket: Ticket) -> None:
    world.idle_sweeps(2 * TTL_MS)
    world.sweep(world.lists("q"))


def _blocked(world: World, ticket: Ticket) -> None:
    world.fail(ticket)
    Groups(world.app, world.gate).retry("g")


@pytest.mark.parametrize("release", [_surrendered, _retried, _reclaimed, _blocked])
def test_the_ticket_of_a_run_is_stale_after_the_next_release(
    world: World, release: Callable[[World, Ticket], None]
) -> None:
    old = world.run("a")
    release(world, old)
    new = world.receive()
    assert new.release > old.fence > old.release
    assert world.begin(old) is None
    begun = world.begin(new)
    assert begun is not None and begun.fence > new.release
    assert world.begin(old) is None


def _rereleased(world: World) -> None:
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 1


def _paused(world: World) -> None:
    groups = Groups(world.app, world.gate)
    groups.pause("g")
    groups.resume("g")


def _revoked(world: World) -> None:
    """The clock is set back meanwhile, to the very time of the first park."""
    world.gate.revoke("a")
    world.park("a")


@pytest.mark.parametrize("release", [_rereleased, _paused, _revoked])
def test_a_ticket_on_its_way_is_stale_after_the_next_release(world: World, release: Callable[[World], None]) -> None:
    world.park("a")
    old = world.receive()
    release(world)
    new = world.receive()
    assert new.id == "a" and new.release > old.release
    assert world.begin(old) is None and world.begin(new)


@pytest.mark.parametrize("prepare", [STARTS["begin"], STARTS["next of the lists"]], ids=["begin", "lists"])
def test_a_begin_tells_nothing_of_heads_that_were_released_later(
    world: World, prepare: Callable[[World], Start]
) -> None:
    """Lost tickets are found by the order of the releases: a fence is of the time of the begin."""
    start = prepare(world)
    world.tick(1)
    world.park("later", "L")
    world.tick(1)
    start()
    assert world.queued() == ["later"]
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 0, "it stands in its list"


def test_a_run_whose_begin_is_not_answered_is_renewed_by_the_name_of_the_call(world: World) -> None:
    world.park("a")
    ticket, call = world.receive(), world.gate.call_name()
    world.gate.fences = None
    assert world.gate.renew(quote("w1"), [ticket], {ticket: call}) == [ticket], "not begun yet"
    begun = world.begin(ticket, "w1", call)
    world.tick(20_000)
    assert world.gate.renew(quote("w1"), [ticket], {ticket: "another"}) == [ticket]
    assert world.gate.renew(quote("w1"), [ticket]) == [ticket]
    assert begun is not None
    assert world.gate.renew(quote("w1"), [ticket], {ticket: call}) == []
    assert world.gate.lease(begun) == TTL_MS / 1000
