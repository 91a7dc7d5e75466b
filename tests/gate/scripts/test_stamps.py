"""The stamp of a partition: who may use what is stored there, and what a change of it does to those that may not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Ignore

from celery_groupfifo import Groups
from celery_groupfifo.errors import GateUnavailable, GroupFifoError, UnsupportedState, WrongState
from celery_groupfifo.gate import stamps
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.partitions import change_partitions
from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.gate.stamps import own_release
from celery_groupfifo.gate.store import Store
from celery_groupfifo.worker import trace
from tests.gate.scripted import CASES, Case
from tests.support.stored import stored
from tests.support.world import World, make_entry


def begin_edition(world: World, version: int = 2) -> None:
    """Let a later release take the state over, as its first call does."""
    world.gate.store.meet()
    keys = world.keys.in_edition(2)
    stamp = f"2 {version} 1 9.9.9"
    done = world.gate.store.run("stamp", keys, [keys.stamp, *world.keys.base], [world.keys.stamped, stamp, 0, ""])
    assert done == 1


def everything(world: World) -> dict[Any, Any]:
    return {key: world.redis.dump(key) for key in world.redis.scan_iter(count=1000)}


@pytest.mark.parametrize("case", [case for case in CASES if case.script[:7] not in ("stamp", "observe")], ids=str)
def test_a_script_of_an_older_release_changes_nothing(world: World, case: Case) -> None:
    call = case.prepare(world)
    begin_edition(world)
    before = everything(world)
    with pytest.raises(UnsupportedState, match=r"holds state of version 2, which celery-groupfifo 9\.9\.9 has written"):
        call()
    assert everything(world) == before


def test_a_late_result_of_an_older_release_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease can't be asked for any more, and by then the task was begun again."""
    ticket = world.run("a")
    monkeypatch.setattr(trace, "gate_of", lambda *args, **more: world.gate)
    guard = trace._Guard(ticket, "g", (0.0, 0.0))
    guard.check("The result is refused.")
    begin_edition(world)
    with pytest.raises(Ignore, match=r"The result is refused\. The lease of task a"):
        guard.check("The result is refused.")


# -- who may use it ---------------------------------------------------------------


def stamp_of(world: World) -> str:
    return stored(world.redis.get(world.keys.stamp)).decode()


def test_the_first_call_writes_the_stamp_and_later_ones_read_nothing(world: World) -> None:
    world.park("a")
    assert stamp_of(world) == f"1 {stamps.WRITES} 1 {own_release()}"
    before = world.redis.info("commandstats")
    world.park("b")
    after = world.redis.info("commandstats")
    assert after["cmdstat_evalsha"]["calls"] == before["cmdstat_evalsha"]["calls"] + 1
    assert after["cmdstat_get"] == before["cmdstat_get"]


def test_a_new_connection_reads_it_before_its_first_call(world: World) -> None:
    world.park("a")
    world.redis.set(world.keys.stamp, "1 7 1 9.9.9")
    world.gate.store.connections.drop(world.gate.store.connections.generation)
    with pytest.raises(UnsupportedState, match="version 7"):
        world.park("b")
    world.redis.set(world.keys.stamp, f"1 1 1 {own_release()}")
    assert world.park("b"), "it is read again, and the call was not made"
    assert world.waiting() == ["b"]


@pytest.mark.parametrize(
    ("stamp", "said"),
    [
        (
            "1 2 1 0.3.0",
            r"version 2, which celery-groupfifo 0\.3\.0 has written\. .* Update this process to 0\.3\.0 or newer",
        ),
        ("3 0 1 0.0.1", "version 0, .*Run a release first that reads version 0 and writes a newer one"),
        ("1 1 4 0.1.0", "has groupfifo_partitions = 4, and this process has 1: .*Set it to 4 here"),
        ("2 1 4>8 0.1.0", r"groupfifo_partitions is being changed \(4>8\)"),
        ("hello", "has a stamp that can't be read, b'hello'"),
        ("1 1 1", "has a stamp that can't be read"),
    ],
)
def test_what_may_not_be_used_is_refused_and_stays(world: World, stamp: str, said: str) -> None:
    world.redis.set(world.keys.stamp, stamp)
    before = everything(world)
    groups = Groups(world.app, world.gate)
    calls: dict[str, Callable[[], Any]] = {
        "park": lambda: world.park("a"),
        "sweep": world.sweep,
        "park_all": lambda: world.gate.park_all([make_entry(world.gate, "a")], world.gate.numbers(1)),
        "open": lambda: Pipelined.open(world.gate.store, ["begin"]),
        "meet": world.gate.store.meet,
        "list": groups.list,
        "get": lambda: groups.get("g"),
        "stats": groups.stats,
        "verify": groups.verify,
        "pause": lambda: groups.pause("g"),
    }
    for name, call in calls.items():
        with pytest.raises(UnsupportedState, match=said):
            pytest.fail(f"{name}: {call()}")
    assert everything(world) == before


def test_a_reader_of_an_empty_gate_writes_nothing(world: World) -> None:
    assert Groups(world.app, world.gate).list() == []
    assert everything(world) == {}


