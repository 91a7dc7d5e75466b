"""Pydantic's models, and every serializer and compression, with ordered tasks as with plain ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.compatibility.ecosystem.stage import Stage


@pytest.fixture
def data(make_stage: Callable[[str], Stage]) -> Stage:
    stage = make_stage("data")
    stage.worker(C_FORCE_ROOT="1")  # pickle
    return stage


def test_pydantic_tasks(data: Stage) -> None:
    ordered, plain = data.call("models")
    assert ordered == plain == [{"customer": "c", "items": [number + 1]} for number in range(5)]
    assert [run["items"] for run in data.notes(key="total")] == [[number, 1] for number in range(5)]


def test_serializers_and_compressions(data: Stage) -> None:
    assert data.call("serialized") == []
    keys = {note["key"] for note in data.notes()}
    assert len(keys) == 4 * 3
    for key in keys:
        assert [run["number"] for run in data.notes(key=key)] == [0, 1, 2]
