"""The installation of groups in an app: the sender and `revoke` are wrapped, the worker gets its step."""

from __future__ import annotations

from celery import Celery

from celery_groupfifo.gate.model import INSTALLED
from celery_groupfifo.sending import publish, revoke

#: By name: only a worker that starts imports the step.
STEP = "celery_groupfifo.worker.step:GroupStep"


def install(app: Celery) -> None:
    """Make `app` use groups. A second call changes nothing.

    Args:
        app: The app.
    """
    publish.hook()
    publish.hook_app(app)
    revoke.hook()
    app.steps["consumer"].add(STEP)
    setattr(app, INSTALLED, True)
