"""What makes an app use groups: the publish side on import, the worker's step per app."""

from __future__ import annotations

from celery import Celery

from celery_groupfifo.gate.model import INSTALLED
from celery_groupfifo.sending import publish, revoke

#: The worker's part; named, so that a process that only sends never imports it.
STEP = "celery_groupfifo.worker.step:GroupStep"


def install(app: Celery) -> None:
    """Make `app` use groups. May be called again."""
    publish.hook()
    publish.hook_app(app)
    revoke.hook()
    app.steps["consumer"].add(STEP)
    setattr(app, INSTALLED, True)
