"""The pages of groups, over any number of them: no KEYS, no SCAN of the database, and a page's cost does not grow.

By depth a page is a range of an index, and the cursor a rank: a group whose depth changes between two pages may come
twice or not at all. By key the pages are those of a ZSCAN (about `limit` groups, each at least once), sorted within. By
age all groups are read, four words of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from heapq import merge, nsmallest
from itertools import islice
from typing import Any

from celery_groupfifo.errors import InvalidOption
from celery_groupfifo.gate.keys import Quoted, quote
from celery_groupfifo.groups.reader import Reader, Surveyed
from celery_groupfifo.groups.view import Group, Page
from celery_groupfifo.settings import check_number

STATES = ("running", "waiting", "held", "paused", "blocked", "draining")
SORTS = ("depth", "age", "key")
#: Groups per round trip.
CHUNK = 500
#: Groups that one call reads in its search for a state: a rare state gives short pages, not slow ones.
LOOKED_AT = 5_000

Name = tuple[int, Quoted]
"""Number of a partition, and a group of it, quoted."""


def list_groups(reader: Reader, state: str | None, sort: str, limit: int, cursor: str | None) -> Page[Group]:
    """Return a page of groups, see `Groups.list`."""
    _check(state, sort, limit)
    if state == "paused":
        return _paused(reader, sort, limit, _numbers(cursor, 1)[0])
    if sort == "key":
        return _by_key(reader, state, limit, cursor)
    if sort == "age":
        return _by_age(reader, state, limit, _numbers(cursor, 1)[0])
    return _by_depth(reader, state, limit, _numbers(cursor, len(reader.partitions)))


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


def _by_depth(reader: Reader, state: str | None, limit: int, ranks: list[int]) -> Page[Group]:
    streams = [_deepest(reader, at, rank) for at, rank in enumerate(ranks)]
    names = ((at, name) for _, name, at in merge(*streams))

    def passed(at: int) -> str:
        ranks[at] += 1
        return ".".join(map(str, ranks))

    return _filled(reader, names, state, limit, passed)


def _deepest(reader: Reader, at: int, rank: int) -> Iterator[tuple[float, Quoted, int]]:
    """Yield groups of one partition from a rank on, the deepest first."""
    depth = reader.partitions[at].depth
    while True:
        pairs = reader.one("zrevrange", depth, rank, rank + CHUNK - 1, withscores=True)
        yield from ((-score, name.decode(), at) for name, score in pairs)
        if len(pairs) < CHUNK:
            return
        rank += CHUNK


def _by_key(reader: Reader, state: str | None, limit: int, cursor: str | None) -> Page[Group]:
    at, place = _numbers(cursor, 2) if cursor else (0, 0)
    found, looked_at = Page[Group](), 0
    while at < len(reader.partitions) and len(found) < limit and looked_at < LOOKED_AT:
        depth = reader.partitions[at].depth
        size = min(limit, CHUNK) if state is None else CHUNK
        place, pairs = reader.one("zscan", depth, place, count=size)
        groups = _read(reader, [(at, name.decode()) for name, _ in pairs]).values()
        found += [group for group in groups if state in (None, group.state)]
        looked_at += len(pairs)
        at += not place
    found.sort(key=lambda group: group.key)
    found.cursor = f"{at}.{place}" if at < len(reader.partitions) else None
    return found


def _by_age(reader: Reader, state: str | None, limit: int, rank: int) -> Page[Group]:
    partitions = range(len(reader.partitions))
    # An unknown age comes last: all that the group has waits for an ETA.
    ages = [(since or math.inf, name, at) for at in partitions for name, since in _ages(reader, at).items()]
    most = rank + (limit if state is None else LOOKED_AT)
    wanted = iter([(at, name) for _, name, at in nsmallest(most, ages)[rank:]])

    def passed(at: int) -> str:
        nonlocal rank
        rank += 1
        return str(rank)

    page = _filled(reader, wanted, state, limit, passed)
    page.cursor = str(rank) if rank < len(ages) else None
    return page


def _ages(reader: Reader, at: int) -> dict[Quoted, int]:
    """Return since when (ms) each group of a partition waits: its first in line, or else its entry in flight."""

    def take(pages: Iterator[Surveyed]) -> dict[Quoted, int]:
        return {
            Quoted(name): int(parked) or int(since)
            for page in pages
            for name, parked, since in zip(page.names, page.words[0], page.words[1][1::3], strict=True)
        }

    return reader.survey(reader.partitions[at], ["ages", "states"], take)


def _paused(reader: Reader, sort: str, limit: int, rank: int) -> Page[Group]:
    """Return a page from the index of paused groups, the only one that has empty ones."""
    groups: dict[Name, Group] = {}
    for at, keys in enumerate(reader.partitions):
        for names in reader.by_score(keys.paused, 0, "+inf"):
            groups |= _read(reader, [(at, Quoted(name)) for name in names])
    orders: dict[str, Callable[[Group], Any]] = {
        "depth": lambda group: -group.depth,
        "age": lambda group: -(group.oldest_age or 0),
        "key": lambda group: group.key,
    }
    found = sorted((group for group in groups.values() if group.state == "paused"), key=orders[sort])
    return Page(found[rank : rank + limit], str(rank + limit) if rank + limit < len(found) else None)


def _filled(
    reader: Reader, names: Iterator[Name], state: str | None, limit: int, passed: Callable[[int], str]
) -> Page[Group]:
    """Return a page from names in their order; `passed` counts one and returns the cursor behind it."""
    found, looked_at = Page[Group](), 0
    while chunk := list(islice(names, CHUNK if state else limit - len(found))):
        groups = _read(reader, chunk)
        for name in chunk:
            cursor = passed(name[0])
            group = groups.get(name)
            if group is not None and state in (None, group.state):
                found.append(group)
                if len(found) == limit:
                    found.cursor = cursor
                    return found
        looked_at += len(chunk)
        if looked_at >= LOOKED_AT:
            found.cursor = cursor
            return found
    return found


def _read(reader: Reader, names: list[Name]) -> dict[Name, Group]:
    groups = {}
    for at, keys in enumerate(reader.partitions):
        mine = [name for where, name in names if where == at]
        for group in reader.groups(keys, mine):
            groups[at, quote(group.key)] = group
    return groups
