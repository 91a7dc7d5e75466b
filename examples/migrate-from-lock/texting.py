"""Set up what all versions share: the settings, the lock, and the delivery, which is recorded in Redis."""

import os
import time

import redis

URL = os.environ.get("REDIS_URL", "redis://localhost:6390")
client = redis.Redis.from_url(f"{URL}/2", decode_responses=True)


def settings(version: str) -> dict[str, object]:
    return {
        "broker_url": f"{URL}/0",
        "task_default_queue": version,
        "task_ignore_result": True,
        "worker_prefetch_multiplier": 1,
    }


def deliver(version: str, customer: str, text: str) -> None:
    time.sleep(0.3)
    client.rpush(f"delivered:{version}:{customer}", text)