def test_after_all_data_was_lost_a_sweep_writes_the_stamp_again(world: World) -> None:
    world.park("a")
    before = stamp_of(world)
    world.redis.flushdb()
    world.park("a")
    world.sweep()
    assert stamp_of(world) == before


# -- editions ---------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in CASES if case.script[:7] not in ("stamp", "observe")], ids=str)
def test_a_release_that_reads_the_new_version_goes_on_in_its_edition(
    world: World, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = case.prepare(world)()
    world.redis.flushdb()
    again = World(world.url)
    call = case.prepare(again)
    monkeypatch.setattr(stamps, "READS", (1, 2))
    begin_edition(again)
    assert call() == expected
    assert again.keys.edition == 2 and not [key for key in again.keys.base if not key.endswith(".2")]
    again.close()


def test_a_release_that_writes_the_new_version_begins_its_edition(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = world.run("a")
    world.park("b")
    monkeypatch.setattr(stamps, "READS", (1, 2))
    monkeypatch.setattr(stamps, "WRITES", 2)
    new = World(world.url)
    new.park("c")
    assert stamp_of(world) == f"2 2 1 {own_release()}"
    assert world.redis.lrange(world.keys.base_of(1)[0], 0, -1) == [stamp_of(world).encode()]
    assert not world.finish(ticket).stale, "the old process goes on there"
    assert world.receive().id == "b" and world.waiting() == ["c"]
    new.close()


def test_both_names_of_a_key_are_never_merged(world: World) -> None:
    world.park("a")
    world.redis.hset(world.keys.base_of(2)[1], "x", "y")
    before = everything(world)
    with pytest.raises(GroupFifoError, match=r"both \{groupfifo:0\}:groups and \{groupfifo:0\}:groups\.2 exist"):
        begin_edition(world)
    assert everything(world) == before


# -- the number of partitions ---------------------------------------------------------


def gate_with(world: World, number: int) -> Gate:
    app = Celery("other", broker=world.url, set_as_current=False)
    app.conf.update(groupfifo_partitions=number)
    return build_gate(app, send=lambda queue, message: None)


def test_the_number_of_partitions_changes_when_the_gate_is_empty(world: World) -> None:
    ticket = world.run("a")
    more = gate_with(world, 3)
    with pytest.raises(WrongState, match="Partition groupfifo:0 of the gate holds tasks"):
        change_partitions(more, 3)
    assert not world.finish(ticket).stale
    before = int(world.redis.get(world.keys.fence) or 0)
    with pytest.raises(UnsupportedState, match="has groupfifo_partitions = 1, and this process has 3"):
        more.store.meet()
    world.redis.set(world.keys.fence, before + 10**12)  # as after a jump of the clock
    assert change_partitions(more, 3) == 1
    assert change_partitions(more, 3) is None
    with pytest.raises(UnsupportedState, match="has groupfifo_partitions = 3, and this process has 1"):
        world.park("b")
    for number in range(9):
        assert more.park(make_entry(more, f"t{number}", key=f"k{number}"), more.number())
    for keys in more.keyspace.partitions:
        assert int(world.redis.get(keys.fence) or 0) > before + 10**12, "no fence of a group may fall"
    more.store.close()


@pytest.mark.parametrize("at", range(5))
def test_a_change_that_was_broken_off_is_completed(world: World, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    two, three = gate_with(world, 2), gate_with(world, 3)
    two.store.meet()
    run, calls = Store.run, count()

    def broken(*args: Any) -> Any:
        if next(calls) == at:
            raise GateUnavailable("cut off")
        return run(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "run", broken)
        with pytest.raises(GateUnavailable):
            change_partitions(three, 3)
    change_partitions(three, 3)
    three.store.meet()
    with pytest.raises(UnsupportedState):
        gate_with(world, 2).store.meet()


def test_a_change_that_finds_a_task_late_is_taken_back(world: World) -> None:
    two = gate_with(world, 2)
    key = next(f"k{n}" for n in count() if two.keyspace.of_group(quote(f"k{n}")) is two.keyspace.partitions[1])
    two.park(make_entry(two, "a", key=key), two.number())
    with pytest.raises(WrongState, match="Partition groupfifo:1 of the gate holds tasks"):
        change_partitions(two, 5)
    assert two.park(make_entry(two, "b", key=key), two.number())
    for keys in two.keyspace.partitions:
        there = next(f"k{n}" for n in count() if two.keyspace.of_group(quote(f"k{n}")) is keys)
        assert two.park(make_entry(two, keys.tag, key=there), two.number())


def test_a_gate_of_which_everything_is_gone_is_empty(world: World) -> None:
    """Paused groups and dead letters hold up a change; once they are resumed and discarded, nothing does."""
    groups = Groups(world.app, world.gate)
    world.fail(world.run("a"), policy="dead_letter")
    with pytest.raises(WrongState):
        change_partitions(world.gate, 2)
    (letter,) = groups.dead_letters()
    groups.discard(letter.id)
    groups.pause("g")
    with pytest.raises(WrongState):
        change_partitions(world.gate, 2)
    groups.resume("g")
    assert change_partitions(world.gate, 2) == 1
