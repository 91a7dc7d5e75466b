"""Operating groups: what an operator, a dashboard or a script asks of the gate, and tells it.

- api.py is the front, view.py what it gives.
- reader.py reads groups, listing.py pages of them, content.py entries, find.py finds tasks, stats.py totals, workers.py
  asks living workers.
- operate.py and letters.py change, each in one atomic step: calls.py repeats it, audit.py notes it.
- explain.py says in a sentence why a group does not move, verify.py looks for what can't be.
- doctor.py looks at what is around: server.py at the gate's Redis, fleet.py at the workers.
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
