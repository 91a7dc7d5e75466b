"""`celery -A app groupfifo …`: the command line over `Groups`.

root.py is the group of commands, and what they share · look.py reads · act.py changes · letters.py is about dead
letters · examine.py verifies · report.py reports what was observed · measure.py prints or serves metrics · watch.py
repeats a list · output.py prints.

Every `celery …` command imports it, Flower's too: so this is where the Groups tab gets into Flower, and where
`celery inspect` and `celery control` learn our verbs.
"""

from celery_groupfifo.cli import act, examine, letters, look, measure, report, watch
from celery_groupfifo.cli.root import groupfifo
from celery_groupfifo.flower import hook
from celery_groupfifo.worker import inspect as inspect  # the import registers its verbs

for module in (look, act, letters, examine, report, measure, watch):
    for command in module.COMMANDS:
        groupfifo.add_command(command)

hook()

__all__ = ["groupfifo"]
