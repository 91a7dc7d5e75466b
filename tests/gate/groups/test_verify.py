"""verify: each invariant that is broken by hand is named, and repaired without losing a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.gate.evaluator import Ahead
from celery_groupfifo.gate.keys import due_score, quote, unquote
from celery_groupfifo.gate.model import Dedup
from celery_groupfifo.groups import state, verify
from tests.gate.groups.scripted import crowd
from tests.support.stored import all_stored, stored
from tests.support.world import TTL_MS, World, ticket_of

Break = Callable[[World], object]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "PAUSE", 0)


def three(world: World) -> None:
    """A runs, b and c wait."""
    world.run("a")
    world.park("b")
    world.park("c")


def tenant(world: World) -> None:
    """The ticket of a is on its way, and b waits for its turn."""
    for id in "ab":
        world.park(id, id, fair="f1/t")


def lose_turn(world: World, begins: bytes) -> None:
    for member in all_stored(world.redis.zrange(world.keys.on_the_way, 0, -1)):
        if member.startswith(begins):
            world.redis.zrem(world.keys.on_the_way, member)


def held(world: World) -> None:
    ticket = world.run("a")
    world.hold(ticket, 60_000)
    world.park("b")


def two_groups(world: World) -> None:
    """The first runs, b is released, and behind a stands c."""
    world.run("a")
    world.park("b", "other")
    world.park("c")


def held_and_another(world: World) -> None:
    held(world)
    world.park("z", "other")


def both_run(world: World) -> None:
    world.run("a")
    world.run("b", "other")
    world.park("c")


def nothing(world: World) -> None:
    """The gate was used, and holds no task."""
    world.finish(world.run("a"))


def test_all_is_well_in_every_state(world: World, groups: Groups) -> None:
    three(world)
    world.park("released", "R")
    world.park("later", "L", delay=1000)
    ticket = world.run("h", "H", "q2")
    world.hold(ticket, 60_000, "H", "q2")
    for key in ("P", "D"):
        world.park(f"{key}1", key)
        world.park(f"{key}2", key)
    world.park("sorted", "S", delay=1000, order=5)
    groups.pause("P")
    groups.drain("D")
    world.gate.revoke("D2")
    world.gate.store.mark_unsent(world.keys, quote("D"), "D1")
    assert groups.verify() == []


def test_a_revoked_task_that_is_parked_again_has_left_an_empty_place(world: World, groups: Groups) -> None:
    for id in "abcd":
        world.park(id)
        world.tick(1)
    world.gate.revoke("c")
    world.park("c")
    assert groups.verify(repair=True) == []
    assert world.waiting() == ["b", "d", "c"] and world.depth() == 4


@pytest.mark.parametrize(("size", "most"), [(4000, 2), (0, 40)], ids=["long", "short"])
def test_long_messages_are_read_a_few_at_a_time(
    world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch, size: int, most: int
) -> None:
    """Their length is not known before the first ones were read."""
    monkeypatch.setattr(state, "BYTES", 10_000 if size else 1_000_000)
    monkeypatch.setattr(state, "CENSUS", 40)
    for n in range(200):
        world.park(f"t{n}", body="x" * size)
    limits: list[int] = []
    send = Ahead.send

    def noted(self: Ahead, name: str, keys: Sequence[str], args: Sequence[Any]) -> None:
        limits.extend(args[3:] if name == "census" else ())
        send(self, name, keys, args)

    monkeypatch.setattr(Ahead, "send", noted)
    assert groups.verify() == []
    assert limits[0] == 10 and max(limits[1:]) == most and min(limits) >= 1
    assert all(after <= 2 * before for before, after in pairwise(limits)), "some of them may be longer"


def test_a_line_of_many_parts_is_read_to_its_end(world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "CHUNK", 10)
    monkeypatch.setattr(state, "GROUPS", 3)
    for n in range(35):
        world.park(f"t{n}", "long")
        world.park(f"u{n}", f"g{n // 5}")
    assert groups.verify() == []
    world.redis.rpop(world.keys.line(quote("long")))
    world.redis.rpop(world.keys.line(quote("g6")))
    found = {(breach.name, breach.key, breach.task_id) for breach in groups.verify()}
    assert found == {("orphan", "long", "t34"), ("orphan", "g6", "u34"), ("aside", "long", ""), ("aside", "g6", "")}


def test_an_entry_in_the_line_of_another_group_is_an_orphan(world: World, groups: Groups) -> None:
    three(world)
    world.park("x", "other")
    line = world.keys.line
    world.redis.rpush(line(quote("other")), stored(world.redis.rpop(line(quote("g")))))
    assert [(found.name, found.task_id) for found in groups.verify()] == [("aside", ""), ("orphan", "c")]


def store(world: World, key: str = "g", **changes: Any) -> None:
    """Change what is stored of a group."""
    world.redis.hset(world.keys.groups, key, world.group(key)._replace(**changes).text())


def change_text(world: World, old: str, new: str) -> None:
    """Change the text that is stored of group g."""
    text = stored(world.redis.hget(world.keys.groups, "g"))
    assert old.encode() in text
    world.redis.hset(world.keys.groups, "g", text.replace(old.encode(), new.encode(), 1))


def end_by_hand(world: World, id: str) -> None:
    """A run is over, and nobody lets the group go on."""
    world.redis.hdel(world.keys.entries, id)
    store(world, flights=())


def stopped_by(letter: str) -> Break:
    """The head is stopped, and its group does not say so."""

    def damage(world: World) -> None:
        store(world, flights=tuple(replace(flight, stop=letter) for flight in world.group().flights))

    return damage


def lose_place(world: World) -> None:
    world.redis.lpop(world.keys.line(quote("g")))


def cut_off(world: World) -> None:
    """A failed, b and c are to be cancelled."""
    ticket = world.run("a")
    world.park("b")
    world.park("c")
    world.fail(ticket, policy="cancel_rest")


def cut_member(world: World) -> str:
    """The member of due that cancels them."""
    due = all_stored(world.redis.zrange(world.keys.due, 0, -1))
    (member,) = [name.decode() for name in due if name.startswith(b"d ")]
    return member


def delayed(world: World) -> None:
    """A runs, b waits for its ETA, c stands in line."""
    world.run("a")
    world.park("b", delay=1000)
    world.park("c")


def revoked(world: World) -> None:
    """A runs, c stands before an empty place."""
    three(world)
    world.park("d")
    world.gate.revoke("d")
    world.park("e")


def add_place(world: World, id: str) -> None:
    text = stored(world.redis.hget(world.keys.entries, id))
    world.redis.rpush(world.keys.line(quote("g")), text.split(b" ")[0] + f" {id}".encode())


def add_eta(world: World, id: str) -> None:
    world.redis.zadd(world.keys.due, {f"e g {id}": due_score("e", world.now)})


def identified(world: World) -> None:
    three(world)
    world.park("d", dedup=Dedup("four"))


def windowed(world: World) -> None:
    """A and b wait in their windows."""
    world.park("a", delay=1000, order=2)
    world.park("b", delay=1000, order=1)


def sorted_in(world: World) -> str:
    """The member of due that has the place of a among those of its group."""
    value = world.orders()["o a"].rpartition(" ")[0]
    return f"s g {value} a"


def marked(world: World) -> None:
    """A has joined its line, b follows, and no more."""
    world.park("a", delay=1000, order=1)
    world.tick(1000)
    world.sweep()
    world.park("b")


def leave_identity(world: World) -> None:
    """The entries of two were set aside."""
    world.redis.hset(world.keys.begins, mapping={"n gone": "0 one", "i g one": "- gone", "i g two": "- gone gone;r"})


CASES: dict[str, tuple[Callable[[World], object], Break, str]] = {
    "aside": (three, lambda w: store(w, aside=3), "It counts 3 tasks that wait for an ETA or are cut off, but has 0."),
    "aside of delayed": (delayed, lambda w: store(w, aside=0), "or are cut off, but has 1."),
    "aside of cut off": (cut_off, lambda w: store(w, aside=1), "It counts 1 tasks that wait for an ETA or are cut off"),
    "empty": (three, lambda w: store(w, empty=2), "It counts 2 empty places in its line, which has 0."),
    "empty of revoked": (revoked, lambda w: store(w, empty=0), "It counts 0 empty places in its line, which has 1."),
    "parts": (cut_off, lambda w: store(w, flags="cc"), "It counts 2 parts that are cut off its line, but has 1."),
    "cut off": (cut_off, lambda w: w.redis.zrem(w.keys.due, cut_member(w)), "and nobody cancels its tasks"),
    "identity": (identified, leave_identity, "Its identity is kept, and it is gone."),
    "order without a window": (windowed, lambda w: w.redis.zrem(w.keys.due, "e g a"), "and waits in no window."),
    "order not sorted in": (
        windowed,
        lambda w: w.redis.zrem(w.keys.due, sorted_in(w)),
        "It does not stand among those",
    ),
    "order without a value": (windowed, lambda w: w.redis.hdel(w.keys.begins, "o a"), "and has no order value."),
    "order not known": (windowed, lambda w: store(w, flags=""), "Tasks of it wait to be sorted, and its state"),
    "mark": (
        marked,
        lambda w: w.redis.zrem(w.keys.due, "m g"),
        "The mark of its order is kept, and nobody forgets it.",
    ),
    "orphan": (three, lose_place, "It stands in no line and has no ETA."),
    "orphan after its eta": (
        lambda w: w.park("a", delay=1000),
        lambda w: w.redis.zrem(w.keys.due, "e g a"),
        "It stands in no line and has no ETA.",
    ),
    "orphan beside a delayed one": (delayed, lose_place, "It stands in no line and has no ETA."),
    "lost group": (three, lambda w: w.redis.hdel(w.keys.groups, "g"), "Tasks stand in its line, and nothing of it is"),
    "twice in line": (three, lambda w: add_place(w, "a"), "It stands in its line, and is under way, too."),
    "twice with an eta": (three, lambda w: add_eta(w, "b"), "It stands in its line, and waits for its ETA, too."),
    "twice under way": (three, lambda w: add_eta(w, "a"), "It is under way, and waits for its ETA, too."),
    "stuck": (three, lambda w: end_by_hand(w, "a"), "Tasks stand in its line, and nothing of it is under way."),
    "lease": (three, lambda w: w.redis.zrem(w.keys.due, "w w1"), "It runs on a worker without a lease that ends."),
    "runs": (
        three,
        lambda w: w.redis.delete(w.keys.runs(quote("w1"))),
        "It runs, but is not among the runs of its worker.",
    ),
    "ticket": (lambda w: w.park("a"), lambda w: w.redis.delete(w.keys.on_the_way), "its ticket is not known"),
    "heads": (
        nothing,
        lambda w: w.redis.zadd(w.keys.on_the_way, {"q 1800000000000000 g": 0}),
        "A ticket is on its way that is of no head.",
    ),
    "turn": (tenant, lambda w: lose_turn(w, b"\x7fo"), "Its ticket does not count for its tenant."),
    "turn in its row": (
        tenant,
        lambda w: lose_turn(w, b"\x7fw"),
        "It waits for its turn, and is not in its tenant's row.",
    ),
    "turn of nothing": (
        nothing,
        lambda w: w.redis.zadd(w.keys.on_the_way, {"\x7fo q t 1800000000000000 g a": 0}),
        "It counts for its tenant, and is not there.",
    ),
    "turn of nothing in a row": (
        nothing,
        lambda w: w.redis.zadd(w.keys.on_the_way, {"\x7fw q t 1800000000000000 g a": 0}),
        "It stands in its tenant's row, and is not there.",
    ),
    "turns": (tenant, lambda w: w.redis.zrem(w.keys.due, "f q t"), "wait for their turns, and nothing looks at them."),
    "hold": (held, lambda w: w.redis.zrem(w.keys.due, "h g a"), "It is held without a time at which it goes out."),
    "stop": (held, stopped_by("p"), "It is stopped by a pause, but its group is not paused."),
    "halt": (held, stopped_by("b"), "It has failed and blocks its group, but the group is not blocked."),
    "concurrency": (two_groups, lambda w: crowd(w, "b", "other"), "It is one of 2 under way."),
    "crowd of held ones": (held_and_another, lambda w: crowd(w, "z", "other"), "It is one of 2 under way."),
    "crowd that runs": (both_run, lambda w: crowd(w, "b", "other"), "It runs, and the group goes on when all have"),
    "flag": (nothing, lambda w: store(w, flags="d"), "It is draining, and holds no task"),
    "flag of a block": (nothing, lambda w: store(w, flags="b"), "It is blocked, and holds no task"),
    "blocked by nothing": (three, lambda w: store(w, flags="b"), "It is blocked, and no task of it has failed."),
    "no reason": (three, lambda w: store(w, flags="d"), "It is draining, and nobody has said so."),
    "reason of nothing": (
        three,
        lambda w: w.redis.hset(w.keys.flags, "p g", "{}"),
        "Somebody has said why it is paused, but it is not.",
    ),
    "limits without a word": (three, lambda w: store(w, flags="l"), "It is limited, and nobody has said how."),
    "limits of nothing": (
        three,
        lambda w: w.redis.hset(w.keys.flags, "l g", "l1/1000/0 {}"),
        "Somebody has said why it is limited, but it is not.",
    ),
    "places": (nothing, lambda w: w.redis.rpush(w.keys.line(quote("g")), *["1 z"] * 250), "Its line holds places of"),
    "left": (nothing, store, "It holds no task, and is still known."),
    "pause of nothing": (nothing, lambda w: store(w, flags="p"), "paused, but not listed"),
    "paused_list": (three, lambda w: w.redis.zadd(w.keys.paused, {"g": 1}), "listed as paused, but is not"),
    "unreadable record": (three, lambda w: change_text(w, "r a ", "x a "), "its record can't be read"),
    "record with a word for a number": (three, lambda w: change_text(w, "r a 1", "r a x1"), "its record can't be read"),
    "unreadable state": (three, lambda w: change_text(w, "- 0 0", "x"), "its record can't be read"),
    "unreadable record of nothing": (
        three,
        lambda w: change_text(w, "- 0 0", "- 0 0\nnonsense"),
        "its record can't be read",
    ),
    "message": (held, lambda w: w.redis.hdel(w.keys.entries, "a"), "its message is gone"),
}


def finish_all(world: World) -> list[str]:
    """A living fleet: sweeps, releases again, and runs whatever comes until nothing is left."""
    order: list[str] = []
    quiet = 0
    world.redis.delete(world.keys.pulse)
    while quiet < 2 * TTL_MS // 1000 + 5:
        order += [id for id, _ in world.sweep(world.lists("q")).cancelled]
        world.rerelease()
        quiet += 1
        while message := world.pop():
            ticket = ticket_of(message)
            if world.begin(ticket):
                order.append(ticket.id)
                world.finish(ticket, unquote(ticket.group))
                quiet = 0
        world.tick(1000)
    return order


@pytest.mark.parametrize("name", CASES)
def test_a_breach_is_named_and_repaired(world: World, groups: Groups, name: str) -> None:
    prepare, damage, what = CASES[name]
    prepare(world)
    entries = {id.decode() for id in all_stored(world.redis.hkeys(world.keys.entries))}
    damage(world)
    if name == "stuck":
        entries.remove("a")
    found = groups.verify()
    assert any(what in breach.what for breach in found), found
    assert not any(breach.repaired for breach in found)
    repaired = groups.verify(repair=True)
    assert all(breach.repaired == bool(breach.repair) for breach in repaired)
    if name in ("stop", "pause of nothing"):
        groups.resume("g")
    if name == "halt":
        groups.retry("g")
    order = finish_all(world)
    dead = {known[1] for known, _ in world.dead()}
    assert set(order) | dead == entries, "no task is lost"
    assert groups.verify() == []
    assert world.residue() == {}


DAMAGE: dict[str, Callable[[World], object]] = {
    "empty": lambda w: store(w, empty=1),
    "aside": lambda w: store(w, aside=1),
    "flags": lambda w: store(w, flags="d"),
    "no head": lambda w: store(w, flights=()),
    "said": lambda w: w.redis.hset(w.keys.flags, "b g", "{}"),
    "paused": lambda w: w.redis.zadd(w.keys.paused, {"g": 1}),
    "ticket": lambda w: w.redis.delete(w.keys.on_the_way),
    "message": lambda w: w.redis.hdel(w.keys.entries, "a"),
    "unreadable": lambda w: w.redis.hset(w.keys.entries, "a", "x"),
    "orphan": lambda w: w.redis.delete(w.keys.line(quote("g"))),
    "twice": lambda w: add_place(w, "a"),
    "delayed": lambda w: w.redis.zadd(w.keys.due, {"e g a": 1}),
    "delayed in line": lambda w: w.redis.zadd(w.keys.due, {"e g b": 1}),
    "part": lambda w: w.redis.rpush(w.keys.cut_off(quote("g"), 1), "1 b"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_nothing_is_overlooked_in_a_group_that_is_as_most_are(world: World, groups: Groups, name: str) -> None:
    for id in "ab":
        world.park(id)
    assert groups.verify() == []
    DAMAGE[name](world)
    assert groups.verify() != []


def test_a_recalled_entry_runs_next(world: World, groups: Groups) -> None:
    two_groups(world)
    crowd(world, "b", "other")
    (found,) = groups.verify(repair=True)
    assert (found.name, found.task_id, found.repaired) == ("concurrency", "b", True)
    assert not world.begin(world.receive()), "its ticket counts no more"
    assert world.waiting() == ["b", "c"]


def test_an_entry_that_begins_before_it_is_recalled_runs_on(world: World, groups: Groups) -> None:
    """Timeline: verify has looked three times, the ticket is begun, and only then the repair comes."""
    two_groups(world)
    crowd(world, "b", "other")
    run = world.gate.store.run

    def begin_in_between(name: str, *args: object) -> object:
        if name == "recall":
            assert world.begin(world.receive())
        return run(name, *args)  # type: ignore[arg-type]

    world.gate.store.run = begin_in_between  # type: ignore[method-assign, assignment]
    groups.verify(repair=True)
    assert [breach.name for breach in groups.verify()] == ["concurrency"]
    assert not any(breach.repair for breach in groups.verify())


def test_a_pause_and_the_places_under_it_last(world: World, groups: Groups) -> None:
    groups.pause("g")
    world.park("a")
    world.gate.revoke("a")
    assert groups.verify() == []


def test_what_cannot_be_read_is_named(world: World, groups: Groups) -> None:
    three(world)
    world.redis.hset(world.keys.entries, "b", "garbage")
    found = groups.verify()
    assert [(breach.name, breach.task_id, breach.repair) for breach in found if breach.task_id] == [
        ("unreadable", "b", "")
    ]


def test_many_entries_and_partitions_are_walked(world: World, groups: Groups) -> None:
    for n in range(1500):
        world.park(f"t{n}", f"g{n % 7}")
    assert groups.verify() == []
    store(world, "g3", flights=())
    assert {breach.name for breach in groups.verify()} == {"stuck", "aside", "orphan", "heads"}
