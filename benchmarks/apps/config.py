"""The configuration that all apps share, so that a ratio compares only the order."""

from __future__ import annotations

import json
import os

from celery import Celery

#: JSON: the scenario's own settings, and the servers' URLs.
CONFIG_VARIABLE = "BENCH_CONFIG"
#: Seconds until the recipe tries again.
COUNTDOWN_VARIABLE = "BENCH_RECIPE_COUNTDOWN"

#: Late acknowledgement, as ordered tasks have it: a reference that may lose tasks would not be comparable.
_COMMON = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_ignore_result": True,
    "worker_prefetch_multiplier": 1,
    "broker_connection_retry_on_startup": True,
}


def configured_app() -> Celery:
    """Return an app with the configuration in the environment."""
    app = Celery("bench")
    app.conf.update({**_COMMON, **json.loads(os.environ[CONFIG_VARIABLE])})
    return app
