"""Calls with an order value: each waits in its window, and those with lower values join the line before it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celery_groupfifo import Groups
from celery_groupfifo.errors import GroupFull
from celery_groupfifo.gate.keys import due_score, quote
from celery_groupfifo.gate.model import Bound, Dedup
from celery_groupfifo.groups import operate, purge
from celery_groupfifo.sending.telling import Teller
from celery_groupfifo.settings import Overflow
from tests.support.world import START_MS, World, make_entry

WINDOW = 5000
#: Windows for which a mark is kept.
MARKED = 10


def park(world: World, *orders: int, dedup: Dedup | None = None) -> None:
    """Park entries that are named by their values, a second after each other."""
    for order in orders:
        world.park(str(order), delay=WINDOW, order=order, dedup=dedup)
        world.tick(1000)


def forget(world: World) -> None:
    """Let the mark of the group be forgotten."""
    world.tick(MARKED * WINDOW)
    world.sweep()


def run_all(world: World) -> list[str]:
    """Run everything of the group; the order of the runs."""
    ran: list[str] = []
    while message := world.pop():
        world.redis.rpush("q", message)
        ticket = world.begin(world.receive())
        assert ticket is not None
        ran.append(ticket.id)
        world.finish(ticket)
    return ran


def verified(world: World) -> None:
    assert list(Groups(world.app, world.gate).verify()) == []


def test_what_waits_at_the_same_time_is_sorted(world: World) -> None:
    park(world, 3, 1, 2)
    assert (world.queued(), world.waiting(), world.depth(), world.group().aside) == ([], [], 3, 3)
    verified(world)
    world.tick(WINDOW - 3001)
    assert world.sweep().next_due == 0.001
    assert world.queued() == []
    world.tick(1)
    world.sweep()
    assert (world.queued(), world.waiting()) == (["1"], ["2", "3"])
    assert world.group().aside == 0
    verified(world)
    assert run_all(world) == ["1", "2", "3"]
    forget(world)
    assert (world.residue(), world.stat("tasks_late")) == ({}, 0)


def test_one_with_a_higher_value_waits_its_own_window(world: World) -> None:
    park(world, 1, 9, 5)
    world.tick(WINDOW - 3000)
    world.sweep()
    assert (world.queued(), world.waiting(), world.depth()) == (["1"], [], 3)
    world.tick(1000)
    world.sweep()
    assert (world.waiting(), world.depth()) == (["5", "9"], 3)


def test_values_are_compared_as_numbers_however_great(world: World) -> None:
    park(world, 2**63 + 1, 2**63, 10, 9, -1, -10)
    world.tick(WINDOW)
    world.sweep()
    assert run_all(world) == ["-10", "-1", "9", "10", str(2**63), str(2**63 + 1)]


def test_equal_values_join_in_the_order_of_parking(world: World) -> None:
    for id in "zay":  # within one microsecond
        world.park(id, delay=WINDOW, order=7)
    world.tick(WINDOW)
    world.sweep()
    assert run_all(world) == ["z", "a", "y"]


def test_late_ones_are_sorted_among_themselves_and_counted(world: World) -> None:
    park(world, 10)
    world.tick(WINDOW)
    world.sweep()
    park(world, 3, 2, 12)
    assert world.stat("tasks_late") == 0, "not before they join"
    world.tick(WINDOW)
    world.sweep()
    assert run_all(world) == ["10", "2", "3", "12"]
    assert world.stat("tasks_late") == 2


def test_a_revoked_one_was_not_late(world: World) -> None:
    park(world, 10)
    world.tick(WINDOW)
    world.sweep()
    park(world, 3)
    world.gate.revoke("3")
    world.tick(WINDOW)
    world.sweep()
    assert (run_all(world), world.stat("tasks_late")) == (["10"], 0)


def test_a_late_one_is_counted_after_its_group_has_ended(world: World) -> None:
    for seconds in (MARKED - 2, MARKED):
        park(world, 10)
        world.tick(WINDOW)
        world.sweep()
        assert run_all(world) == ["10"] and world.group().flags == ""
        world.tick(seconds * WINDOW)
        world.sweep()
        park(world, 5)
        world.tick(WINDOW)
        world.sweep()
        assert run_all(world) == ["5"]
        forget(world)
    assert (world.stat("tasks_late"), world.residue()) == (1, {})


def test_one_value_far_ahead_does_not_stop_the_sorting(world: World) -> None:
    park(world, 10**12)
    world.tick(WINDOW)
    world.sweep()
    park(world, 2, 1)
    world.tick(WINDOW)
    world.sweep()
    assert run_all(world)[1:] == ["1", "2"]
    world.tick(MARKED * WINDOW - WINDOW)
    world.sweep()
    assert world.orders() == {}, "late ones do not keep the mark"


def test_a_running_head_is_nobodys_concern(world: World) -> None:
    ticket = world.run("a")
    park(world, 2, 1)
    world.park("plain")
    world.tick(WINDOW)
    world.sweep()
    assert world.waiting() == ["plain", "1", "2"]
    world.finish(ticket)
    assert world.queued() == ["plain"]


def test_groups_do_not_see_each_other(world: World) -> None:
    for key in ("g", "g1", "g 1", "f"):
        world.park(f"{key}5".replace(" ", "_"), key, delay=WINDOW, order=5)
        world.tick(1)
    world.park("g3", "g", delay=2 * WINDOW, order=3)
    world.tick(WINDOW - 4)
    world.sweep()
    assert (world.queued(), world.waiting("g")) == (["g3"], ["g5"])
    assert [world.waiting(key) for key in ("g1", "g 1", "f")] == [[], [], []]


def test_each_has_its_own_window(world: World) -> None:
    world.park("5", delay=1000, order=5)
    world.park("3", delay=60_000, order=3)
    world.park("7", delay=500, order=7)
    world.tick(500)
    world.sweep()
    assert run_all(world) == ["3", "5", "7"]


def test_more_than_one_call_moves_join_in_order_all_the_same(world: World) -> None:
    many = 1203
    for order in range(many, 0, -1):
        world.park(str(order), delay=WINDOW, order=order)
    world.tick(WINDOW)
    world.park("late", delay=WINDOW, order=0)
    swept = world.sweep()
    while swept.next_due == 0:
        world.tick(1)
        swept = world.sweep()
    for _ in range(30):
        world.tick(3000)
        world.sweep()
    expected = ["late", *map(str, range(1, many + 1))]
    assert world.queued() + world.waiting() == expected and world.group().aside == 0
    verified(world)


@pytest.mark.parametrize("way", ["revoke", "purge", "exchange", "rename"])
def test_whatever_takes_one_out_leaves_nothing(world: World, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (operate, purge):
        monkeypatch.setattr(module, "tell_revoked", lambda *_: None)  # these messages are no tasks'
    monkeypatch.setattr(Teller, "tell", lambda *_: None)
    identity = Dedup("x") if way == "rename" else None
    park(world, 2, dedup=identity)
    park(world, 3, 1)
    if way == "revoke":
        world.gate.revoke("2")
    elif way == "purge":
        Groups(world.app, world.gate).purge("g")
    else:
        entry = make_entry(world.gate, "2" if way == "exchange" else "new", delay=WINDOW, order=99, dedup=identity)
        entry.on_duplicate = "replace"
        world.gate.park(entry, world.gate.number())
    verified(world)
    world.tick(WINDOW)
    world.sweep()
    ran = {"revoke": ["1", "3"], "purge": [], "exchange": ["1", "2", "3"], "rename": ["1", "new", "3"]}
    assert run_all(world) == ran[way], "an exchange keeps the value"
    forget(world)
    assert world.residue() == {}


def test_the_last_one_that_is_revoked_leaves_nothing_at_all(world: World) -> None:
    park(world, 2)
    world.gate.revoke("2")
    assert world.residue() == {}


def test_depth_bounds_count_those_in_windows_and_never_drop_them(world: World) -> None:
    park(world, 2, 1)
    overflow: Overflow
    for overflow in ("raise", "drop_oldest"):
        entry = make_entry(world.gate, "3", delay=WINDOW, order=3, bound=Bound(2, overflow))
        with pytest.raises(GroupFull):
            world.gate.park(entry, world.gate.number())
    world.tick(WINDOW)
    world.sweep()
    entry = make_entry(world.gate, "3", delay=WINDOW, order=3, bound=Bound(1, "drop_oldest"))
    assert world.gate.park(entry, world.gate.number())
    assert entry.dropped is not None and entry.dropped[0] == "2"
    verified(world)


def test_a_duplicate_is_not_sorted_twice(world: World) -> None:
    park(world, 2)
    assert not world.park("2", delay=WINDOW, order=1)
    world.tick(WINDOW)
    world.sweep()
    assert run_all(world) == ["2"]
    forget(world)
    assert world.residue() == {}


def test_a_repeated_park_waits_once(world: World) -> None:
    entry, number = make_entry(world.gate, "a", delay=WINDOW, order=1), world.gate.number()
    assert world.gate.park(entry, number) and world.gate.park(entry, number)
    assert (world.group().aside, world.depth()) == (1, 1)
    world.gate.revoke("a")
    assert world.gate.park(entry, number), "its end is no reason to park it again"
    assert world.residue() == {}


def test_a_repeated_advance_moves_once(world: World) -> None:
    park(world, 2, 1)
    world.tick(WINDOW)
    for _ in range(2):
        world.gate._advance(world.keys, [("e g 2", quote("g"))], world.lists("q"))
    assert run_all(world) == ["1", "2"]


@pytest.mark.parametrize("flag", ["pause", "drain"])
def test_a_flag_of_its_group_keeps_the_order(world: World, flag: str) -> None:
    groups = Groups(world.app, world.gate)
    park(world, 2, 1)
    getattr(groups, flag)("g")
    world.tick(WINDOW)
    world.sweep()
    if flag == "pause":
        assert (world.queued(), world.waiting()) == ([], ["1", "2"])
        groups.resume("g")
    assert run_all(world) == ["1", "2"]
    forget(world)
    assert world.residue() == {}, "a drained group takes tasks again"


def test_what_is_cut_off_is_in_line(world: World) -> None:
    ticket = world.run("a")
    park(world, 2)
    world.park("b")
    world.fail(ticket, policy="cancel_rest")
    assert [id for id, _ in world.sweep().cancelled] == ["b"]
    world.tick(WINDOW)
    world.sweep()
    assert run_all(world) == ["2"]


@pytest.mark.parametrize("rejoins", [False, True])
def test_a_retry_is_not_sorted_again(world: World, rejoins: bool) -> None:
    park(world, 2)
    world.tick(WINDOW)
    world.sweep()
    ticket = world.begin(world.receive())
    assert ticket is not None
    park(world, 1)
    world.hold(ticket, 1000, rejoins=rejoins)
    world.tick(1000)
    world.sweep()
    assert world.queued() == ["2"]


def test_one_that_cannot_be_read_goes_to_the_dead_letters(world: World) -> None:
    park(world, 3, 1, 2)
    world.redis.hset(world.keys.entries, "1", "nonsense")
    world.tick(WINDOW)
    world.sweep()
    assert run_all(world) == ["2", "3"]
    assert [of[1:] for of, _ in world.dead()] == [["1", "corrupt"]]
    forget(world)
    world.redis.delete(world.keys.dead)
    assert world.residue() == {}


def test_a_lost_entry_is_passed_over(world: World) -> None:
    park(world, 3, 1, 2)
    world.redis.hdel(world.keys.entries, "1")
    world.tick(WINDOW)
    world.sweep()
    assert run_all(world) == ["2", "3"]
    forget(world)
    assert world.orders() == {} and not world.redis.zcount(world.keys.due, due_score("s", 0), "+inf")


def test_the_watching_worker_is_rung_for_the_first_window(world: World) -> None:
    park(world, 5)
    assert world.redis.llen(world.keys.wake) == 1
    assert world.sweep().next_due == (WINDOW - 1000) / 1000
    assert world.now > START_MS


#: When each call was made by its producer, in its order; how long it is on its way; when anybody sweeps.
MADE = st.lists(st.integers(0, 20_000), min_size=2, max_size=7)
PAUSES = st.lists(st.integers(900, 9000), min_size=1, max_size=4)


def arrive(world: World, made: list[int], delays: list[int], pauses: list[int]) -> tuple[list[str], int]:
    """Park calls whose values are the times when they were made, with sweeps between. The order, and the late ones."""
    world.redis.flushdb()
    arrivals = sorted((at + delay, at, number) for number, (at, delay) in enumerate(zip(made, delays, strict=True)))
    start, sweeps = world.now, 0
    while arrivals or world.group().aside:
        next_sweep = world.now + pauses[sweeps % len(pauses)]
        sweeps += 1
        while arrivals and start + arrivals[0][0] <= next_sweep:
            at, value, number = arrivals.pop(0)
            world.tick(start + at - world.now)
            world.park(f"{value}-{number}", delay=WINDOW, order=value)
        world.tick(next_sweep - world.now)
        world.sweep(world.lists("q"))
    return run_all(world), world.stat("tasks_late")


def values_of(ids: list[str]) -> list[int]:
    return [int(id.partition("-")[0]) for id in ids]


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(made=MADE, delays=st.lists(st.integers(0, WINDOW - 1), min_size=7, max_size=7), pauses=PAUSES)
def test_calls_that_come_within_the_window_run_in_order(
    world: World, made: list[int], delays: list[int], pauses: list[int]
) -> None:
    ran, late = arrive(world, made, delays[: len(made)], pauses)
    assert (values_of(ran), late) == (sorted(made), 0)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(made=MADE, delays=st.lists(st.integers(0, 5 * WINDOW), min_size=7, max_size=7), pauses=PAUSES)
def test_of_those_that_come_after_it_none_is_lost_and_each_is_counted(
    world: World, made: list[int], delays: list[int], pauses: list[int]
) -> None:
    ran, late = arrive(world, made, delays[: len(made)], pauses)
    values = values_of(ran)
    assert sorted(values) == sorted(made)
    assert late == sum(value < max(values[:at]) for at, value in enumerate(values) if at)
