"""The messages of the demo, their receivers, and their outcomes: the same in each run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from zlib import crc32

MESSAGING_INSTANCES = 3
CUSTOMERS = 20
FAILS_ONE_IN = 17
RETRY_SECONDS = 0.2
TEXTS = ("Hello!", "Where is my parcel?", "It arrived.", "The box is empty.", "Thank you.", "Anybody there?")

Customer = tuple[str, str]


def customers_of(producer: int, producers: int) -> list[Customer]:
    """Return the customers that a producer owns, as instance and customer: a fair share of all.

    Args:
        producer: its number, from 0.
        producers: number of producers.
    """
    everybody = [
        (f"instance-{instance}", f"customer-{customer:02}")
        for customer in range(1, CUSTOMERS + 1)
        for instance in range(1, MESSAGING_INSTANCES + 1)
    ]
    return everybody[producer::producers]


def interleaved(customers: Sequence[Customer], seed: int) -> Iterator[Customer]:
    """Yield customers without end, shuffled: all come up equally often, some several times in a row."""
    shuffle = random.Random(seed)
    while True:
        rounds = list(customers) * 3
        shuffle.shuffle(rounds)
        yield from rounds


def seconds_of_work(group: str, seq: int) -> float:
    """Return the seconds that a message takes: 0.02 to 0.06."""
    return 0.02 + crc32(f"work {group} {seq}".encode()) % 41 / 1000


def fails_at_first(group: str, seq: int) -> bool:
    """Return whether the first try of a message fails: one in `FAILS_ONE_IN` does."""
    return crc32(f"fail {group} {seq}".encode()) % FAILS_ONE_IN == 0
