"""The number of partitions grows in use: a group is in one partition at a time, and keeps its order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import redis
from celery import Celery

from celery_groupfifo import Groups, InvalidSetting
from celery_groupfifo.errors import (
    GateUnavailable,
    GroupFifoError,
    InvalidGroupKey,
    UnsupportedState,
    WrongState,
)
from celery_groupfifo.gate.evaluator import Evaluator
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.growth import Growth, grow_partitions
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Dedup, Entry, Number, Ticket
from celery_groupfifo.gate.partitions import change_partitions
from celery_groupfifo.gate.stamps import own_release
from celery_groupfifo.gate.store import Store
from celery_groupfifo.sending.grouping import SeveralKeys
from celery_groupfifo.sending.several import check_several
from celery_groupfifo.settings import read_settings
from tests.support.stored import all_stored
from tests.support.world import World, make_entry

BEFORE, NUMBER = 2, 4


class Scene:
    """A gate that grows from two partitions to four, and processes with each of the three settings.

    Attributes:
        old: A process before the first step.
        both: One that knows both numbers.
    """

    def __init__(self, url: str) -> None:
        self._url, self._worlds = url, list[World]()
        self.old, self.both = self.world(BEFORE), self.world(NUMBER, BEFORE)
        self.redis: redis.Redis = self.both.redis
        names = (f"g{number}" for number in count())
        of = self.both.gate.keyspace
        #: Groups that leave partition 0 for partition 2.
        leaving = (name for name in names if of.of_group(quote(name)) is of.partitions[0] is not of.after(quote(name)))
        self.groups = [next(leaving) for _ in range(4)]
        self.staying = next(name for name in names if of.of_group(quote(name)) is of.after(quote(name)))

    def world(self, number: int, before: int | None = None) -> World:
        app = Celery("grows", broker=self._url, set_as_current=False)
        app.conf.update(groupfifo_partitions=number, groupfifo_partitions_before=before)
        self._worlds.append(World(self._url, app))
        return self._worlds[-1]

    def close(self) -> None:
        for world in self._worlds:
            world.close()

    def tick(self, ms: int) -> None:
        for world in self._worlds:
            world.tick(ms)

    def grow(self) -> Growth:
        return grow_partitions(self.both.gate)

    def places(self, group: str) -> list[int]:
        """The partitions that hold something of a group."""
        found = []
        for place, keys in enumerate(self.both.gate.keyspace.partitions):
            stamp = self.redis.get(keys.stamp)
            names = keys.in_edition(int(stamp.split(b" ")[0]) if isinstance(stamp, bytes) else 1)
            fields = all_stored(self.redis.hkeys(names.groups))
            for name in (names.flags, names.begins, names.dead):
                fields += [field for field in all_stored(self.redis.hkeys(name)) if b" " in field]
            words = {field.decode().partition(" ")[2].partition(" ")[0] or field.decode() for field in fields}
            found += [place] * (group in words)
        return found

    def again(self, world: World, entry: Entry, number: Number) -> None:
        """Repeat a park whose answer was lost."""
        world.gate.park(entry, number)
        world.gate._numbers._free.clear()  # it was given back before

    def run(self, group: str, expected: str | None = None) -> Ticket:
        """Begin what the broker has of a group."""
        ticket = self.both.receive(group)
        begun = self.both.begin(ticket)
        assert begun is not None and expected in (None, begun.id)
        return begun

    def park(self, id: str, group: str, world: World | None = None, **more: Any) -> bool:
        return (world or self.both).park(id, group, queue=group, **more)


@pytest.fixture
def scene(redis_url: str) -> Iterator[Scene]:
    made = Scene(redis_url)
    yield made
    made.close()


def test_a_group_leaves_when_it_has_run_empty_and_not_before(scene: Scene) -> None:
    live, idle, paused, _ = scene.groups
    scene.park("a", live)
    groups = Groups(scene.both.app, scene.both.gate)
    groups.pause(paused)
    scene.park("first", scene.staying)
    first = scene.run(live, "a")
    assert scene.grow() == Growth(BEFORE, NUMBER, 2, tuple(sorted([live, paused], key=scene.groups.index)))
    for id, group in (("b", live), ("i", idle), ("p", paused), ("second", scene.staying)):
        assert scene.park(id, group)
    assert [scene.places(each) for each in (live, idle, paused)] == [[0], [2], [0]]
    scene.both.finish(first, live)
    last = scene.run(live, "b")
    scene.both.finish(last, live)
    assert scene.park("c", live) and scene.places(live) == [2]
    assert scene.run(live, "c").fence > last.fence
    assert scene.grow().groups == (paused,)
    groups.resume(paused)
    scene.both.finish(scene.run(paused, "p"), paused)
    assert scene.grow() == Growth(BEFORE, NUMBER) and not scene.grow().news
    assert scene.park("d", live) and scene.park("q", paused) and scene.places(paused) == [2]
    new = scene.world(NUMBER)
    assert scene.park("e", live, new) and scene.places(live) == [2]


def state_of(groups: Groups, group: str) -> str:
    found = groups.get(group)
    assert found is not None
    return found.state


def _failed(scene: Scene, group: str, policy: str) -> None:
    scene.park("a", group)
    scene.both.fail(scene.run(group), group, policy)


def _held(scene: Scene, group: str) -> None:
    scene.park("a", group)
    scene.both.hold(scene.run(group), 5000, group, group)


def _rated(scene: Scene, group: str) -> None:
    scene.park("a", group, limits="l1/60000/0")
    scene.both.finish(scene.run(group), group)


def _sorted(scene: Scene, group: str) -> None:
    scene.park("a", group, delay=100, order=1)
    scene.tick(200)
    scene.both.sweep()
    scene.both.finish(scene.run(group), group)


def _limited(scene: Scene, group: str) -> None:
    Groups(scene.both.app, scene.both.gate).limit(group, rate="5/s")


@pytest.mark.parametrize(
    "holds",
    [
        pytest.param(lambda scene, group: scene.park("a", group), id="a head"),
        pytest.param(lambda scene, group: scene.park("a", group) and scene.run(group), id="a run"),
        pytest.param(lambda scene, group: scene.park("a", group, delay=5000), id="an ETA"),
        pytest.param(_held, id="a retry"),
        pytest.param(lambda scene, group: _failed(scene, group, "block"), id="a block"),
        pytest.param(lambda scene, group: _failed(scene, group, "dead_letter"), id="a dead letter"),
        pytest.param(lambda scene, group: Groups(scene.both.app, scene.both.gate).pause(group), id="a pause"),
        pytest.param(_limited, id="limits"),
        pytest.param(_rated, id="starts of a rate"),
        pytest.param(_sorted, id="a mark of a window"),
    ],
)
def test_what_a_group_has_holds_it(scene: Scene, holds: Callable[[Scene, str], object]) -> None:
    group = scene.groups[0]
    holds(scene, group)
    assert scene.grow().groups == (group,)
    assert scene.park("next", group) and scene.places(group) == [0]
    assert scene.both.gate.home(quote(group)) is scene.both.gate.keyspace.partitions[0]


def test_an_identity_that_still_counts_is_asked_where_it_is(scene: Scene) -> None:
    group = scene.groups[0]
    scene.park("a", group, dedup=Dedup("one", 5000))
    scene.both.finish(scene.run(group), group)
    assert scene.grow().groups == (group,)
    assert not scene.park("b", group, dedup=Dedup("one", 5000)), "it has ended, and counts"
    assert scene.park("c", group, dedup=Dedup("two", 5000)) and scene.places(group) == [0, 2]
    scene.both.finish(scene.run(group, "c"), group)
    entry, number = make_entry(scene.both.gate, "d", group, group, dedup=Dedup("one")), scene.both.gate.numbers(1)
    assert scene.both.gate.park_all([entry], number) == scene.both.gate.park_all([entry], number) == [False]
    scene.tick(6000)
    scene.both.sweep()
    assert scene.park("e", group, dedup=Dedup("one", 5000)) and scene.grow().left == 0


# -- calls that are repeated -------------------------------------------------------


def test_a_repeated_park_is_known_where_it_was_made(scene: Scene) -> None:
    """Timeline: it is parked, the answer is lost, the task runs and ends, the group leaves, the park is repeated."""
    group, other = scene.groups[:2]
    gate = scene.both.gate
    scene.park("x", group)
    scene.grow()
    entry, number = make_entry(gate, "a", group, group), gate.number()
    assert gate.park(entry, number)
    for id in ("x", "a"):
        scene.both.finish(scene.run(group, id), group)
    scene.again(scene.both, entry, number)
    assert scene.redis.llen(group) == 0 and scene.places(group) == []
    entry, number = make_entry(gate, "b", other, other), gate.number()
    assert gate.park(entry, number)
    scene.both.finish(scene.run(other, "b"), other)
    scene.again(scene.both, entry, number)
    assert scene.redis.llen(other) == 0 and scene.places(other) == []


@pytest.mark.parametrize("repeated", [1, 3])
def test_a_round_trip_of_many_that_broke_off_between_two_partitions(
    scene: Scene, repeated: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One group stays, and so the old partition knows the number of a call that it has not made."""
    gone, stays, also = scene.groups[:3]
    scene.park("x", stays)
    scene.grow()
    gate, run_all = scene.both.gate, Store.run_all
    some = [("a", gone), ("b", stays), ("c", also), ("d", gone), ("e", stays)]
    entries = [make_entry(gate, id, group, group) for id, group in some]
    numbers = gate.numbers_of(entries)

    def broken(self: Store, name: str, *args: Any) -> Any:
        if name == "home+park":
            raise GateUnavailable("cut off")
        return run_all(self, name, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "run_all", broken)
        for _ in range(repeated):
            with pytest.raises(GateUnavailable):
                gate.park_all(entries, numbers)
    assert gate.park_all(entries, numbers) == [True] * 5
    for group, ids in ((gone, "ad"), (stays, "xbe"), (also, "c")):
        for id in ids:
            scene.both.finish(scene.run(group, id), group)
    gate.park_all(entries, numbers)
    assert [scene.redis.llen(group) for group in (gone, stays, also)] == [0, 0, 0]


