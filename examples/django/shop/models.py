"""Deposits as customers make them, and bookings as the worker makes them."""

from django.db import models


class Deposit(models.Model):
    """Money that a customer has paid in."""

    account = models.IntegerField()
    amount = models.IntegerField()


class Booking(models.Model):
    """A deposit that is booked; ids grow in the order of the bookings."""

    account = models.IntegerField()
    amount = models.IntegerField()
