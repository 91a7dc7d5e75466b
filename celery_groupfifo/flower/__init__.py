"""The Groups tab of Flower.

- adapter.py is all that knows Flower from the inside, routes.py has the addresses, http.py what all handlers share.
- views.py has the pages, data.py and api.py answer, act.py does what the buttons say; board.py runs them in threads.
- index.py knows all groups, outcome_counts.py counts what workers tell.
- tasks.py is about Flower's Tasks page, metrics.py about its `/metrics`. templates/ and static/ are the pages.

Nothing here imports Flower or tornado unless Flower itself is started.
"""

from celery_groupfifo.flower.adapter import hook, install

__all__ = ["hook", "install"]