@pytest.mark.parametrize("heard", [False, True])
def test_of_a_round_trip_of_many_none_is_taken_for_another_in_a_partition_of_before(scene: Scene, heard: bool) -> None:
    """From two to three: a group arrives where a later call of the same round trip has been made already."""
    world = scene.world(3, BEFORE)
    gate, of = world.gate, world.gate.keyspace
    names = [f"g{number}" for number in range(100)]
    one = of.partitions[1]
    arrives = next(name for name in names if of.of_group(quote(name)) is not of.after(quote(name)) is one)
    stays = next(name for name in names if of.of_group(quote(name)) is of.after(quote(name)) is one)
    scene.park("x", stays, world)
    assert grow_partitions(build_gate(world.app)).left == 0
    if heard:
        scene.park("y", stays, world)
    entries = [make_entry(gate, "a", arrives, arrives), make_entry(gate, "b", stays, stays)]
    numbers = gate.numbers_of(entries)
    for _ in range(2):
        assert gate.park_all(entries, numbers) == [True, True]
    assert scene.redis.llen(arrives) == 1
    world.finish(world.begin(world.receive(arrives)) or pytest.fail("it is stale"), arrives)
    assert gate.park_all(entries, numbers) == [True, True] and scene.redis.llen(arrives) == 0


