"""The configuration that all apps share, so that a ratio compares nothing but the order."""

from __future__ import annotations

import json
import os

from celery import Celery

#: JSON: what a scenario adds, and where the servers are.
CONFIG_VARIABLE = "BENCH_CONFIG"
#: Seconds until the recipe tries again.
COUNTDOWN_VARIABLE = "BENCH_RECIPE_COUNTDOWN"

#: Late acknowledgement is what ordered tasks have: a reference that may lose tasks would be no reference.
_COMMON = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_ignore_result": True,
    "worker_prefetch_multiplier": 1,
    "broker_connection_retry_on_startup": True,
}


def configured_app() -> Celery:
    """An app as the environment says."""
    app = Celery("bench")
    app.conf.update({**_COMMON, **json.loads(os.environ[CONFIG_VARIABLE])})
    return app
