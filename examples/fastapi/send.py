"""A client: posts messages of two customers in turn, and prints the order of their deliveries."""

import json
import os
import time
from urllib.request import Request, urlopen

API = os.environ.get("API_URL", "http://localhost:8000")
CUSTOMERS = ("anna", "ben")
MESSAGES = 5


def call(method: str, customer: str, query: str = "") -> list[str]:
    with urlopen(Request(f"{API}/customers/{customer}/messages{query}", method=method), timeout=10) as answer:
        said = answer.read()
    return list(json.loads(said)) if said else []


for customer in CUSTOMERS:
    call("DELETE", customer)
for number in range(1, MESSAGES + 1):
    for customer in CUSTOMERS:
        call("POST", customer, f"?text={number}")

deadline = time.monotonic() + 60
delivered: dict[str, list[str]] = {}
while any(len(delivered.get(customer, [])) < MESSAGES for customer in CUSTOMERS):
    if time.monotonic() > deadline:
        raise SystemExit(f"Not all messages were delivered within a minute: {delivered}. Does the worker run?")
    time.sleep(0.1)
    delivered = {customer: call("GET", customer) for customer in CUSTOMERS}
for customer in CUSTOMERS:
    print(f"{customer}: {' '.join(delivered[customer])}")
