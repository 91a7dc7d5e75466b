"""The worker: sends each customer's messages one by one, and keeps a record of them in Redis."""

import os
import time

import redis
from celery import Celery

from celery_groupfifo import GroupFifoTask

URL = os.environ.get("REDIS_URL", "redis://localhost:6390")

app = Celery("messages", broker=f"{URL}/0", backend=f"{URL}/1")
app.conf.task_ignore_result = True
app.conf.worker_prefetch_multiplier = 1
app.conf.worker_send_task_events = True  # for the dashboard
app.conf.task_send_sent_event = True

record = redis.Redis.from_url(f"{URL}/2", decode_responses=True)


class GatewayBusyError(Exception):
    """The pretended gateway refuses a message; the next try succeeds."""


@app.task(
    base=GroupFifoTask,
    group_key="{instance_id}:{customer_id}",
    bind=True,
    autoretry_for=(GatewayBusyError,),
    retry_backoff=True,
    retry_backoff_max=2,
    max_retries=5,
    group_on_failure="dead_letter",
)
def send_message(self: GroupFifoTask, instance_id: str, customer_id: str, number: int) -> None:
    time.sleep(0.1)
    if number == 3 and self.request.retries == 0:
        raise GatewayBusyError  # tried again before number 4 begins
    record.rpush(f"sent:{instance_id}:{customer_id}", number)
