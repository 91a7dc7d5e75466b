"""The circuit breaker of a group: final failures in a window halt it for a time, and then a probe decides."""

from __future__ import annotations

import json

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.windows import Breaker
from tests.support.stored import stored
from tests.support.world import World

BREAKER = Breaker(3, 60_000, 5000)


def end(world: World, id: str, good: bool = False, policy: str = "continue", breaker: Breaker = BREAKER) -> bool:
    """Begin the next task, which is this one, and let it end. Returns whether its group halts."""
    begun = world.begin(world.receive())
    assert begun is not None and begun.id == id
    lists = world.lists("q")
    if good:
        return world.finish(begun, lists=lists).blocked
    return world.fail(begun, policy=policy, breaker=breaker, lists=lists).blocked


def later(world: World, ms: int) -> None:
    world.tick(ms)
    world.sweep(world.lists("q"))


@pytest.fixture
def line(world: World) -> None:
    for number in range(1, 9):
        world.park(str(number))


@pytest.fixture
def opened(world: World, line: None) -> None:
    """1, 2 and 3 have failed, and 3 halts the group."""
    assert [end(world, id) for id in "123"] == [False, False, True]


def test_it_opens_for_a_time(world: World, groups: Groups, opened: None) -> None:
    assert (groups.get("g").state, world.queued(), world.depth()) == ("blocked", [], 6)
    later(world, 4999)
    assert world.queued() == []
    later(world, 1)
    assert (world.queued(), groups.find("3")) == (["4"], None)
    assert groups.verify() == []


def test_it_is_explained(world: World, groups: Groups, opened: None) -> None:
    group = groups.get("g")
    assert (group.breaker, group.reason) == ("3 final failures within 60 s", "ValueError: boom")
    said = groups.explain("g", ask_workers=False)
    assert (
        "ValueError: boom. Its circuit breaker is open (3 final failures within 60 s, or a failed probe), and the next "
        "run is a probe. 5 tasks wait behind it. It goes on after retry, skip or drop, or by itself"
    ) in said


def test_a_failed_probe_opens_it_again(world: World, groups: Groups, opened: None) -> None:
    for probe in "45":
        later(world, 5000)
        assert end(world, probe)
        assert groups.get("g").state == "blocked"


def test_a_good_probe_closes_it(world: World, groups: Groups, opened: None) -> None:
    later(world, 5000)
    assert not end(world, "4", good=True)
    assert [end(world, id) for id in "567"] == [False, False, True], "it counts from 0"


def test_a_retry_of_the_probe_decides_nothing(world: World, groups: Groups, opened: None) -> None:
    later(world, 5000)
    begun = world.begin(world.receive())
    assert begun is not None
    world.hold(begun, 0)
    assert end(world, "4")


def test_what_failed_before_the_window_does_not_count(world: World, line: None) -> None:
    assert [end(world, id) for id in "12"] == [False, False]
    later(world, 60_001)
    assert [end(world, id) for id in "345"] == [False, False, True]


def test_good_ends_between_do_not_close_the_window(world: World, line: None) -> None:
    assert [end(world, "1"), end(world, "2", good=True), end(world, "3"), end(world, "4")] == [
        False,
        False,
        False,
        True,
    ]


def test_other_groups_have_their_own(world: World, groups: Groups, opened: None) -> None:
    begun = world.run("a", "other")
    assert not world.fail(begun, "other", "continue", breaker=BREAKER).blocked


def test_a_repeated_failure_counts_once(world: World, line: None) -> None:
    begun = world.begin(world.receive())
    assert begun is not None
    call = world.failing(begun, policy="continue", breaker=Breaker(2, 60_000, 5000), lists=world.lists("q"))
    for _ in range(3):
        assert not world.gate.finish(call).blocked
    call = world.failing(world.begin(world.receive()) or begun, policy="continue", breaker=Breaker(2, 60_000, 5000))
    assert [world.gate.finish(call).blocked for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("act", ["retry", "skip", "drop"])
def test_an_operator_lets_the_probe_run_at_once(world: World, groups: Groups, opened: None, act: str) -> None:
    getattr(groups, act)("g", **({} if act == "retry" else {"expected": "3"}))
    assert end(world, "3" if act == "retry" else "4"), "its failure opens the breaker again"


def test_a_dead_letter_is_kept_of_the_one_that_opens_it(world: World, groups: Groups, line: None) -> None:
    for id in "123":
        end(world, id, policy="dead_letter")
    assert [letter.id for letter in groups.dead_letters()] == ["2", "1"]
    later(world, 5000)
    assert [(letter.id, letter.cause, letter.exception) for letter in groups.dead_letters()] == [
        (id, "failed", "ValueError: boom") for id in "321"
    ]
    assert world.queued() == ["4"]
    groups.redrive("3", to="tail")
    assert not end(world, "4", good=True)


def test_the_rest_is_cancelled_and_the_group_halts(world: World, groups: Groups, line: None) -> None:
    assert end(world, "1", policy="cancel_rest", breaker=Breaker(1, 60_000, 5000))
    world.park("new")
    world.sweep(world.lists("q"))
    assert (world.queued(), world.waiting(), world.depth()) == ([], ["new"], 2)
    later(world, 5000)
    assert world.queued() == ["new"]


def test_it_ends_with_the_group(world: World, groups: Groups) -> None:
    assert world.fail(world.run("1"), policy="continue", breaker=Breaker(1, 60_000, 5000)).blocked
    later(world, 5000)
    assert world.residue() == {}


def test_the_window_ends_by_itself(world: World, line: None) -> None:
    end(world, "1")
    key = world.keys.failures("g")  # type: ignore[arg-type]
    assert stored(world.redis.get(key)).decode() == str(world.now)
    assert 0 < world.redis.pttl(key) <= BREAKER.window


def test_a_flag_names_the_breaker(world: World, opened: None) -> None:
    flag = json.loads(stored(world.redis.hget(world.keys.flags, "b g")))
    assert (flag["broken"], flag["breaker"], flag["task_id"]) == (True, "3 final failures within 60 s", "3")
