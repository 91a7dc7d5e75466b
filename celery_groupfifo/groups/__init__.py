"""The operation of groups: questions and actions of operators, dashboards and scripts.

- api.py is the front, view.py has the types of its answers.
- reader.py reads groups, listing.py pages of them, content.py entries, find.py finds tasks, stats.py totals, workers.py
  asks living workers. pace.py slows down a process that reads all the time.
- operate.py and letters.py change groups, each in one atomic step: action_calls.py repeats it, audit.py notes it.
- verbs.py says what each verb does, asks and has done, for people.
- explain.py says in a sentence why a group does not move, verify.py checks the stored state for inconsistencies.
- doctor.py checks the surroundings: server.py the gate's Redis, fleet.py the workers.
"""

from celery_groupfifo.groups.api import Groups
from celery_groupfifo.groups.view import (
    Action,
    Breach,
    Check,
    DeadLetter,
    Found,
    Group,
    Page,
    Parked,
    Running,
)

__all__ = [
    "Action",
    "Breach",
    "Check",
    "DeadLetter",
    "Found",
    "Group",
    "Groups",
    "Page",
    "Parked",
    "Running",
]
