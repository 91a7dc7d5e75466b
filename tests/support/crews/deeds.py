"""The deeds of the tests' tasks: each way in which a task of Celery can end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import chain, chord, group
from celery.exceptions import Ignore, Reject

from celery_groupfifo import GroupRun

DEEDS: dict[str, Callable[..., Any]] = {}

#: A task never waits longer than this for the test that it works with.
PATIENCE = 60.0


def deed(function: Callable[..., Any]) -> Callable[..., Any]:
    DEEDS[function.__name__] = function
    return function


def _path(name: str) -> Path:
    return Path(os.environ["WORKER_TESTS_DIRECTORY"]) / name


def _first_time(task: Any, number: int) -> bool:
    try:
        os.close(os.open(_path(f"{task.request.id}-{number}"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _live(task: Any, number: int, seconds: float) -> None:
    """Give signs of life for so long."""
    from tests.support.crews.app import write

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        write(task, "alive", number)
        time.sleep(0.01)


@deed
def succeed(task: Any, number: int) -> int:
    return number


@deed
def count(task: Any, number: int, text: str) -> int:
    return len(text)


@deed
def stamps(task: Any, number: int) -> Any:
    return task.request.stamps


@deed
def headers(task: Any, number: int) -> Any:
    return task.request.headers


@deed
def pass_on(task: Any, number: int, other: str) -> None:
    """Send tasks on with the headers that this one was called with, in the ways that Celery has."""
    given, app = task.request.headers, task.app
    plain, act = app.tasks["worker.plain"], app.tasks["worker.act"]

    def numbered(more: int) -> Any:
        return plain.si(number + more).set(headers=given)

    plain.apply_async((number + 1,), headers=given)
    app.send_task("worker.plain", (number + 2,), headers=given)
    numbered(3).delay()
    plain.apply_async((number + 4,), headers=given, link=numbered(5))
    plain.apply_async((number + 6, "fail"), headers=given, link_error=numbered(7))
    chain(numbered(8), numbered(9)).apply_async()
    group(numbered(10)).apply_async(headers=given)
    chord([numbered(11)], numbered(12)).apply_async()
    plain.apply_async((number + 13,), headers={"headers": given})
    act.apply_async((other, number + 14), headers=given)


@deed
def send(task: Any, number: int, other: str) -> int:
    """Send a task by the way, which is no part of this one's canvas."""
    task.app.tasks["worker.act"].delay(other, number + 1)
    return number


@deed
def send_on(task: Any, number: int, name: str, other: str, options: dict[str, Any]) -> None:
    """Wait for the word of the test, and send another task, which ends well."""
    wait(task, number, name)
    task.app.tasks["worker.act"].apply_async((other, number + 1), **options)


@deed
def priority(task: Any, number: int) -> Any:
    return task.request.delivery_info["priority"]


@deed
def fail(task: Any, number: int, message: str = "as told") -> None:
    raise ValueError(message)


@deed
def stumble(task: Any, number: int, name: str) -> int:
    """Fail, until the test gives its word."""
    if not _path(name).exists():
        raise ValueError("as told")
    return number


@deed
def cancelled(task: Any, number: int) -> None:
    """Raise what is no Exception, as a coroutine that is cancelled does."""
    raise asyncio.CancelledError("as told")


