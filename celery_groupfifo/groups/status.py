"""The present state of a gate: groups that do not move, workers that do not answer, dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from celery import Celery

from celery_groupfifo.gate.keys import unquote
from celery_groupfifo.groups.fleet import ask_fleet, check_presence
from celery_groupfifo.groups.reader import Reader, Surveyed
from celery_groupfifo.groups.report import mode_check
from celery_groupfifo.groups.stats import stats
from celery_groupfifo.groups.survey import FIRSTS
from celery_groupfifo.groups.view import Check, count, named, span


class _Slow(NamedTuple):
    """The groups of a gate that do not move, and the longest wait of the others, in ms of waiting."""

    blocked: dict[str, float]
    held: dict[str, float]
    waiting: dict[str, float]


def status(app: Celery, reader: Reader, longer: float) -> list[Check]:
    """Return the checks, see `Groups.status`."""
    now = reader.now()
    parts = [reader.survey(keys, partial(_slow, now), FIRSTS) for keys in reader.partitions]
    slow = _Slow(*({key: ms for part in parts for key, ms in part[at].items()} for at in range(3)))
    letters = stats(reader).dead_letters
    return [
        *mode_check(reader),
        _blocked(slow.blocked),
        _late(
            "held",
            "held",
            slow.held,
            longer,
            "Their heads wait for a retry, a reserved time or their turns.",
        ),
        _late("waiting", "waiting", slow.waiting, longer, "Their tasks wait for slots, or behind a long run."),
        Check.of(
            "dead_letters",
            not letters,
            f"There are {count(letters, 'dead letter')}." if letters else "There are no dead letters.",
            "Each is a task that was set aside: nobody runs it unless somebody decides so.",
            "Look at `groupfifo dead-letters`; `redrive` parks one again.",
        ),
        *check_presence(app, reader, ask_fleet(app)),
    ]


def _slow(now: float, groups: Iterator[Surveyed]) -> _Slow:
    found = _Slow({}, {}, {})
    for group in groups:
        if "b" in group.letters:
            found.blocked[unquote(group.name)] = now - group.head
        elif "p" not in group.letters and group.since:
            kind = found.held if "h" in group.letters else found.waiting
            kind[unquote(group.name)] = now - group.since
    return found


def _blocked(ages: dict[str, float]) -> Check:
    keys = sorted(ages, key=lambda key: -ages[key])
    return Check.of(
        "blocked",
        not keys,
        f"{count(len(keys), 'group')} blocked by the failure of a head: {named(keys)}."
        if keys
        else "No group is blocked.",
        "Nothing of such a group starts until an operator decides on its head.",
        "`groupfifo explain KEY` says what it raised; then `retry`, `skip` or `drop`.",
        found=keys,
    )


def _late(name: str, word: str, ages: dict[str, float], longer: float, why: str) -> Check:
    keys = sorted((key for key in ages if ages[key] > longer * 1000), key=lambda key: -ages[key])
    most = max(ages.values(), default=0.0) / 1000
    return Check.of(
        name,
        not keys,
        f"{count(len(keys), 'group')} {word} for longer than {span(longer)}, up to {span(most)}: {named(keys)}."
        if keys
        else f"No group is {word} for longer than {span(longer)}; the longest: {span(most)}.",
        why,
        "`groupfifo explain KEY` says what it waits for.",
        found=keys,
    )
