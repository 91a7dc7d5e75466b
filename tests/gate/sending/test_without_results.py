"""A send whose result backend is away: one sentence, and an error that handlers of a broken broker know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import celery
import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from celery_groupfifo import GateUnavailable, GroupFifoTask, Groups, UnknownGroup

NOBODY = "redis://127.0.0.1:1/1"


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = Celery("shop", broker=redis_url, backend=NOBODY, set_as_current=False)
    once = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    app.conf.result_backend_transport_options = {"retry_policy": once}

    def send(key: str) -> None: ...

    def breaks(key: str) -> None: ...

    app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
    app.task(base=GroupFifoTask, group_key=lambda key: boom(), name="breaks", lazy=False, shared=False)(breaks)
    yield app
    app.close()


def boom() -> str:
    raise RuntimeError("of the user's own")


@pytest.mark.skipif(celery.__version__ < "5.6", reason="Celery 5.5 raises the error of redis-py, which says it already")
def test_it_says_that_nothing_was_sent_and_why(app: Celery) -> None:
    with pytest.raises(GateUnavailable) as caught:
        app.tasks["send"].delay("k")
    said = str(caught.value)
    assert said.startswith(
        "send was not sent, because the result backend can't be reached: Error 111 connecting to 127"
    )
    assert "\n" not in said and "ignore_result=True" in said
    assert isinstance(caught.value, OperationalError)
    with pytest.raises(UnknownGroup):
        Groups(app).get("k")


def test_another_error_stays_what_it_is(app: Celery) -> None:
    with pytest.raises(Exception, match="of the user's own") as caught:
        app.tasks["breaks"].apply_async(("k",), ignore_result=True)
    assert not isinstance(caught.value, GateUnavailable)


def test_without_a_result_it_is_sent(app: Celery) -> None:
    sent: Any = app.tasks["send"].apply_async(("k",), ignore_result=True)
    assert Groups(app).get("k").head == sent.id
