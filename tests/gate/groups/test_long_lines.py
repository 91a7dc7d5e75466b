"""Long lines: what looks at one makes few calls, and none that keeps Redis for long."""

from __future__ import annotations

from itertools import accumulate

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.gate import places
from celery_groupfifo.gate.cutting import part_of
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.groups import listing, pace
from celery_groupfifo.groups import reader as reading
from celery_groupfifo.groups.pace import Pace
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.sending.telling import Teller
from tests.gate.scripted import recorded
from tests.support.world import World, make_entry

MANY = 20_000


def park(world: World, many: int, key: str = "g", first: int = 0) -> None:
    """Tasks t0, t1, …, of one group, a few in each millisecond."""
    for start in range(first, first + many, 50):
        world.tick(1)
        entries = [make_entry(world.gate, f"t{n}", key) for n in range(start, min(start + 50, first + many))]
        world.gate.park_all(entries, world.gate.numbers(len(entries)))


def empty(world: World, first: int, last: int) -> None:
    """Take tasks out as revocations do, which leave their places."""
    world.redis.hdel(world.keys.entries, *(f"t{n}" for n in range(first, last)))
    group = world.group()
    world.redis.hset(world.keys.groups, "g", group._replace(empty=group.empty + last - first).text())


def from_clients(world: World) -> int:
    """Commands since the last reset that no script has made."""
    said = {name: each["calls"] for name, each in world.redis.info("commandstats").items()}
    inside = {"lrange", "hmget", "lindex", "llen"} if said.get("cmdstat_evalsha") else set()
    return sum(count for name, count in said.items() if name.removeprefix("cmdstat_") not in inside)


@pytest.fixture
def revoked_first(world: World, groups: Groups) -> World:
    """A paused group with 20,000 places of revoked tasks before its first task."""
    groups.pause("g")
    park(world, MANY + 5)
    empty(world, 0, MANY)
    for n in range(20):
        world.park(f"other{n}", f"other{n}")
    return world


def test_empty_places_first_cost_few_calls(revoked_first: World, groups: Groups) -> None:
    looks = [
        lambda: groups.get("g").head,
        lambda: groups.list(limit=1)[0].head,
        lambda: groups.tasks("g")[0].task_id,
        lambda: groups.explain("g", ask_workers=False) and f"t{MANY}",
    ]
    for look in looks:
        revoked_first.redis.config_resetstat()
        with recorded(revoked_first.gate.store) as made:
            assert look() == f"t{MANY}"
        assert len(made) <= MANY / reading.WALKED + 2
        assert all(call.args[4] <= reading.WALKED for call in made)
        assert from_clients(revoked_first) <= 20


def test_empty_places_anywhere(world: World, groups: Groups) -> None:
    groups.pause("g")
    park(world, 3000)
    for first, last in ((1, 99), (100, 101), (700, 2900), (2999, 3000)):
        empty(world, first, last)
    expected = [0, 99, *range(101, 700), *range(2900, 2999)]
    found = groups.tasks("g", 10_000)
    assert [(task.task_id, task.place) for task in found] == [(f"t{n}", n) for n in expected]
    assert [task.place for task in groups.tasks("g", 3, 99)] == [99, 101, 102]
    assert [task.place for task in groups.tasks("g", 2, 699)] == [699, 2900]
    assert groups.tasks("g", 5, 2999) == groups.tasks("g", 5, 5000) == []


def test_a_task_is_found_in_a_long_line_by_its_time(world: World, groups: Groups) -> None:
    park(world, 5000)
    for number in (1, 2, 777, 2500, 4998, 4999):
        world.redis.config_resetstat()
        with recorded(world.gate.store) as made:
            found = groups.find(f"t{number}")
        assert found is not None and found.place == number - 1, "t0 has left the line"
        assert [call.script for call in made] == ["place"]
        said = world.redis.info("commandstats")
        assert said["cmdstat_lindex"]["calls"] <= 2 and said["cmdstat_lrange"]["calls"] <= 2, "walks over the line"
        assert "cmdstat_lpos" not in said


