"""The Groups tab of Flower.

adapter.py is all that knows Flower from the inside · views.py, data.py and api.py answer · board.py reads the gate for
them, in threads · index.py knows all groups · seen.py counts what workers tell · templates/ and static/ are the pages.

Nothing here imports Flower or tornado unless Flower itself is started.
"""

from celery_groupfifo.flower.adapter import hook, install

__all__ = ["hook", "install"]
