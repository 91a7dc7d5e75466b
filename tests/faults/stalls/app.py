"""The app of the workers of this suite: that of the chaos tests, with more tasks."""

from __future__ import annotations

from tests.faults.stalls import tasks as tasks
from tests.support.stages.app import app as app
