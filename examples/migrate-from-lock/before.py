"""A lock per customer; a message that finds it taken is tried again later, and has lost its place."""

from celery import Celery, Task
from texting import client, deliver, settings

app = Celery("before")
app.conf.update(settings("before"))


@app.task(bind=True, max_retries=None)
def send_message(self: "Task[..., None]", customer: str, text: str) -> None:
    lock = client.lock(f"customer:{customer}", timeout=60)
    if not lock.acquire(blocking=False):
        raise self.retry(countdown=2)
    try:
        deliver("before", customer, text)
    finally:
        lock.release()
