"""`celery -A app groupfifo …`: the command line over `Groups`.

root.py is the group of commands, and what they share · look.py reads · act.py changes · examine.py verifies ·
measure.py tells metrics · watch.py looks on · output.py prints.
"""

from celery_groupfifo.cli import act, examine, look, measure, watch
from celery_groupfifo.cli.root import groupfifo

for module in (look, act, examine, measure, watch):
    for command in module.COMMANDS:
        groupfifo.add_command(command)

__all__ = ["groupfifo"]