@pytest.mark.parametrize("ratio", [1.01, 1.2])
def test_times_that_are_uneven_cost_a_few_looks_more(world: World, groups: Groups, ratio: float) -> None:
    """Every third look halves, and a call has two looks."""
    gaps = [round(ratio ** min(number, 100)) for number in range(5000)]
    times = [10**15 + at for at in accumulate(gaps)]
    world.redis.rpush(world.keys.line(quote("g")), *(f"{us} t{number}" for number, us in enumerate(times)))
    for number in (0, 1, 777, 2500, 4998, 4999):
        world.redis.config_resetstat()
        with recorded(world.gate.store) as made:
            assert Reader(world.gate).place(world.keys, quote("g"), str(times[number]), f"t{number}") == number
        looks = world.redis.info("commandstats")["cmdstat_lrange"]["calls"]
        assert looks <= 3 * 6 and looks <= 3 * len(made), "so that no call walks over a long line often"


def test_a_task_that_joined_late_is_found_part_by_part(
    world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "PASSED", 100)
    groups.pause("g")
    world.park("late", delay=1)
    park(world, 300)
    world.sweep()
    park_more = [make_entry(world.gate, f"u{n}") for n in range(300)]
    world.tick(1)
    world.gate.park_all(park_more, world.gate.numbers(300))
    with recorded(world.gate.store) as made:
        found = groups.find("late")
    assert found is not None and (found.state, found.place) == ("parked", 300)
    assert len(made) == 1 + 4
    assert all(call.args[5] == 100 for call in made)
    with recorded(world.gate.store) as made:
        assert Reader(world.gate).place(world.keys, quote("g"), "1", "unknown") is None
    assert len(made) == 1 + 7


def test_a_revoke_beside_a_part_that_is_cut_off_looks_in_parts(
    world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is in the line, or in the part; which one, its time tells, but not for one that joined late."""
    monkeypatch.setattr(places, "PASSED", 1000)
    groups.pause("g")
    world.park("late", delay=1)
    park(world, 150)
    part, bound = part_of(world.keys, quote("g")), world.now * 1000 + 999
    reads, _ = world.gate.cut([part], bound)
    park(world, 1500, first=1000)
    world.sweep()
    park(world, 1500, first=3000)
    for id, calls in (("t7", 2 + 1 + 4), ("t3700", 2 + 1), ("late", 2 + 1 + 2)):
        world.redis.config_resetstat()
        with recorded(world.gate.store) as made:
            assert world.gate.revoke(id) is not None
        assert "cmdstat_lpos" not in world.redis.info("commandstats")
        assert [call.script for call in made] == ["revoke", *["place"] * (calls - 2), "revoke"]
    group = world.group()
    assert (group.aside, group.empty) == (149, 2) and groups.get("g").depth == 149 + 2999
    world.gate.cancel(reads)
    assert groups.get("g").depth == 2999 and groups.verify() == []


def test_paused_groups_are_listed_page_by_page_though_some_resume_meanwhile(
    world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All have one score; those of the first page are removed before the second one is read."""
    monkeypatch.setattr(listing, "AT_ONCE", 50)
    names = [f"k{n:04}" for n in range(400)]
    world.redis.zadd(world.keys.paused, dict.fromkeys(names, 7))
    pages = list(listing.by_score(Reader(world.gate), world.keys.paused))
    assert [name for page in pages for name in page] == names and max(map(len, pages)) == 50
    others = listing.by_score(Reader(world.gate), world.keys.paused)
    found = next(others)
    world.redis.zrem(world.keys.paused, *names[:40], *names[45:50])
    assert [*found, *(name for page in others for name in page)] == names


class Counting(Pace):
    """A pace that counts its calls, and whose waits are none."""

    calls = 0

    def owed(self) -> float:
        """Count a call."""
        type(self).calls += 1
        return 0.0


def test_looking_is_paced_and_acting_is_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "Pace", Counting)
    monkeypatch.setattr(Teller, "tell", lambda *_: None)
    groups, free = Groups(world.app, world.gate), Groups(world.app, world.gate, paced=False)
    park(world, 10)
    looks = [
        lambda groups: groups.list(sort="age"),
        lambda groups: groups.list(sort="depth"),
        lambda groups: groups.get("g"),
        lambda groups: groups.tasks("g"),
        lambda groups: groups.find("t5"),
        lambda groups: groups.explain("g", ask_workers=False),
        lambda groups: groups.stats(),
        lambda groups: groups.actions(),
    ]
    for look in looks:
        Counting.calls = 0
        look(groups)
        assert Counting.calls > 0
        Counting.calls = 0
        look(free)
        assert Counting.calls == 0
    assert groups.verify() == []
    assert groups.move("g", "h") == 9 and groups.purge("h") == 9
    assert Counting.calls == 0
