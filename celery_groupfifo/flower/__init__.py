"""The Groups tab of Flower.

- adapter.py puts our parts into Flower, routes.py has the addresses, http.py the common base of the handlers, which ask
  the running Flower by running.py.
- views.py has the pages, data.py and api.py answer, act.py and act_on_task.py run the buttons' actions; letters.py has
  both for dead letters. board.py runs them in threads, kept.py keeps what takes long.
- index.py lists all groups, outcome_counts.py counts ends of runs by group.
- tasks.py extends Flower's Tasks page, metrics.py its `/metrics`. templates/ and static/ are the pages.

Nothing here imports Flower or tornado unless Flower itself is started.
"""

from celery_groupfifo.flower.adapter import hook, install

__all__ = ["hook", "install"]
