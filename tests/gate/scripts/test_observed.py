"""The scripts of observe mode: what they count, and what they keep."""

from __future__ import annotations

import pytest
from redis import Redis

from celery_groupfifo import Groups
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.observations import RUN_MS, TIMED, UNKNOWN, Observations, Seen, Sent
from celery_groupfifo.groups import Observed
from tests.support.world import World


class Watch:
    """Runs of one group, told in the test's order."""

    def __init__(self, world: World) -> None:
        self.world, self.told = world, Observations(world.gate.store, world.gate.keyspace)
        self.places: dict[str, int] = {}

    def send(self, *ids: str) -> None:
        for id in ids:
            self.places[id] = self.told.draw(quote("g"), id)

    def run(self, id: str, place: int | None = None, most: int = 1, again: bool = False, missed: int = 0) -> Seen:
        seen = Seen(Sent(self.places.get(id, 0) if place is None else place, most, quote("g")), id, f"call-{id}")
        self.told.start(seen, f"task-{id}", again, missed)
        return seen

    def counts(self) -> tuple[int, ...]:
        (group,) = Groups(self.world.app, self.world.gate).report().groups
        return counts_of(group)


def counts_of(group: Observed) -> tuple[int, ...]:
    return group.runs, group.overlaps, group.overtaken, group.late_retries, group.not_counted


@pytest.fixture
def watch(world: World) -> Watch:
    return Watch(world)


def test_in_order_nothing_is_broken(watch: Watch) -> None:
    watch.send("a", "b", "c")
    for id in "abc":
        watch.told.end([watch.run(id)])
    assert watch.counts() == (3, 0, 0, 0, 0)


def test_an_overlap(watch: Watch) -> None:
    watch.send("a", "b", "c", "d")
    first = watch.run("a")
    watch.run("b")
    assert watch.counts() == (2, 1, 0, 0, 0)
    watch.told.end([first])
    watch.run("c", most=2)
    assert watch.counts() == (3, 1, 0, 0, 0), "two may run at once"
    watch.run("d", most=2)
    assert watch.counts() == (4, 2, 0, 0, 0)


def test_one_that_starts_behind_a_later_one(watch: Watch) -> None:
    watch.send("a", "b", "c")
    for id, again in (("b", False), ("a", False), ("c", False), ("b", True)):
        watch.told.end([watch.run(id, again=again)])
    assert watch.counts() == (4, 0, 1, 1, 0)
    (group,) = Groups(watch.world.app, watch.world.gate).report().groups
    found = group.first["overtaken"]
    assert (found.task_id, found.task, found.other_id, found.other_task) == ("a", "task-a", "b", "task-b")
    assert group.first["late_retries"].other_id == "c" and "overlaps" not in group.first


def test_the_first_and_the_last_example(watch: Watch) -> None:
    watch.send(*"abcd")
    for id in "dabc":
        watch.told.end([watch.run(id)])
    (group,) = Groups(watch.world.app, watch.world.gate).report().groups
    assert (group.first["overtaken"].task_id, group.last["overtaken"].task_id) == ("a", "c")


def test_without_a_place(watch: Watch) -> None:
    watch.send("a")
    for id, place in (("b", UNKNOWN), ("c", TIMED), ("a", None)):
        watch.told.end([watch.run(id, place)])
    assert watch.counts() == (3, 0, 0, 0, 1)


def test_what_could_not_be_told_before(watch: Watch) -> None:
    watch.send("a")
    watch.run("a", missed=7)
    report = Groups(watch.world.app, watch.world.gate).report()
    assert (report.not_counted, watch.counts()[4]) == (7, 0), "nobody knows their groups"


def test_a_killed_run_counts_no_longer(watch: Watch) -> None:
    watch.send("a", "b", "c")
    seen = watch.run("a")
    watch.world.tick(RUN_MS - 1)
    watch.told.end([seen], goes_on=True)
    watch.world.tick(RUN_MS - 1)
    watch.told.end([watch.run("b")])
    assert watch.counts() == (2, 1, 0, 0, 0), "it was told that it goes on"
    watch.world.tick(1)
    watch.run("c")
    assert watch.counts() == (3, 1, 0, 0, 0)


def test_a_run_that_goes_on_after_its_end_stays_over(watch: Watch) -> None:
    watch.send("a", "b")
    seen = watch.run("a")
    watch.told.end([seen])
    watch.told.end([seen], goes_on=True)
    watch.run("b")
    assert watch.counts() == (2, 0, 0, 0, 0)


def test_repeated_calls_count_once(watch: Watch) -> None:
    watch.send("a", "a")
    assert watch.places == {"a": 1}
    for _ in range(2):
        seen = watch.run("a", missed=1)
    for _ in range(2):
        watch.told.end([seen])
    assert watch.counts() == (1, 0, 0, 0, 0)
    assert Groups(watch.world.app, watch.world.gate).report().not_counted == 1


def test_groups_do_not_mix(watch: Watch) -> None:
    seen = Seen(Sent(watch.told.draw(quote("other g"), "x"), 1, quote("other g")), "x", "call")
    watch.told.start(seen, "task", False, 0)
    watch.send("a")
    watch.run("a")
    report = Groups(watch.world.app, watch.world.gate).report()
    assert {group.key: counts_of(group) for group in report.groups} == {
        "g": (1, 0, 0, 0, 0),
        "other g": (1, 0, 0, 0, 0),
    }
    assert (report.runs, report.observed_groups, report.broken_groups) == (2, 2, 0)


def test_what_is_kept_has_a_bound(watch: Watch, world: World) -> None:
    """The oldest group goes when there are too many, and those that were not seen for a week; the totals stay."""
    watch.send("a")
    watch.told.end([watch.run("a")])
    observed, ages, _ = world.gate.keyspace.partitions[0].observed
    redis: Redis = world.redis
    redis.zadd(ages, {f"old{number}": 1 for number in range(3)})
    redis.hset(observed, mapping={f"old{number}": "{}" for number in range(3)})
    watch.send("b", "c")
    assert sorted(redis.hkeys(observed)) == sorted(redis.zrange(ages, 0, -1)) == [b"g"]
    redis.zadd(ages, {f"n{number}": 10**13 for number in range(10_000)})
    watch.send("d")
    assert redis.zcard(ages) == 10_000 and not redis.hexists(observed, "g")
    assert Groups(world.app, world.gate).report().runs == 1
    assert all(0 < redis.pttl(key) <= 7 * 86_400_000 for key in redis.keys("*observed*"))


def test_a_reset(watch: Watch, world: World) -> None:
    watch.send("a")
    seen = watch.run("a")
    groups = Groups(world.app, world.gate)
    groups.reset_report()
    report = groups.report()
    assert report.since is None and report.groups == [] and not world.redis.keys("*observed*")
    watch.told.end([seen])
    assert not world.redis.keys("*observed*"), "an end alone brings nothing back"
