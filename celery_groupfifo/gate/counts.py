"""The counts of a gate, for `Groups.stats` and the metrics: one reading, so that a word counts the same in both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from celery_groupfifo.gate.keys import Keys, due_score

#: The totals that the scripts add up since the gate was first used, each with what it counts.
TOTALS = {
    "tasks_parked": "Tasks that the gate accepted.",
    "runs_finished": "Runs that ended; a retried task has several.",
    "tasks_held": "Retries and replacements that the gate stored with the end of a run.",
    "tasks_blocked": "Tasks that failed for good and blocked their group.",
    "tasks_reclaimed": "Heads taken back from lost workers.",
    "tasks_surrendered": "Heads surrendered by workers that stopped, were disconnected or lost a child.",
    "tickets_lost": "Tickets that did not reach a worker; their heads were released again.",
    "tasks_revoked": "Tasks taken out at the gate before they ran.",
    "tasks_dead_lettered": "Tasks that became dead letters: dropped, failed under `dead_letter`, or unreadable.",
    "tasks_redriven": "Dead letters that were parked again.",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of groups and tasks at one moment.

    Attributes:
        groups: Groups that hold a task.
        paused_groups: Groups that an operator has paused, empty ones too.
        depth: All tasks: `parked`, `waiting`, `running` and `held`.
        parked: Tasks that wait at the gate, not released yet: in line, or until their ETA.
        scheduled: The parked tasks that wait until their ETA.
        waiting: Released heads that no worker has begun.
        running: Tasks whose lease a worker holds.
        held: Heads that wait for a retry or a replacement, or that a pause or a failure stops.
        dead_letters: Dead letters.
    """

    groups: int = 0
    paused_groups: int = 0
    depth: int = 0
    parked: int = 0
    scheduled: int = 0
    waiting: int = 0
    running: int = 0
    held: int = 0
    dead_letters: int = 0


def ask(pipe: Any, keys: Keys) -> None:
    """Add the reads of a partition's counts to a pipeline."""
    pipe.zcard(keys.depth).zcard(keys.paused).hlen(keys.entries).hlen(keys.flight).zcard(keys.on_the_way)
    pipe.zcount(keys.due, due_score("l", 0), f"({due_score('h', 0)}")  # leases
    pipe.zcount(keys.due, due_score("e", 0), f"({due_score('a', 0)}")  # ETAs
    pipe.llen(keys.dead)


def parse(replies: Sequence[Any]) -> Counts:
    """Return the counts of a partition from the replies to `ask`."""
    groups, paused, depth, under_way, waiting, running, scheduled, dead_letters = map(int, replies)
    return Counts(
        groups=groups,
        paused_groups=paused,
        depth=depth,
        parked=max(depth - under_way, 0),
        scheduled=scheduled,
        waiting=waiting,
        running=running,
        held=max(under_way - waiting - running, 0),
        dead_letters=dead_letters,
    )


def total(parts: Iterable[Counts]) -> Counts:
    """Return the sum of the partitions' counts."""
    return Counts(*map(sum, zip(*map(astuple, parts), strict=True)))
