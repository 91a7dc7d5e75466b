"""The worker: delivers messages, and keeps a record of them in Redis."""

import os
import time

import redis
from celery import Celery

from celery_groupfifo import GroupFifoTask

URL = os.environ.get("REDIS_URL", "redis://localhost:6390")

app = Celery("shop", broker=f"{URL}/0", backend=f"{URL}/1")
app.conf.task_ignore_result = True
app.conf.worker_prefetch_multiplier = 1

record = redis.Redis.from_url(f"{URL}/2", decode_responses=True)


@app.task(base=GroupFifoTask, group_key="{customer}")
def deliver(customer: str, text: str) -> None:
    time.sleep(0.2)
    record.rpush(f"delivered:{customer}", text)
