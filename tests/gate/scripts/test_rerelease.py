"""rerelease: heads whose ticket was lost on its way are released again."""

from __future__ import annotations

from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.recovery import GRACE_MS
from tests.support.world import PLAIN, World, make_entry, ticket_of


def test_a_purged_queue_is_released_again_after_the_grace(world: World) -> None:
    for n in range(3):
        world.park(f"t{n}", f"g{n}")
    world.redis.delete("q")
    world.tick(GRACE_MS - 1)
    assert world.rerelease() == 0
    world.tick(2)
    assert world.rerelease() == 3
    assert world.queued() == ["t0", "t1", "t2"]
    assert world.rerelease() == 0, "they are on their way again"


def test_what_waits_in_a_long_queue_is_not_lost(world: World) -> None:
    world.park("a", "A")
    world.park("b", "B")
    world.tick(GRACE_MS * 1000)
    assert world.rerelease() == 0
    assert world.queued() == ["a", "b"]


def test_an_overtaken_ticket_is_lost(world: World) -> None:
    world.park("a", "A")
    world.park("b", "B")
    world.park("c", "C")
    world.receive()  # popped, and its worker died
    world.begin(world.receive())  # b
    world.tick(GRACE_MS - 1)
    assert world.rerelease() == 0
    world.tick(2)
    assert world.rerelease() == 1
    assert world.queued() == ["c", "a"]


def test_an_overtaken_ticket_is_lost_also_when_the_other_was_taken(world: World) -> None:
    ticket = world.run("x", "X")
    world.park("a", "A")
    world.park("b", "B")
    world.park("c", "C")
    world.receive()
    assert world.finish(ticket, "X", take="lists", lists=world.lists("q")).taken is not None
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 1
    assert world.queued() == ["c", "a"]


def test_the_lost_ticket_is_stale_when_it_turns_up_again(world: World) -> None:
    world.park("a")
    late = world.receive()
    world.tick(GRACE_MS + 1)
    world.rerelease()
    new = world.receive()
    assert not world.begin(late)
    assert world.begin(new)


def test_queues_are_told_apart(world: World) -> None:
    world.park("a", "A", queue="q1")
    world.park("b", "B", queue="q2")
    world.redis.delete("q1")
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 1
    assert (world.queued("q1"), world.queued("q2")) == (["a"], ["b"])


def test_a_queue_whose_name_begins_with_anothers_is_left_alone(world: World) -> None:
    world.park("a", "A", queue="q")
    world.park("b", "B", queue="q q")
    world.park("c", "C", queue="qq")
    world.redis.delete("q")
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 1
    assert [world.queued(q) for q in ("q", "q q", "qq")] == [["a"], ["b"], ["c"]]


def test_begun_and_revoked_heads_are_not_released_again(world: World) -> None:
    world.run("a", "A")
    world.park("b", "B")
    world.gate.revoke("b")
    world.redis.delete("q")
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 0
    assert world.redis.zcard(world.keys.on_the_way) == 0


def test_more_than_a_batch_is_released_again_by_the_next_calls(world: World) -> None:
    for n in range(150):
        world.park(f"t{n}", f"g{n}")
    world.redis.delete("q")
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 100
    seen = {world.receive().id for _ in range(100)}
    world.tick(GRACE_MS + 1)
    world.rerelease()
    seen |= set(world.queued())
    assert len(seen) == 150


def test_a_plain_message_in_the_queue_is_not_taken_for_a_ticket(world: World) -> None:
    world.park("a")
    world.redis.lpush("q", PLAIN)
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 0
    assert world.redis.llen("q") == 2


def test_on_another_broker_the_heads_of_a_quiet_queue_are_released_again(world: World) -> None:
    entry = make_entry(world.gate, "a")
    entry.queue, entry.list_key = "*elsewhere", None
    sent: list[tuple[str, bytes]] = []
    world.gate.releaser.send = lambda queue, message, producer=None: sent.append((queue, message))  # type: ignore[method-assign]
    world.gate.park(entry, world.gate.number())
    assert [queue for queue, _ in sent] == ["*elsewhere"]
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 0
    assert world.rerelease(rereleases=1) == 1
    assert len(sent) == 2


def test_on_another_broker_every_ticket_that_comes_in_tells_of_those_before_it(world: World) -> None:
    """A missing one can't be looked for there: one in ten, as of those that are taken from lists, would not do."""
    sent: list[bytes] = []
    world.gate.releaser.send = lambda queue, message, producer=None: sent.append(message)  # type: ignore[method-assign]
    for group in ("g", "h"):
        entry = make_entry(world.gate, group, group)
        entry.queue, entry.list_key = "*elsewhere", None
        world.gate.park(entry, world.gate.number())
    later = ticket_of(sent[1])
    assert later.release % 10 == 1
    assert world.begin(later)
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 1
    assert ticket_of(sent[2]).id == "g"


def test_a_ticket_that_was_lost_before_a_standing_backlog_of_plain_messages(world: World) -> None:
    world.park("lost")
    world.redis.delete("q")
    for _ in range(20):
        world.redis.lpush("q", PLAIN)
    world.park("there", key="h")
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 1
    assert world.rerelease() == 0
    assert world.redis.llen("q") == 22


def test_who_comes_second_releases_nothing(world: World) -> None:
    """Timeline: two workers see that three of ten are missing; one releases them, and then the other one would."""
    for n in range(10):
        entry = make_entry(world.gate, f"t{n}", f"g{n}")
        entry.queue, entry.list_key = "*elsewhere", None
        world.gate.park(entry, world.gate.number())
    world.tick(GRACE_MS + 1)
    oldest = next(iter(world.gate.every_head(world.keys))).release
    assert world.gate.rerelease(world.keys, "*elsewhere", quote("w1"), oldest=oldest, rereleases=0, limit=3) == 3
    assert world.gate.rerelease(world.keys, "*elsewhere", quote("w2"), oldest=oldest, rereleases=0, limit=3) == 0
