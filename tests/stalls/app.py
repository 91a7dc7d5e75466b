"""The app of the workers of this suite: that of the chaos tests, with more tasks."""

from __future__ import annotations

import time
from types import SimpleNamespace

from celery_groupfifo.demo import history
from tests.chaos.app import app as app
from tests.stalls import tasks as tasks

if hasattr(time, "unsuspended"):  # see suspendable/sitecustomize.py: the history is written by those who stay awake
    history.time = SimpleNamespace(monotonic=time.unsuspended)  # type: ignore[attr-defined]
