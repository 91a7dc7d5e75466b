"""The main process prepares what a child would have come to."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from kombu.message import Message

from celery_groupfifo.worker import precomputed
from celery_groupfifo.worker.precomputed import custom_headers, decoded_body
from celery_groupfifo.worker.request import GroupRequest, requesting


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    precomputed._names.clear()
    yield
    precomputed._names.clear()


def request(**headers: Any) -> dict[str, Any]:
    """The values that Celery hands to a child, but for the arguments."""
    app = Celery(set_as_current=False)
    message = app.amqp.as_task_v2("an id", "a task", (1,), {"key": "k"})
    made = {"hostname": "a@b", "properties": message.properties, "delivery_info": {}, "eta": None}
    return {**message.headers, **headers, **made}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"mine": {"a": [1]}, "other": None},
        {"id_of_mine": 1, "task_of_mine": 2},
        {"stamps": {"a": 1}, "stamped_headers": ["a"]},
    ],
)
def test_custom_headers_are_those_of_the_context(headers: dict[str, Any]) -> None:
    for again in range(2):
        made = request(**headers) | {"again": again}
        expected = Context(made, args=(1,), called_directly=False, kwargs={}).headers
        assert expected == {
            "again": again,
            **{name: value for name, value in headers.items() if not name.startswith("stamp")},
        }
        assert custom_headers(made) == expected
        with_them = Context({**made, "headers": custom_headers(made)}, args=(1,), called_directly=False, kwargs={})
        without = Context(made, args=(1,), called_directly=False, kwargs={})
        assert vars(with_them) == vars(without)


def test_a_request_without_any_has_none() -> None:
    made = request()
    assert Context(made).headers is None
    assert custom_headers(made) is None
    assert custom_headers(made) is None


def test_names_without_number_are_forgotten() -> None:
    for number in range(precomputed.KINDS + 10):
        made = {"id": "an id", f"header-{number}": number}
        assert custom_headers(made) == {f"header-{number}": number}
    assert len(precomputed._names) <= precomputed.KINDS


def test_a_body_is_sent_decoded_where_the_request_has_its_arguments() -> None:
    body = '[[1, "a"], {"key": "k"}, {"chain": null}]'
    message = Message(body, content_type="application/json", content_encoding="utf-8", accept={"application/json"})
    args, kwargs, embed = message.payload
    assert decoded_body(message, {"args": args, "kwargs": kwargs}) == [args, kwargs, embed]
    assert decoded_body(message, {}) is None, "Celery 5.6 and older"
    assert decoded_body(Message("no JSON", content_type="application/json"), {}) is None, "and it is not even decoded"
    assert decoded_body(message, {"args": [1, "a"]}) is None, "somebody has changed them"


@pytest.mark.parametrize("precomputes", [True, False])
def test_what_goes_to_a_child_is_precomputed(precomputes: bool) -> None:
    """Other pools get what came: a task that changes its arguments must not change those of the request."""
    body = '[[1, [2]], {"key": "k"}, {"chain": null}]'
    headers = request(groupfifo="a ticket", groupfifo_key="g", groupfifo_max_lost=2, mine=1)
    message = Message(body, content_type="application/json", content_encoding="utf-8", accept={"application/json"})
    message.headers = headers
    run: Any = SimpleNamespace(since=3.0, set_request=lambda request: None)
    app = Celery(set_as_current=False)

    @app.task(name="a task", shared=False)
    def a_task() -> None: ...

    class Mixed(GroupRequest):
        member: Any = SimpleNamespace(
            pool=SimpleNamespace(precomputes=precomputes),
            runs=SimpleNamespace(of={"a ticket": run}.get),
            gate=SimpleNamespace(settings=SimpleNamespace(lease_ttl=2.0)),
        )

    with requesting(run):
        made = Mixed(message, app=app, task=app.tasks["a task"], headers=headers, body=body)
    sent = made.request_dict
    if precomputes and "args" in sent:
        assert (made.content_type, made.content_encoding) == (None, None)
        assert made.body == [[1, [2]], {"key": "k"}, {"chain": None}]
    else:
        assert (made.content_type, made.content_encoding, made.body) == ("application/json", "utf-8", body)
    assert sent.get("headers") == ({"mine": 1} if precomputes else None)
    assert Context(sent).headers == {"mine": 1}, "ours are not the task's"
