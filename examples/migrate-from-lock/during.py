"""A group per customer, and the lock still: only the base class and the key are new.

Messages of old senders run outside of the line, and the lock keeps them apart. A message that finds it taken is tried
again later, and keeps its place now.
"""

from celery import Celery
from texting import client, deliver, settings

from celery_groupfifo import GroupFifoTask

app = Celery("during")
app.conf.update(settings("during"))


@app.task(base=GroupFifoTask, group_key="{customer}", bind=True, max_retries=None)
def send_message(self: GroupFifoTask, customer: str, text: str) -> None:
    lock = client.lock(f"customer:{customer}", timeout=60)
    if not lock.acquire(blocking=False):
        raise self.retry(countdown=2)
    try:
        deliver("during", customer, text)
    finally:
        lock.release()
