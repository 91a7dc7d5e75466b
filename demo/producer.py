"""A producer: sends messages to the customers it owns, interleaved, and numbers them per customer.

A group belongs to one producer, which sends its next message only when `delay` has returned for the one
before: that makes `seq` the order in which the gate accepted them.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections import Counter
from collections.abc import Sequence
from itertools import count
from types import FrameType

from celery_groupfifo.testing.history import record
from demo.app import history_file, send_message
from demo.messages import TEXTS, Customer, customers_of, interleaved


class Producer:
    """A sender of messages, until they are sent or it is told to stop."""

    def __init__(self, number: int, producers: int) -> None:
        self.number = number
        self.stopping = False
        self._history = history_file(f"producer-{number}")
        self._seq: Counter[Customer] = Counter()
        self._next = interleaved(customers_of(number, producers), seed=number)

    def stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop after the current message; this is a signal handler."""
        self.stopping = True

    def send(self, messages: int | None, per_second: float) -> None:
        """Send messages.

        Args:
            messages: their number, or None for no end.
            per_second: the rate, at most.
        """
        started = time.monotonic()
        for number in count():
            if self.stopping or number == messages:
                return
            self._send_one()
            time.sleep(max(0.0, started + (number + 1) / per_second - time.monotonic()))

    def _send_one(self) -> None:
        customer = next(self._next)
        self._seq[customer] += 1
        seq = self._seq[customer]
        # Only the id is kept of the result: results that live on when their Redis stops delay our exit.
        message_id = send_message.delay(*customer, seq, TEXTS[seq % len(TEXTS)]).id
        record(self._history, ev="sent", group=":".join(customer), seq=seq, id=message_id)


def main(arguments: Sequence[str] | None = None) -> int:
    """Send messages, fast at first, then for ever if asked to."""
    parser = argparse.ArgumentParser(prog="python -m demo.producer", description=main.__doc__)
    parser.add_argument("--number", type=int, default=0, help="which of the producers this one is")
    parser.add_argument("--producers", type=int, default=1, help="how many there are")
    parser.add_argument("--messages", type=int, default=600, help="messages to send")
    parser.add_argument("--rate", type=float, default=120, help="messages per second, at most")
    parser.add_argument("--then", type=float, help="messages per second afterwards, without end")
    options = parser.parse_args(arguments)
    producer = Producer(options.number, options.producers)
    signal.signal(signal.SIGTERM, producer.stop)
    producer.send(options.messages, options.rate)
    if options.then:
        producer.send(None, options.then)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
