"""The tasks of the shop."""

from celery import shared_task

from celery_groupfifo import GroupFifoTask
from shop.models import Booking


@shared_task(base=GroupFifoTask, group_key="{account}")
def book(account: int, amount: int) -> None:
    Booking.objects.create(account=account, amount=amount)
