"""The counts of a gate."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from celery_groupfifo.gate import counts
from celery_groupfifo.gate.counts import Counts
from celery_groupfifo.groups.reader import Reader


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of what has happened since the gate was first used.

    Attributes:
        tasks_parked: Tasks that the gate accepted.
        runs_finished: Runs that ended; a retried task has several.
        tasks_held: Retries and replacements that the gate stored with the end of a run.
        tasks_blocked: Tasks that failed for good and blocked their group.
        tasks_reclaimed: Heads taken back from lost workers.
        tasks_surrendered: Heads surrendered by workers that stopped, were disconnected or lost a child.
        tickets_lost: Tickets that did not reach a worker; their heads were released again.
        tasks_late: Tasks that joined their line after one with a higher order value: their windows were too short.
        tasks_revoked: Tasks taken out at the gate before they ran.
        tasks_dead_lettered: Tasks that became dead letters.
        tasks_redriven: Dead letters that were parked again.
        dead_letters_discarded: Dead letters that operators discarded.
        dead_letters_expired: Dead letters that were removed for their number or their age.
    """

    tasks_parked: int = 0
    runs_finished: int = 0
    tasks_held: int = 0
    tasks_blocked: int = 0
    tasks_reclaimed: int = 0
    tasks_surrendered: int = 0
    tickets_lost: int = 0
    tasks_late: int = 0
    tasks_revoked: int = 0
    tasks_dead_lettered: int = 0
    tasks_redriven: int = 0
    dead_letters_discarded: int = 0
    dead_letters_expired: int = 0


@dataclass(frozen=True, slots=True)
class Stats(Counts):
    """The counts of a gate at one moment, and its totals.

    Attributes:
        groups: Groups that hold a task.
        paused_groups: Groups that an operator has paused, empty ones too.
        blocked_groups: Groups that a failure has blocked, paused ones too.
        depth: All tasks: `parked`, `waiting`, `running` and `held`.
        parked: Tasks that wait at the gate, not released yet: in line, or until their ETA.
        scheduled: The parked tasks that wait until their ETA, or in a window.
        waiting: Released heads that no worker has begun.
        running: Tasks whose lease a worker holds.
        held: Heads that wait for a retry, a replacement or their turns, or that a pause or a failure stops.
        dead_letters: Dead letters.
        totals: Since the gate was first used.
    """

    totals: Totals = Totals()


def stats(reader: Reader) -> Stats:
    """Return the counts, see `Groups.stats`."""
    parts = [counts.read(reader.ask, keys) for keys in reader.partitions]
    totals = Totals(**{name: sum(part.totals[name] for part in parts) for name in counts.TOTALS})
    return Stats(**asdict(counts.total(part.counts for part in parts)), totals=totals)
