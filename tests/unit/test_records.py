"""Texts that the scripts store, read and written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_groupfifo.gate.keys import Quoted, quote
from celery_groupfifo.gate.records import (
    Flight,
    LetterRow,
    PlaceInLine,
    StoredEntry,
    StoredGroup,
    StoredLetter,
    message_of,
    ticket_of,
)

MESSAGE = b'}, "body": "x"}, "groupfifo_key": "a b", "task": "t"}, "rest": 1}'
CUT = MESSAGE.index(b'"groupfifo_key"')


def test_an_entry_is_written_as_it_was_read() -> None:
    text = b"1800 a%20b q " + str(CUT).encode() + b"\n" + MESSAGE
    entry = StoredEntry.parse(text)
    assert entry is not None and entry.text() == text
    assert (entry.us, entry.group, entry.queue, entry.cut) == ("1800", "a%20b", "q", CUT)
    assert entry.headers() == {"groupfifo_key": "a b", "task": "t"}
    assert message_of(text) == entry.whole() and entry.whole().count(b'"headers": {"groupfifo_key"') == 1


@given(st.text(min_size=1, max_size=40))
def test_one_that_moves_changes_its_group_and_nothing_else(key: str) -> None:
    entry = StoredEntry("1800", Quoted("a%20b"), "q", CUT, MESSAGE)
    moved = entry.moved(key)
    assert moved.headers() == {"groupfifo_key": key, "task": "t"} and moved.group == quote(key)
    assert moved.message[:CUT] == MESSAGE[:CUT] and moved.message.endswith(b', "rest": 1}')
    assert StoredEntry.parse(moved.text()) == moved


@pytest.mark.parametrize(
    "text", [None, b"", b"1 g q\nm", b"x g q 3\nm", b"1 g q x\nm", b"1 g q 3", b"1 g q 3 4\nm", b"\xff"]
)
def test_what_is_no_entry(text: bytes | None) -> None:
    assert StoredEntry.parse(text) is None
    assert message_of(text or b"") == b"{}"


@pytest.mark.parametrize("behind", [b"", b"[1]", b"no", b"\xff"])
def test_headers_that_can_not_be_read(behind: bytes) -> None:
    entry = StoredEntry("1", Quoted("g"), "q", 0, behind)
    for read in (entry.headers, lambda: entry.moved("k")):
        with pytest.raises(ValueError):
            read()


RUNNING = Flight("id;r", "running", 6, 7, 1, 1800, Quoted("one%40host/ab12"), None, "b", Quoted("g%20h"), "q", "c.1")


def test_a_record_of_what_is_under_way() -> None:
    line = "r id;r 6 7 - b 1 1800 one%40host/ab12 c.1 q"
    assert Flight.parse(Quoted("g%20h"), line) == RUNNING and RUNNING.line() == line
    assert (RUNNING.task_id, RUNNING.worker) == ("id", "one@host")
    released = Flight.parse(Quoted("g"), "w id 6 - 1900 - 0 1800 - - q")
    assert released is not None
    assert (released.state, released.release, released.fence, released.due) == ("released", 6, 0, 1900)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "r id 7",
        "x id 6 7 - - 1 1800 o - q",
        "r id x 7 - - 1 1800 o - q",
        "r id 6 x - - 1 1800 o - q",
        "r id 6 7 x - 1 1800 o - q",
        "r id 6 7 - - x 1800 o - q",
        "r id 6 7 - - 1 x o - q",
        "r id 6 7 - - 1 1800 o - q q",
    ],
)
def test_what_is_no_record(line: str) -> None:
    assert Flight.parse(Quoted("g"), line) is None


def test_a_groups_state() -> None:
    text = f"pb 2 3\n{RUNNING.line()}"
    group = StoredGroup.parse(Quoted("g%20h"), text.encode())
    assert group == StoredGroup("pb", 2, 3, (RUNNING,)) and group.text() == text
    assert group.depth(10) == 10 - 3 + 2 + 1
    assert StoredGroup.parse(Quoted("g"), None) == StoredGroup() and StoredGroup().text() == "- 0 0"


@pytest.mark.parametrize("text", [b"", b"- 0", b"- x 0", b"\xff", b"- 0 0\nr bad"])
def test_what_is_no_groups_state(text: bytes) -> None:
    assert len(StoredGroup.parse(Quoted("g"), text).unreadable) == 1


def test_a_place_in_line() -> None:
    assert PlaceInLine.parse("1800 id;r") == PlaceInLine("1800", "id;r")


def test_a_dead_letter() -> None:
    why = {"cause": "failed", "exception": "ValueError: boom"}
    stored = json.dumps(why).encode() + b"\n1 g q 0\nmessage"
    assert StoredLetter.parse(stored) == StoredLetter(why, b"1 g q 0\nmessage")
    for text in ("", "corrupt", "{", "[1]", "\ufffd"):
        assert StoredLetter.parse(text.encode()) == StoredLetter({"cause": text}, b"")


def test_a_row_of_dead_letters() -> None:
    assert LetterRow.parse("1800 g id;r") == LetterRow(1800, Quoted("g"), "id;r")
    assert LetterRow.parse("1800 g a name with blanks") == LetterRow(1800, Quoted("g"), "a name with blanks")
    for line in ("", "1800", "1800 g", "x g id"):
        assert LetterRow.parse(line) is None


def test_a_ticket_in_a_message() -> None:
    message = b'{"properties": {"delivery_tag": "gf groupfifo:0 7 0 1800 id g", "delivery_info": {}}}'
    ticket = ticket_of(message)
    assert ticket is not None and (ticket.release, ticket.fence, ticket.id) == (7, 0, "id")
    assert ticket_of(b"{}") is None
