"""With pydantic, and with every serializer and compression."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from celery_groupfifo import GroupFifoTask, park_many
from tests.compatibility.ecosystem.apps.base import make_app, note

SERIALIZERS = ("json", "msgpack", "pickle", "yaml")
COMPRESSIONS = (None, "gzip", "zstd")

app = make_app("data", accept_content=[*SERIALIZERS], result_accept_content=[*SERIALIZERS])


class Order(BaseModel):
    """An order of a customer."""

    customer: str
    items: list[int]


@app.task(base=GroupFifoTask, group_key="{order[customer]}", pydantic=True)
def ordered_total(order: Order) -> Order:
    note(key="total", items=order.items)
    return Order(customer=order.customer, items=[sum(order.items)])


@app.task(pydantic=True)
def plain_total(order: Order) -> Order:
    return Order(customer=order.customer, items=[sum(order.items)])


@app.task(base=GroupFifoTask, group_key="{key}")
def ordered(key: str, number: int, data: Any) -> Any:
    note(key=key, number=number)
    return data


@app.task
def plain(key: str, number: int, data: Any) -> Any:
    return data


def models() -> list[Any]:
    """Send models, and return the results of ordered tasks and of plain ones."""
    orders = [Order(customer="c", items=[number, 1]).model_dump() for number in range(5)]
    return [
        [result.get(timeout=60) for result in [task.delay(order) for order in orders]]
        for task in (ordered_total, plain_total)
    ]


def serialized() -> list[Any]:
    """Send with every serializer and compression, one by one and in bulk; return the settings that came out wrong."""
    data = {"text": "ä" * 2000, "number": 2**40, "list": [1, None, True]}
    wrong, number = [], 0
    for serializer in SERIALIZERS:
        for compression in COMPRESSIONS:
            options = {"serializer": serializer, "compression": compression}
            key = f"{serializer} {compression}"
            sent = [task.apply_async((key, number, data), **options) for task in (ordered, plain)]
            sent += park_many(ordered.s(key, number + each, data).set(**options) for each in (1, 2))
            if [result.get(timeout=60) for result in sent] != [data] * 4:
                wrong.append(options)
    return wrong
