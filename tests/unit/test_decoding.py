"""Messages of a batch that are decoded together: what comes of it is what kombu makes of each."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import datetime
from typing import Any

import pytest
from kombu.serialization import registry
from kombu.utils.json import dumps, loads

from celery_groupfifo.worker.delivery import HandedOffMessage, decode, decode_bodies

JSON = "application/json"


def message(body: Any, kind: str = JSON) -> HandedOffMessage:
    """A message as the gate returns it, decoded with others."""
    text = b64encode(dumps(body).encode()).decode()
    properties = {"body_encoding": "base64", "delivery_tag": "tag"}
    raw = dumps({"body": text, "content-type": kind, "content-encoding": "utf-8", "properties": properties}).encode()
    return HandedOffMessage(raw, None, decode([raw])[0])


@pytest.mark.parametrize(
    "texts",
    [
        ['{"a": 1}', '{"b": [1.5, null, 12345678901234567890]}'],
        [dumps({"at": datetime(2026, 1, 1)}), '{"a": 1}'],
        ['{"\\u005f_type__": "datetime", "__value__": "2026-01-01T00:00:00"}'],
        ['{"a": "\\u00e9 \\u4e2d é"}'],
        [],
    ],
)
def test_each_is_what_kombu_makes_of_it(texts: list[str]) -> None:
    raws = [text.encode() for text in texts]
    found = decode(raws)
    assert len(found) == len(raws)
    assert [loads(raw) if each is None else each for raw, each in zip(raws, found, strict=True)] == list(
        map(loads, raws)
    )


def test_one_that_can_not_be_read_leaves_all_to_kombu() -> None:
    assert decode([b'{"a": 1}', b'{"b": ', b'{"c": 3}']) == [None, None, None]
    assert decode([b"1, 2", b"3"]) == [None, None]


def test_bodies_are_decoded_together() -> None:
    some = [message([[number], {}, {}]) for number in range(3)]
    decode_bodies(some, {JSON})
    assert [each._decoded_cache for each in some] == [[[0], {}, {}], [[1], {}, {}], [[2], {}, {}]]


def test_types_of_kombu_are_left_to_it() -> None:
    one = message([[datetime(2026, 1, 1)], {}, {}])
    one.accept = {JSON}
    decode_bodies([one], {JSON})
    assert one.payload == [[datetime(2026, 1, 1)], {}, {}]


@pytest.mark.parametrize(("kind", "accept"), [(JSON, {"application/x-yaml"}), (JSON, None), ("text/other", {JSON})])
def test_a_content_that_the_worker_may_not_take_is_left_to_kombu(kind: str, accept: Any) -> None:
    one = message([[1], {}, {}], kind)
    decode_bodies([one], accept)
    assert one._decoded_cache is None


def test_so_is_one_with_a_decoder_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._decoders, JSON, json.loads)
    one = message([[1], {}, {}])
    decode_bodies([one], {JSON})
    assert one._decoded_cache is None
