"""Queues and exchanges that travel with a message as JSON: what is made of them declares the same."""

from __future__ import annotations

from typing import Any

import pytest
from kombu import Exchange, Queue
from kombu.common import Broadcast
from kombu.entity import binding
from kombu.utils.json import dumps, loads

from celery_groupfifo.gate.declared import describe_entities, restore_entities

MEDIA = Exchange("media", type="topic", durable=False, arguments={"alternate-exchange": "rest"})
ENTITIES = [
    Queue("celery"),
    Queue("celery", Exchange("celery"), "celery"),
    Queue("video", MEDIA, "media.video.#", queue_arguments={"x-queue-type": "quorum"}, binding_arguments={"n": 1}),
    Queue("short", Exchange(""), "", expires=60.5, message_ttl=1.5, max_length=10, max_length_bytes=2**20),
    Queue("urgent", Exchange("urgent", "direct"), "u", max_priority=10, durable=False, auto_delete=True),
    Queue("both", [binding(MEDIA, "a.#"), binding(Exchange("other"), "b", {"x": 2})]),
    Queue("not mine", MEDIA, "x", no_declare=True),
    MEDIA,
    Exchange("there", "direct", passive=True, auto_delete=True, no_declare=True),
]


class Recorder:
    """A channel that notes what is declared on it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name not in ("exchange_declare", "queue_declare", "queue_bind", "prepare_queue_arguments"):
            raise AttributeError(name)

        def called(*args: Any, **options: Any) -> Any:
            if name == "prepare_queue_arguments":
                return {**args[0], **options}
            self.calls.append((name, options))
            return ("", 0, 0)

        return called


def declaring(entity: Any) -> list[str]:
    recorder = Recorder()
    entity.declare(channel=recorder)
    return sorted(map(repr, recorder.calls))


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
def test_what_is_made_again_declares_the_same(entity: Any) -> None:
    told = loads(dumps(describe_entities([entity])))
    [again] = restore_entities(told)
    assert declaring(again) == declaring(entity)
    assert again.can_cache_declaration == entity.can_cache_declaration


def test_what_is_usual_is_not_told() -> None:
    assert describe_entities([Queue("celery", Exchange("celery"), "celery")]) == [
        {"queue": {"name": "celery", "routing_key": "celery"}, "exchange": {"name": "celery"}}
    ]


def test_what_no_other_process_can_declare_is_left_out() -> None:
    assert describe_entities([Queue("mine", exclusive=True), Queue(""), Queue("ours")]) == [{"queue": {"name": "ours"}}]


def test_a_subclass_is_told_as_what_it_declares() -> None:
    [again] = restore_entities(describe_entities([Broadcast("everyone", queue="q1")]))
    assert isinstance(again, Queue)
    assert (again.name, again.auto_delete, again.exchange.type) == ("q1", True, "fanout")
