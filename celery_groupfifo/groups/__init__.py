"""Operating groups: what an operator, a dashboard or a script asks of the gate, and tells it.

api.py is the front · view.py what it gives · reader.py, listing.py and content.py read · operate.py, purge.py and
letters.py change, each in one atomic step, noted in the audit · explain.py says it in a sentence · verify.py looks
for what can't be, doctor.py at what is around.
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
