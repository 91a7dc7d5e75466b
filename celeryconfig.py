"""A model configuration, for your own app.

Read from the environment:
    REDIS_URL: the server, without a database number (wins over the next two).
    REDIS_HOST, REDIS_PORT: where the server is; localhost and 6379 unless given.
    WORKER_CONCURRENCY: tasks one worker runs at a time; 5 unless given.
"""

import os
from urllib.parse import urlsplit


def _database(number: int) -> str:
    """The URL of one database of the server: broker and results use one each."""
    host, port = os.environ.get("REDIS_HOST") or "localhost", os.environ.get("REDIS_PORT") or "6379"
    server = os.environ.get("REDIS_URL") or f"redis://{host}:{port}"
    # Only the path is ours to set: user, password and TLS options stay.
    return urlsplit(server)._replace(path=f"/{number}").geturl()


# The gate lives in the broker's database: there one script can end a task and release the next.
broker_url = _database(0)

# Results apart, so that flushing them never touches queues or groups.
result_backend = _database(1)

# How many groups one worker can serve at the same time: a group uses one slot at most.
worker_concurrency = int(os.environ.get("WORKER_CONCURRENCY") or 5)

# A worker should take no task that it cannot start: another worker may have a free slot.
worker_prefetch_multiplier = 1

# A message must outlive the worker that runs it: acknowledge at the end, not at the start.
task_acks_late = True

# A killed pool process is not the task's fault: back to the head of its group.
task_reject_on_worker_lost = True

# SIGQUIT (or SIGTERM with REMAP_SIGTERM=SIGQUIT) leaves running tasks this long to end, and well within the
# 30 seconds that orchestrators give before SIGKILL; what has not ended goes back to the head of its group.
worker_soft_shutdown_timeout = 20.0

# A connection that goes dead without being closed must not block a worker's main loop for ever.
broker_transport_options = {"socket_timeout": 10.0}

# Workers may be started before Redis is up.
broker_connection_retry_on_startup = True

# A Redis that turns read-only in a failover must not end its workers: they reconnect, and find the new one. Nor must
# one that is full, and can't take a worker's answer to Flower.
broker_channel_error_retry = True

# Flower and `celery events` see tasks only through events: from the worker,
worker_send_task_events = True

# and from the sender.
task_send_sent_event = True

# "Running" and "waiting" are different answers to "where is my task?".
task_track_started = True

# Results are for the caller, who reads them soon: an hour keeps Redis small (Celery's default is a day).
result_expires = 3600

# A task of unknown length would block its group for ever: after ten minutes it is asked to end,
task_soft_time_limit = 600

# and half a minute later it is killed.
task_time_limit = 630

# JSON only: a message must not be able to run code.
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

# One clock for all machines' logs and ETAs.
enable_utc = True
