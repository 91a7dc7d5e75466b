"""Queues and exchanges as JSON: the publisher of a ticket declares later what its sender would have declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kombu.entity import Exchange, Queue, binding

from celery_groupfifo.gate.route import Entity

_EXCHANGE = ("name", "type", "arguments", "durable", "passive", "auto_delete", "no_declare")
_QUEUE = (
    *("name", "routing_key", "queue_arguments", "binding_arguments", "durable", "auto_delete", "no_declare"),
    *("expires", "message_ttl", "max_length", "max_length_bytes", "max_priority"),
)


def describe_entities(entities: Iterable[Entity]) -> list[dict[str, Any]]:
    """Describe entities as JSON, without kombu's defaults.

    Queues that another process can't declare are left out: those of one connection, and those that the broker names.
    """
    return [_queue(entity) if isinstance(entity, Queue) else _exchange(entity) for entity in entities if _can(entity)]


def restore_entities(descriptions: Iterable[Mapping[str, Any]]) -> list[Entity]:
    """Make the entities of `describe_entities` again."""
    return [_made_queue(each) if "queue" in each else _made_exchange(each) for each in descriptions]


def _can(entity: Entity) -> bool:
    return bool(entity.name) and not getattr(entity, "exclusive", False)


def _described(entity: Any, kind: type, names: Iterable[str]) -> dict[str, Any]:
    values = {name: getattr(entity, name) for name in names}
    return {name: value for name, value in values.items() if value not in (None, {}, getattr(kind, name, None))}


def _exchange(exchange: Exchange) -> dict[str, Any]:
    return {"exchange": _described(exchange, Exchange, _EXCHANGE)}


def _queue(queue: Queue) -> dict[str, Any]:
    description: dict[str, Any] = {"queue": _described(queue, Queue, _QUEUE)}
    if queue.exchange is not None and queue.exchange.name:
        description |= _exchange(queue.exchange)
    if queue.bindings:
        description["bindings"] = [
            _exchange(each.exchange) | {"key": each.routing_key, "arguments": each.arguments}
            for each in queue.bindings
            if each.exchange is not None
        ]
    return description


def _made_exchange(description: Mapping[str, Any]) -> Exchange:
    return Exchange(**description["exchange"])


def _made_queue(description: Mapping[str, Any]) -> Queue:
    bindings = [
        binding(_made_exchange(each), each.get("key"), each.get("arguments"))
        for each in description.get("bindings", ())
    ]
    exchange = _made_exchange(description) if "exchange" in description else None
    return Queue(exchange=exchange, bindings=bindings or None, **description["queue"])
