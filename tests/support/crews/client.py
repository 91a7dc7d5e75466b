"""A client that knows no task: `python -m tests.support.crews.client URL KEY` sends three by name, prints their ids."""

from __future__ import annotations

import sys

from celery import Celery

from celery_groupfifo import GroupFifo


def main(url: str, key: str) -> None:
    app = Celery("client", broker=url)
    GroupFifo(app)
    for number in (1, 2, 3):
        print(app.send_task("worker.plain", (number,), group_key=key).id)
    assert "tests.support.crews.app" not in sys.modules and not any(name.startswith("worker.") for name in app.tasks)


if __name__ == "__main__":
    main(*sys.argv[1:])