def test_a_pause_that_is_repeated_is_made_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    group, groups = scene.groups[0], Groups(scene.both.app, scene.both.gate)
    scene.grow()
    assert groups.pause(group) and scene.places(group) == [2]
    scene.park("a", group)
    assert scene.redis.llen(group) == 0 and state_of(groups, group) == "paused"
    assert groups.resume(group) and scene.run(group, "a")
    assert groups.limit(group, rate="5/s") and scene.places(group) == [2]
    assert groups.drain(group) and groups.purge(group) == 0
    with pytest.raises(GroupFifoError, match="can't be moved while groupfifo_partitions_before is set"):
        groups.move(group, scene.groups[1])


# -- processes ---------------------------------------------------------------------


def test_processes_of_each_setting_at_each_step(scene: Scene) -> None:
    group = scene.groups[0]
    new = scene.world(NUMBER)
    for number, world in enumerate((scene.old, scene.both) * 2):
        assert scene.park(f"t{number}", group, world), "they work side by side"
    assert scene.places(group) == [0]
    with pytest.raises(UnsupportedState, match="has groupfifo_partitions = 2, and this process has 4"):
        new.gate.store.meet()
    late = scene.world(NUMBER, BEFORE)
    late.gate.store.meet()
    scene.grow()
    with pytest.raises(UnsupportedState, match=r"grows from 2 to 4 partitions: set groupfifo_partitions = 4 and"):
        scene.park("o", group, scene.old)
    with pytest.raises(UnsupportedState, match=r"groupfifo_partitions_before = 2 here"):
        new.gate.store.meet()
    for number in range(4):
        late.finish(scene.run(group, f"t{number}"), group)
    assert scene.places(group) == []


