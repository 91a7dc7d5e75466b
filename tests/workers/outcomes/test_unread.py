"""Messages that never become a run: Celery refuses them, and their group goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import NotRegistered
from kombu.serialization import register, registry

from tests.support.crews.workers import Crew

#: Bodies that do not keep what their content type promises.
BODIES = {"undecodable": b"{no json", "no-list": b"7", "too-short": b"[[1], {}]", "null": b"null"}


@pytest.fixture(scope="module", autouse=True)
def broken_serializers() -> Iterator[None]:
    for name, body in BODIES.items():
        register(name, lambda value, body=body: body, lambda text: text, "application/json", "utf-8")
    # Registered for sending only: what is read as JSON must still be.
    from kombu.serialization import register_json

    register_json()
    yield
    for name in BODIES:
        registry.unregister(name)
    register_json()


def send_bad(crew: Crew, key: str, number: int, kind: str) -> Any:
    if kind == "unknown":
        return crew.app.send_task("worker.unknown", (key, number), group_key=key)
    return crew.task("act").apply_async((key, number), serializer=kind)


@pytest.mark.parametrize("kind", ["unknown", "pickle", *BODIES])
def test_the_group_goes_on(crew: Crew, key: str, kind: str) -> None:
    # The first comes from the broker, the next two with the end of another run.
    results = [send_bad(crew, key, 0, kind), crew.send(key, 1)]
    results += [send_bad(crew, key, number, kind) for number in (2, 3)]
    results += [crew.send(key, 4)]
    crew.wait_for(key, [1, 4])
    crew.state(results[1], "SUCCESS")
    crew.state(results[4], "SUCCESS")
    for number in (0, 2, 3):
        crew.state(results[number], "FAILURE" if kind == "unknown" else "PENDING")
        assert kind != "unknown" or isinstance(results[number].result, NotRegistered)
    crew.all_slots()
    assert crew.worker.alive
