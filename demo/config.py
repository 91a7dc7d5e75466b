"""The configuration of the demo's app: the values of the model `celeryconfig.py`, and a short lease.

Read from the environment:
    REDIS_URL: the server; localhost unless given. Databases 0 and 1, unless it names one for both.
    WORKER_CONCURRENCY: slots of one worker; 4 unless given.
    DEMO_LINE: first part of all keys of this run, for a server that others use, too.
    DEMO_LEASE_TTL: seconds after which a silent worker's groups move on; 5 unless given.
"""

import os
from urllib.parse import urlsplit


def _database(number: int) -> str:
    parts = urlsplit(os.environ.get("REDIS_URL") or "redis://localhost:6379")
    return (parts if parts.path.strip("/") else parts._replace(path=f"/{number}")).geturl()


broker_url = _database(0)
result_backend = _database(1)
task_default_queue = "messages"
if _line := os.environ.get("DEMO_LINE"):
    broker_transport_options = {"global_keyprefix": f"{_line}:"}
    groupfifo_namespace = _line

# Shorter than the default of 30 s, so that the demo need not wait; its workers have no long pauses.
groupfifo_lease_ttl = float(os.environ.get("DEMO_LEASE_TTL") or 5)
groupfifo_sweep_interval = min(1.0, groupfifo_lease_ttl / 4)

worker_concurrency = int(os.environ.get("WORKER_CONCURRENCY") or 4)
worker_prefetch_multiplier = 1
task_acks_late = True
task_reject_on_worker_lost = True
broker_connection_retry_on_startup = True

# For Flower, which knows tasks only from events.
worker_send_task_events = True
task_send_sent_event = True