@deed
def sleep(task: Any, number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


@deed
def wait(task: Any, number: int, name: str) -> int:
    """Wait until a file is there: the test decides when the run ends."""
    end = time.monotonic() + PATIENCE
    while not _path(name).exists():
        if time.monotonic() > end:
            raise TimeoutError(name)
        time.sleep(0.005)
    return number


@deed
def meet(task: Any, number: int, name: str, crowd: int) -> int:
    """Wait until so many have come: they all have a slot at the same time."""
    place = _path(name)
    place.mkdir(exist_ok=True)
    (place / str(number)).touch()
    end = time.monotonic() + PATIENCE
    while len(os.listdir(place)) < crowd:
        if time.monotonic() > end:
            raise TimeoutError(name)
        time.sleep(0.005)
    return number


@deed
def wait_and_retry(task: Any, number: int, name: str) -> Any:
    """Wait for the word of the test, and run once more after that."""
    wait(task, number, name)
    return retry(task, number)


@deed
def retry(task: Any, number: int, times: int = 1, delay: float = 0.1, max_retries: int = 3) -> int:
    if task.request.retries < times:
        raise task.retry(countdown=delay, max_retries=max_retries)
    return number


@deed
def rate_limited(task: Any, number: int, times: int = 1, seconds: float = 0.1) -> int:
    """Another system takes nothing, so many times."""
    name = _path(f"limited-{task.request.id}")
    with name.open("a") as tries:
        tries.write(".")
    group = GroupRun.of(task)
    if group is not None and name.stat().st_size <= times:
        group.rate_limited(seconds)
    return number


@deed
def rate_limited_in_a_thread(task: Any, number: int) -> str:
    """Return the error of a call in another thread."""
    group, said = GroupRun.of(task), list[str]()
    assert group is not None

    def call() -> None:
        try:
            group.rate_limited(1)
        except Exception as error:  # whatever it is, the test wants to know
            said.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return said[0]


@deed
def retry_rate_limited(task: Any, number: int) -> int:
    """A retry, and the retry is rate limited."""
    if not task.request.retries:
        raise task.retry(countdown=0)
    rate_limited(task, number)
    return number


@deed
def retry_with_headers(task: Any, number: int) -> Any:
    if not task.request.retries:
        raise task.retry(countdown=0)
    return task.request.headers


@deed
def odd(task: Any, number: int) -> object:
    """A result that no serializer takes."""
    return object()


@deed
def unstored(task: Any, number: int) -> int:
    """Nobody takes the result, nor the failure that comes of it."""
    backend, calls = task.backend, []

    def broken(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if len(calls) == 2:
            del backend.store_result
        raise ConnectionError("as told")

    backend.store_result = broken
    return number


@deed
def ignore(task: Any, number: int) -> None:
    raise Ignore("as told")


@deed
def reject(task: Any, number: int) -> None:
    raise Reject("as told", requeue=False)


@deed
def requeue(task: Any, number: int) -> int:
    if _first_time(task, number):
        raise Reject("as told", requeue=True)
    return number


@deed
def replace(task: Any, number: int, by: Any) -> None:
    raise task.replace(task.app.signature(by))


@deed
def leave(task: Any, number: int, times: int = 99) -> int:
    if task.group.lost < times:
        sys.exit(3)
    return number


@deed
def leave_and_retry(task: Any, number: int) -> int:
    """Lose the process, be retried, succeed."""
    if not task.request.retries:
        if not task.group.lost:
            sys.exit(3)
        raise task.retry(countdown=0)
    return number


@deed
def memory(task: Any, number: int, times: int = 1) -> int:
    if task.group.lost < times:
        raise MemoryError("as told")
    return number


@deed
def die(task: Any, number: int, times: int = 1) -> int:
    """The process is killed, as by the system when memory is short."""
    if task.group.lost < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@deed
def die_late(task: Any, number: int) -> int:
    """The process is killed when it has sent what follows, and is to store the result."""
    if not task.group.lost:
        task.backend.store_result = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    return number


@deed
def vanish(task: Any, number: int, times: int = 1) -> int:
    if task.group.lost < times:
        os._exit(7)
    return number


@deed
def disappear(task: Any, number: int) -> None:
    """Lose the process, each time."""
    os._exit(7)


@deed
def endure(task: Any, number: int, seconds: float, times: int = 99) -> int:
    """Go on through SIGTERM, which comes before SIGKILL."""
    if task.group.lost < times:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _live(task, number, seconds)
    return number


@deed
def linger(task: Any, number: int, seconds: float) -> None:
    """Take some time to end, once told to."""
    try:
        _live(task, number, PATIENCE)
    finally:
        _live(task, number, seconds)
