"""A group per customer. The lock, its time-out and its retries are gone."""

from celery import Celery
from texting import deliver, settings

from celery_groupfifo import GroupFifoTask

app = Celery("after")
app.conf.update(settings("after"))


@app.task(base=GroupFifoTask, group_key="{customer}")
def send_message(customer: str, text: str) -> None:
    deliver("after", customer, text)
