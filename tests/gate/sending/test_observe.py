"""Sends in observe mode: in Celery's way, with a header, in every way to send; the gate fails and delays none."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery, chain

from celery_groupfifo import GroupFifo, GroupFifoTask, InvalidOption, park_many
from celery_groupfifo.gate.model import OBSERVED_HEADER
from celery_groupfifo.sending import observe
from celery_groupfifo.testing import embedded


@pytest.fixture
def make(redis_url: str) -> Iterator[Callable[..., Celery]]:
    made: list[Celery] = []

    def make(**conf: Any) -> Celery:
        app = Celery("observed", broker=redis_url, set_as_current=False)
        app.conf.update(groupfifo_mode="observe", task_ignore_result=True, **conf)
        GroupFifo(app)
        made.append(app)

        def send(key: str) -> None: ...

        app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
        app.task(name="plain", lazy=False, shared=False)(send)
        return app

    yield make
    for app in made:
        app.close()


def sent(url: str) -> list[tuple[str, Any]]:
    """The messages at the broker, first one first: their keys, and the header."""
    messages = [json.loads(text) for text in redis.Redis.from_url(url).lrange("celery", 0, -1)]
    return [(each["headers"]["argsrepr"], each["headers"].get(OBSERVED_HEADER)) for each in reversed(messages)]


def test_every_way_draws_a_place(make: Callable[..., Celery], redis_url: str) -> None:
    app = make()
    task = app.tasks["send"]
    task.delay("k")
    task.apply_async(("k",))
    task.s("k").apply_async()
    app.send_task("unknown", ("k",), group_key="k")
    app.tasks["plain"].apply_async(("k",), group_key="k")
    park_many([task.s("k"), task.s("k")])
    chain(task.si("k"), task.si("later")).delay()
    app.tasks["plain"].delay("k")
    task.apply_async(("k",), headers={"groupfifo_group_key": "k"}, group_rate="1/m", group_max_depth=1)
    task.apply_async(("k",), countdown=60, group_eta="reject", group_concurrency=3)
    seen = sent(redis_url)
    assert [header for _, header in seen] == [*(f"{place} 1 k" for place in range(1, 9)), None, "9 1 k", "-1 3 k"]
    assert not redis.Redis.from_url(redis_url).exists("{groupfifo:0}:entries", "{groupfifo:0}:groups")


def test_headers_that_a_run_passes_on_count_for_its_retry_only(
    make: Callable[..., Celery], redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = make().tasks["send"]
    task.delay("k")
    task.apply_async(("k",), headers={OBSERVED_HEADER: "1 1 k"}, retries=1)
    task.apply_async(("k",), headers={OBSERVED_HEADER: "1 1 k"})
    task.apply_async(("k",), headers={OBSERVED_HEADER: "nonsense"}, retries=1)
    assert [header for _, header in sent(redis_url)] == ["1 1 k", "1 1 k", "2 1 k", "3 1 k"]
    assert not caplog.records


def test_a_key_that_cannot_be_built_fails_no_call(
    make: Callable[..., Celery], redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = make().tasks["send"]
    for _ in range(3):
        task.delay("")
    assert [header for _, header in sent(redis_url)] == [None] * 3
    (record,) = caplog.records
    assert "not observed, and would raise InvalidGroupKey with groupfifo_mode='order'" in record.message
    with pytest.raises(InvalidOption):
        task.apply_async(("k",), group_rate="often")


def test_a_gate_that_hangs_is_left_alone(make: Callable[..., Celery], redis_url: str, caplog: Any) -> None:
    with embedded.start() as gate:
        task = make(groupfifo_url=gate.url).tasks["send"]
        task.delay("k")
        assert gate.pid is not None
        os.kill(gate.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            for _ in range(100):
                task.delay("k")
            took = time.monotonic() - began
        finally:
            os.kill(gate.pid, signal.SIGCONT)
    assert took < 50 * observe.PATIENCE, "each of them waits for it"
    assert [header for _, header in sent(redis_url)] == ["1 1 k", *["0 1 k"] * 100]
    assert "The gate does not count for 10 s" in caplog.text


def test_it_is_asked_again_after_a_while(make: Callable[..., Celery], monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    observer, times = observe.observer_of(app), iter([100, 101, 105, 112, 113])
    monkeypatch.setattr(observe, "now", lambda: next(times))

    def fail(_: Any) -> None:
        raise OSError("away")

    assert observer.tell(fail) is None
    assert observer.tell(lambda _: "told") is None
    assert observer.tell(lambda _: "told") == "told"


def test_no_redis_is_known(make: Callable[..., Celery], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is counted, and nothing fails."""
    app = make(broker_url="memory://")
    assert app.tasks["send"].delay("k").id
    assert "The gate does not count" in caplog.text


def test_a_revoke_asks_no_gate(make: Callable[..., Celery]) -> None:
    make(groupfifo_url="redis://127.0.0.1:1/0").control.revoke("some-id")
