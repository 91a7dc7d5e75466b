"""The app of the workers of this suite: that of the chaos tests, with more tasks."""

from __future__ import annotations

from tests.chaos.app import app as app
from tests.stalls import tasks as tasks
