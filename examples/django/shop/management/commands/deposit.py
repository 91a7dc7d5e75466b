"""The command `deposit`: pays in, waits, and prints what was booked."""

import time
from contextlib import suppress
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.db import transaction

from shop.models import Booking, Deposit
from shop.tasks import book

ACCOUNTS, AMOUNTS = (1, 2), (10, 20, 30, 40)


class Command(BaseCommand):
    """Four deposits for each account, and one that is rolled back."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        Booking.objects.all().delete()
        for amount in AMOUNTS:
            for account in ACCOUNTS:
                pay_in(account, amount)
        for account in ACCOUNTS:
            with suppress(ValueError):
                pay_in(account, 99, fails=True)  # rolled back: nothing is sent
        deadline = time.monotonic() + 60
        while Booking.objects.count() < len(ACCOUNTS) * len(AMOUNTS):
            if time.monotonic() > deadline:
                raise CommandError("Not all deposits were booked within a minute. Does the worker run?")
            time.sleep(0.1)
        for account in ACCOUNTS:
            booked = Booking.objects.filter(account=account).order_by("id").values_list("amount", flat=True)
            self.stdout.write(f"account {account}: {' '.join(map(str, booked))}")


def pay_in(account: int, amount: int, fails: bool = False) -> None:
    with transaction.atomic():
        book.delay_on_commit(account, amount)  # sent when the block has ended
        Deposit.objects.create(account=account, amount=amount)
        if fails:
            raise ValueError("refused")
