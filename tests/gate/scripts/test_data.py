"""Hostile ids, keys, queues and payloads: nothing that comes from outside is ever a separator."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from celery_groupfifo.gate.keys import quote, unquote
from tests.support.world import START_MS, World, make_entry, ticket_of

HOSTILE = [
    "A",
    "A:active",
    "A:",
    "w:A",
    "a b",
    " ",
    "\n",
    "1 2\n3 4\n",
    "\x00",
    "{}",
    "{other:0}",
    "*",
    "[a-z]?",
    "|||",
    '"',
    "'",
    "\\",
    '\\"',
    "%",
    "%20",
    "%41",
    "e a",
    "-",
    "gf groupfifo:0 1 0 1 a g",
    "\x06\x163",
    "\u00e9",
    "e\u0301",
    "\U0001f680 \u4e2d\u6587 \u202e",
    "x" * 512,
    "\u00e9" * 256,
    "*" * 512,
]


def name(text: str) -> str:
    return ascii(text)[:24]


@pytest.mark.parametrize("text", HOSTILE, ids=name)
def test_a_hostile_id_lives_a_whole_life(world: World, text: str) -> None:
    world.park("first")
    world.park(text)
    world.park("last")
    for id in ("first", text, "last"):
        ticket = world.receive()
        assert ticket.id == id
        assert world.begin(ticket)
        assert world.gate.renew(quote("w1"), [ticket]) == []
        assert not world.finish(ticket).stale
    assert world.residue() == {}


@pytest.mark.parametrize("text", HOSTILE, ids=name)
def test_a_hostile_id_is_delayed_held_reclaimed_released_again_and_revoked(world: World, text: str) -> None:
    world.park(text, delay=1000)
    world.tick(1000)
    world.sweep()
    ticket = world.receive()
    assert world.begin(ticket)
    world.hold(ticket, 500)
    world.tick(500)
    world.sweep()
    world.receive()
    world.tick(4000)
    assert world.rerelease() == 1
    assert world.receive().id == text
    assert world.gate.revoke(text)
    assert world.residue() == {}


@pytest.mark.parametrize("text", HOSTILE, ids=name)
def test_a_hostile_key_has_a_line_of_its_own(world: World, text: str) -> None:
    others = [other for other in HOSTILE if other != text]
    world.park("mine1", text)
    for number, other in enumerate(others):
        world.park(f"other{number}", other)
    world.park("mine2", text)
    assert len(world.queued()) == len(HOSTILE), "each group has its head out"
    ticket = world.receive()
    assert ticket.id == "mine1" and world.begin(ticket)
    assert not world.finish(ticket, text).stale
    assert world.queued()[-1] == "mine2"
    assert all(world.depth(other) == 1 for other in others)


@pytest.mark.parametrize("text", HOSTILE, ids=name)
def test_a_hostile_queue_and_worker(world: World, text: str) -> None:
    world.park("a", "A", queue=text)
    world.park("b", "B", queue=text)
    ticket = world.receive(text)
    assert world.begin(ticket, quote(text))
    done = world.finish(ticket, "A", owner=quote(text), take="lists", lists=world.lists(text))
    taken = ticket_of(done.taken or b"")
    assert taken.id == "b"
    world.gate.surrender([(taken, False)], world.lists(text))
    world.redis.delete(text)
    world.tick(4000)
    assert world.rerelease() == 1
    assert world.queued(text) == ["b"]


def test_no_two_texts_share_a_quoted_form() -> None:
    quoted = [quote(text) for text in HOSTILE]
    assert len(set(quoted)) == len(HOSTILE)
    assert [unquote(each) for each in quoted] == HOSTILE
    assert all(each.isascii() and each.isprintable() and not set(each) & set(" \"{}[]*?\\'") for each in quoted)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        '"headers": {',
        '\n1 2 3 4\n"',
        "gf groupfifo:0 1800000000000000 0 1 a g",
        "\\",
        "%s %1 %%",
        "\x00\x1f",
        "}" * 99,
    ],
)
def test_a_payload_with_separators_arrives_unchanged(world: World, body: str) -> None:
    world.park("a", body=body)
    world.park("b", body=body)
    message = world.pop() or b""
    assert json.loads(message)["body"] == body
    ticket = ticket_of(message)
    world.begin(ticket)
    done = world.finish(ticket, take="own")
    assert json.loads(done.taken or b"")["body"] == body


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_a_message_is_carried_byte_by_byte(world: World, size: int) -> None:
    every = bytes(range(256))
    front, back = every * (size // 512), every[::-1] * (size // 512)
    entry = make_entry(world.gate, "a")
    entry.message, entry.cut = front + back, len(front)
    world.gate.park(entry, world.gate.number())
    message = world.pop() or b""
    ticket = f"gf {world.keys.tag} {START_MS}000 0 {START_MS}000 a g".encode()
    begins = b'{"properties": {"delivery_tag": "' + ticket + b'", "delivery_info": {'
    assert message == begins + front + b'"headers": {"groupfifo": "' + ticket + b'", ' + back


def test_a_redelivered_message_says_so_at_both_places(world: World) -> None:
    world.gate.surrender([(world.run("a"), True)])
    payload = json.loads(world.pop() or b"")
    assert payload["headers"]["redelivered"] is True
    assert payload["properties"]["delivery_info"]["redelivered"] is True


def test_big_numbers_stay_exact(world: World) -> None:
    ticket = world.run("t0")
    fences = [ticket.fence]
    for n in range(1, 50):
        world.park(f"t{n}")
        done = world.finish(ticket, take="own")
        fences.append(done.fence)
        ticket = ticket_of(done.taken or b"")
    assert all(later - earlier == 1 for earlier, later in pairwise(fences))
