"""The pages of groups, over any number of them: no KEYS, no SCAN of the database.

By depth and by age all groups are read, a few values of each, see `Reader.survey`; the cursor is a rank in that order:
a group whose depth or age changes between two pages may come twice or not at all. By key the pages are cut from those
of a HSCAN (each group comes at least once), sorted within, and a page's cost does not grow with the number of groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_args

from celery_groupfifo.errors import InvalidOption
from celery_groupfifo.gate.keys import Keys, Quoted, quote
from celery_groupfifo.groups.reader import AT_ONCE, Reader, Surveyed
from celery_groupfifo.groups.survey import FIRSTS, LENGTHS, Look
from celery_groupfifo.groups.view import Group, Page, Sort, State
from celery_groupfifo.settings import check_number

STATES: tuple[State, ...] = get_args(State)
SORTS: tuple[Sort, ...] = get_args(Sort)
#: Groups per round trip.
CHUNK = 500
#: Groups that one call reads in its search for a state: a rare state gives short pages, not slow ones.
LOOKED_AT = 5_000

Order = Callable[[Surveyed], float]
#: The orders of a survey, and what each needs. An unknown age comes last: all that the group has waits for an ETA.
ORDERS: dict[str, tuple[Order, Look]] = {
    "depth": (lambda group: -group.depth, LENGTHS),
    "age": (lambda group: group.since or math.inf, FIRSTS),
}

Name = tuple[int, Quoted]
"""Number of a partition, and a group of it, quoted."""


def list_groups(reader: Reader, state: State | None, sort: Sort, limit: int, cursor: str | None) -> Page[Group]:
    """Return a page of groups, see `Groups.list`."""
    _check(state, sort, limit)
    if state in _INDEXED:
        return _indexed(reader, state, sort, limit, _numbers(cursor, 1)[0])
    if sort == "key":
        return _by_key(reader, state, limit, cursor)
    return _by_rank(reader, state, sort, limit, _numbers(cursor, 1)[0])


def _check(state: str | None, sort: str, limit: int) -> None:
    if state is not None and state not in STATES:
        raise InvalidOption(f"state={state!r} does not work: set it to one of {', '.join(STATES)}, or leave it out.")
    if sort not in SORTS:
        raise InvalidOption(f"sort={sort!r} does not work: set it to one of {', '.join(SORTS)}.")
    check_number("limit", limit, 1)


def _numbers(cursor: str | None, many: int) -> list[int]:
    if cursor is None:
        return [0] * many
    words = str(cursor).split(".")
    if len(words) != many or not all(word.isdecimal() for word in words):
        raise InvalidOption(f"cursor={cursor!r} does not work: give the .cursor of an earlier page of the same list.")
    return [int(word) for word in words]


def _by_key(reader: Reader, state: str | None, limit: int, cursor: str | None) -> Page[Group]:
    """Return a page from those of HSCAN, which may be larger: the cursor says how many groups of one are behind it."""
    at, place, skipped = _numbers(cursor, 3) if cursor else (0, 0, 0)
    found, looked_at = Page[Group](), 0
    while at < len(reader.partitions) and len(found) < limit and looked_at < LOOKED_AT:
        size = min(limit, CHUNK) if state is None else CHUNK
        following, page = reader.one("hscan", reader.partitions[at].groups, place, count=size)
        groups = _read(reader, [(at, Quoted(name.decode())) for name in page]).values()
        matching = sorted(
            (group for group in groups if group.depth and state in (None, group.state)), key=lambda group: group.key
        )
        taken = matching[skipped : skipped + limit - len(found)]
        found += taken
        looked_at += len(page)
        skipped += len(taken)
        if skipped >= len(matching):
            at, place, skipped = at + (not following), following, 0
    found.sort(key=lambda group: group.key)
    found.cursor = f"{at}.{place}.{skipped}" if at < len(reader.partitions) else None
    return found


def _by_rank(reader: Reader, state: str | None, sort: str, limit: int, rank: int) -> Page[Group]:
    order, look = ORDERS[sort]
    first: list[tuple[float, Quoted, int]] = []

    def take(at: int, groups: Iterator[Surveyed]) -> list[tuple[float, Quoted, int]]:
        most, last = rank + limit + 1, math.inf
        found: list[tuple[float, Quoted, int]] = []
        for group in groups:
            if (value := order(group)) <= last and group.depth and (state is None or state == group.state):
                found.append((value, group.name, at))
                if len(found) >= 2 * most:  # half of them come too late
                    found.sort()
                    del found[most:]
                    last = found[-1][0]
        return sorted(found)[:most]

    for at, keys in enumerate(reader.partitions):
        first += reader.survey(keys, partial(take, at), look)
    first.sort()
    names = [(at, name) for _, name, at in first[rank : rank + limit]]
    groups = _read(reader, names)
    page = Page[Group](
        groups[name] for name in names if name in groups and groups[name].depth and state in (None, groups[name].state)
    )
    page.cursor = str(rank + limit) if rank + limit < len(first) else None
    return page


def by_score(reader: Reader, key: str) -> Iterator[list[str]]:
    """Yield the pages of a sorted set, the lowest scores first.

    A page begins with the last member of the one before. When members before that one were removed meanwhile, the page
    begins behind it, and is read again from an earlier rank: so none is hidden. A member whose score grows meanwhile
    comes twice.
    """
    rank, last = 0, (-math.inf, b"")
    while True:
        pairs = reader.one("zrange", key, rank, rank + AT_ONCE - 1, withscores=True)
        page = [(score, member) for member, score in pairs]
        if rank and (not page or page[0] > last):
            rank = max(rank - AT_ONCE, 0)
            continue
        yield [member.decode() for score, member in page if (score, member) > last]
        if len(page) < AT_ONCE:
            return
        rank, last = rank + AT_ONCE - 1, max(last, page[-1])


def _paused(reader: Reader, keys: Keys) -> Iterator[list[str]]:
    return by_score(reader, keys.paused)


def _blocked(reader: Reader, keys: Keys) -> Iterator[list[str]]:
    for page in reader.scan("hscan", keys.flags, CHUNK, "b *"):
        yield [field[2:] for field, _ in page]


#: The states that have an index of their groups, by partition.
_INDEXED: dict[str, Callable[[Reader, Keys], Iterator[list[str]]]] = {"paused": _paused, "blocked": _blocked}


def _indexed(reader: Reader, state: str, sort: str, limit: int, rank: int) -> Page[Group]:
    """Return a page from the index of groups in a state. Only that of paused groups has empty ones."""
    groups: dict[Name, Group] = {}
    for at, keys in enumerate(reader.partitions):
        for names in _INDEXED[state](reader, keys):
            groups |= _read(reader, [(at, Quoted(name)) for name in names])
    orders: dict[str, Callable[[Group], Any]] = {
        "depth": lambda group: (-group.depth, group.key),
        "age": lambda group: (-(group.oldest_age or 0.0), group.key),
        "key": lambda group: group.key,
    }
    found = sorted((group for group in groups.values() if group.state == state), key=orders[sort])
    return Page(found[rank : rank + limit], str(rank + limit) if rank + limit < len(found) else None)


def _read(reader: Reader, names: list[Name]) -> dict[Name, Group]:
    groups = {}
    for at, keys in enumerate(reader.partitions):
        mine = [name for where, name in names if where == at]
        for group in reader.groups(keys, mine):
            groups[at, quote(group.key)] = group
    return groups
