"""Send four messages of one customer with one version: `python send.py before|during|after`."""

import importlib
import sys
import time

from texting import client

version = sys.argv[1]
send_message = importlib.import_module(version).send_message
name = f"delivered:{version}:anna"
client.delete(name)


def wait_for(count: int) -> None:
    deadline = time.monotonic() + 60
    while client.llen(name) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"Only {client.llen(name)} messages were delivered within a minute. Does the worker run?")
        time.sleep(0.01)


for number in range(1, 4):
    send_message.delay("anna", str(number))
wait_for(1)  # now the lock is free, and those that found it taken wait for their retry
send_message.delay("anna", "4")
wait_for(4)
print(*client.lrange(name, 0, -1))
