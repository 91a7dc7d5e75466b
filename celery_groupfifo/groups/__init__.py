"""The operation of groups: questions and actions of operators, dashboards and scripts.

- api.py is the front, with controls.py and dead_letters.py; view.py has the types of its answers.
- reader.py reads groups, survey.py a few values of each, listing.py pages of them, content.py entries, find.py finds
  tasks, stats.py totals, leases.py the leases of workers, workers.py asks living workers. pace.py slows down a process
  that reads all the time.
- operate.py changes groups, purge.py takes all tasks out of many, letters.py changes dead letters, in atomic steps:
  action_calls.py repeats it, audit.py notes it.
- terminate.py has a worker end a run. report.py reads what observe mode has counted.
- verbs.py says what each verb does, asks and has done, for people.
- explain.py says in a sentence why a group does not move. verify.py checks the stored state, which state.py reads, for
  inconsistencies (verify_letters.py that of dead letters, verify_identities.py that of identities, verify_several.py
  that of tasks with several keys, verify_turns.py that of turns, verify_partitions.py that of partitions, orders.py
  that of order values, which it reads; verify_plain.py is a short look at groups that are as most are).
  identities.py reads the dedup keys of tasks, several.py says for what tasks with several keys wait, holds.py in a few
  words why heads are held.
- arguments.py refuses arguments of a wrong type.
- doctor.py checks the surroundings: server.py the gate's Redis, fleet.py the workers. status.py says what is wrong now.
"""

from celery_groupfifo.groups.api import Groups
from celery_groupfifo.groups.report import Example, Observed, Report
from celery_groupfifo.groups.stats import Stats, Totals
from celery_groupfifo.groups.view import (
    Action,
    Breach,
    Check,
    DeadLetter,
    End,
    Found,
    Group,
    Limit,
    Page,
    Parked,
    Redriven,
    Running,
    Sort,
    State,
    TaskState,
    Worker,
)

__all__ = [
    "Action",
    "Breach",
    "Check",
    "DeadLetter",
    "End",
    "Example",
    "Found",
    "Group",
    "Groups",
    "Limit",
    "Observed",
    "Page",
    "Parked",
    "Redriven",
    "Report",
    "Running",
    "Sort",
    "State",
    "Stats",
    "TaskState",
    "Totals",
    "Worker",
]
