"""Plain Celery, without the package: the reference."""

from __future__ import annotations

from benchmarks.apps import work
from benchmarks.apps.config import configured_app

app = configured_app()

noop = app.task(name="bench.noop")(work.noop)
step = app.task(name="bench.step")(work.step)