@pytest.mark.parametrize("many", [False, True])
def test_a_process_that_has_not_heard_of_it_asks_all_the_same(scene: Scene, many: bool) -> None:
    """Its call has the names of the edition before."""
    group, gate = scene.groups[0], scene.both.gate
    scene.park("x", scene.groups[1])
    other = scene.world(NUMBER, BEFORE)
    grow_partitions(other.gate)
    assert not gate.keyspace.partitions[0].base.asks
    if many:
        entries = [make_entry(gate, id, group, group) for id in "ab"]
        assert gate.park_all(entries, gate.numbers_of(entries)) == [True, True]
    else:
        assert scene.park("a", group)
    assert scene.places(group) == [2] and scene.park("c", group, other) and scene.places(group) == [2]


def test_another_thread_has_read_the_stamp_meanwhile(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis refuses the call of a thread; before that looks at the stamp, another one has done it."""
    group, gate, call = scene.groups[0], scene.both.gate, Evaluator.call
    scene.park("x", scene.groups[1])
    grow_partitions(scene.world(NUMBER, BEFORE).gate)
    refused = count()

    def late(self: Evaluator, *args: Any) -> Any:
        try:
            return call(self, *args)
        except redis.ResponseError:
            if next(refused) == 0:
                gate.store.look_again(gate.keyspace.partitions[0])
            raise

    monkeypatch.setattr(Evaluator, "call", late)
    assert scene.park("a", group) and scene.places(group) == [2] and next(refused) == 1


def test_an_operator_of_a_process_that_has_not_heard_of_it_finds_the_group(scene: Scene) -> None:
    group, groups = scene.groups[0], Groups(scene.both.app, scene.both.gate)
    scene.park("x", scene.groups[1])
    assert groups.get(scene.groups[1])
    other = scene.world(NUMBER, BEFORE)
    grow_partitions(other.gate)
    for id in "ab":
        scene.park(id, group, other)
    assert not scene.both.gate.keyspace.partitions[0].base.asks
    assert groups.purge(group) == 2


def test_a_process_with_a_greater_number_stamps_no_partition_that_the_gate_does_not_have(scene: Scene) -> None:
    """Nothing says there that the number is another one."""
    group = scene.groups[0]
    scene.park("a", group, scene.old)
    with pytest.raises(UnsupportedState, match="has groupfifo_partitions = 2, and this process has 4"):
        scene.park("b", group, scene.world(NUMBER))
    assert scene.places(group) == [0]


def test_without_a_growth_nothing_is_asked(scene: Scene) -> None:
    """The commands are those of a process that knows one number, to the byte."""
    texts: list[dict[str, int]] = []
    for world in (scene.old, scene.both):
        for id in "xy":
            scene.park(id, scene.groups[0], world)
        before = scene.redis.info("commandstats")
        for id in "abc":
            scene.park(f"{id}{len(texts)}", scene.groups[0], world)
        after = scene.redis.info("commandstats")
        calls = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}
        texts.append({name: many for name, many in calls.items() if many})
    assert texts[0] == texts[1]


def test_a_stamp_that_a_failover_has_lost_is_written_again(scene: Scene) -> None:
    group, keys = scene.groups[0], scene.both.gate.keyspace.partitions[0]
    scene.grow()
    assert scene.park("a", group) and scene.places(group) == [2]
    for key in scene.redis.scan_iter(match=f"{{{keys.tag}}}:*"):
        scene.redis.delete(key)
    scene.redis.set(keys.stamp, f"1 1 2 {own_release()}")
    store = scene.both.gate.store
    store.connections.drop(store.connections.generation)
    assert scene.park("b", group) and scene.places(group) == [2]
    assert b" 4 " in (scene.redis.get(keys.stamp) or b"")


# -- several keys ------------------------------------------------------------------


def test_a_task_with_several_keys_waits_until_all_have_left(scene: Scene) -> None:
    one, two, three, _ = scene.groups
    scene.park("a", one)
    scene.grow()
    assert scene.park("b", two, others=[three]) and scene.places(two) == scene.places(three) == [2]
    entry, number = make_entry(scene.both.gate, "c", one, one, others=[two]), scene.both.gate.number()
    for _ in range(2):
        with pytest.raises(GateUnavailable, match="some have left for their new partition already"):
            scene.both.gate.park(entry, number)
    scene.both.finish(scene.run(one, "a"), one)
    assert scene.both.gate.park(entry, number) and scene.places(one) == scene.places(two) == [2]


def several(first: str, *others: str) -> SeveralKeys:
    key = SeveralKeys(first)
    key.others = others
    return key


def test_several_keys_need_one_partition_under_both_numbers(scene: Scene) -> None:
    of = scene.both.gate.keyspace
    one = scene.groups[0]
    apart = next(
        name
        for name in (f"h{number}" for number in count())
        if of.of_group(quote(name)) is of.partitions[0] is of.after(quote(name))
    )
    settings = read_settings(scene.both.app.conf)
    with pytest.raises(InvalidGroupKey, match="different partitions"):
        check_several(scene.both.app, None, "t", several(one, apart), {}, {}, settings)
    check_several(scene.both.app, None, "t", several(one, scene.groups[1]), {}, {}, settings)


# -- the growth itself ---------------------------------------------------------------


@pytest.mark.parametrize("at", range(9))
def test_a_growth_that_was_broken_off_goes_on(scene: Scene, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is stamped by then, a group is in one partition."""
    group, run, calls = scene.groups[0], Store.run, count()
    scene.park("a", group)
    scene.both.finish(scene.run(group, "a"), group)

    def broken(self: Store, name: str, *args: Any) -> Any:
        if name == "stamp" and next(calls) == at:
            raise GateUnavailable("cut off")
        return run(self, name, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "run", broken)
        if at < 8:
            with pytest.raises(GateUnavailable):
                scene.grow()
    assert scene.park("b", group) and len(scene.places(group)) == 1
    ticket = scene.run(group, "b")
    late = scene.world(NUMBER, BEFORE)
    assert scene.park("c", group, late) and len(scene.places(group)) == 1
    scene.both.finish(ticket, group)
    scene.both.finish(scene.run(group, "c"), group)
    assert scene.grow().left == 0
    scene.world(NUMBER).gate.store.meet()


def test_a_change_of_the_number_is_refused_once_a_growth_has_begun(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first partition comes last, so a growth that was broken off may not have reached it."""
    group, run, calls = scene.groups[0], Store.run, count()
    scene.old.gate.store.meet()
    scene.park("a", group)

    def broken(self: Store, name: str, *args: Any) -> Any:
        if name == "stamp" and next(calls) == NUMBER - 1:
            raise GateUnavailable("cut off")
        return run(self, name, *args)

    with monkeypatch.context() as patch, pytest.raises(GateUnavailable):
        patch.setattr(Store, "run", broken)
        scene.grow()
    with pytest.raises(WrongState, match="The gate grows from 2 to 4 partitions"):
        change_partitions(scene.old.gate, NUMBER)
    assert scene.grow().groups == (group,)


def test_what_can_not_grow_is_refused(scene: Scene) -> None:
    with pytest.raises(InvalidSetting, match="groupfifo_partitions_before = 4 does not work with groupfifo_partitions"):
        scene.world(4, 4)
    scene.old.gate.store.meet()
    with pytest.raises(UnsupportedState, match="has groupfifo_partitions = 2, and this process has 5, and 3 before"):
        grow_partitions(build_gate(scene.world(5, 3).app))
    scene.park("a", scene.groups[0])
    scene.grow()
    with pytest.raises(WrongState, match="The gate grows from 2 to 4 partitions"):
        change_partitions(scene.old.gate, 8)


# -- any sequence --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_keeps_the_order_of_each_group_in_one_partition(scene: Scene, seed: int) -> None:
    """Two processes park, repeat parks, run and end tasks while a growth goes on; one of them hears of it late."""
    draw = random.Random(seed)
    late = scene.world(NUMBER, BEFORE)
    groups = [*scene.groups, scene.staying]
    sent: dict[str, list[str]] = {group: [] for group in groups}
    done: dict[str, list[str]] = {group: [] for group in groups}
    fences: dict[str, list[int]] = {group: [] for group in groups}
    running: dict[str, Ticket] = {}
    repeats: list[tuple[World, Any, Any]] = []
    for step in range(120):
        group, world = draw.choice(groups), draw.choice([scene.both, late])
        action = draw.random()
        if step == 40:
            scene.grow()
        if action < 0.35:
            id = f"{group}-{len(sent[group])}"
            entry, number = make_entry(world.gate, id, group, group), world.gate.number()
            assert world.gate.park(entry, number)
            sent[group].append(id)
            repeats.append((world, entry, number))
        elif action < 0.45 and repeats:
            scene.again(*repeats[-1])
        elif group in running and action < 0.9:
            ticket = running.pop(group)
            assert not scene.both.finish(ticket, group).stale
            done[group].append(ticket.id)
        elif group not in running and scene.redis.llen(group):
            running[group] = scene.run(group)
            fences[group].append(running[group].fence)
        elif step > 40 and action > 0.97:
            scene.grow()
        assert all(len(scene.places(each)) <= 1 for each in groups)
        scene.tick(1)
    for group in groups:
        while group in running or scene.redis.llen(group):
            ticket = running.pop(group) if group in running else scene.run(group)
            scene.both.finish(ticket, group)
            done[group].append(ticket.id)
    assert done == sent
    assert all(each == sorted(set(each)) for each in fences.values())
    assert scene.grow().left == 0


def test_verify_names_a_group_that_is_in_two_partitions(scene: Scene) -> None:
    group, other = scene.groups[:2]
    scene.grow()
    scene.park("a", group)
    groups, (old, *_) = Groups(scene.both.app, scene.both.gate), scene.both.gate.keyspace.partitions
    assert groups.verify() == [] and scene.places(group) == [2]
    new = scene.both.gate.keyspace.after(quote(group))
    for name, keys in ((group, old), (other, scene.both.gate.keyspace.partitions[1])):
        scene.redis.hset(keys.groups, name, scene.redis.hget(new.groups, group) or b"")
    said = {(each.key, each.what) for each in groups.verify() if each.name == "partition"}
    assert said == {
        (group, "It is in partition groupfifo:2, and in groupfifo:0 still: tasks of the two run beside each other."),
        (other, "It is in partition groupfifo:1, and its own is groupfifo:2: new tasks run beside those that it has."),
    }
