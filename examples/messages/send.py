"""Send messages of four customers in turn, and print the order in which each customer's were sent on."""

import time

from messages import record, send_message

CUSTOMERS = [(f"instance-{one}", f"customer-{two}") for one in (1, 2) for two in (1, 2)]
MESSAGES = 5

record.delete(*(f"sent:{instance}:{customer}" for instance, customer in CUSTOMERS))
for number in range(1, MESSAGES + 1):
    for instance, customer in CUSTOMERS:
        send_message.delay(instance, customer, number)

deadline = time.monotonic() + 60
while any(record.llen(f"sent:{instance}:{customer}") < MESSAGES for instance, customer in CUSTOMERS):
    if time.monotonic() > deadline:
        raise SystemExit("Not all messages were sent within a minute. Do the workers run?")
    time.sleep(0.1)
for instance, customer in CUSTOMERS:
    print(f"{instance}:{customer}:", *record.lrange(f"sent:{instance}:{customer}", 0, -1))
