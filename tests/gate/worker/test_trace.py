"""The code in the pool around Celery's own function refuses late runs, and brings continuations out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import gevent
import pytest
from celery import Celery, Task
from celery.app.trace import setup_worker_optimizations, trace_task_ret
from celery.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry

from celery_groupfifo import GroupFifoTask, GroupRun
from celery_groupfifo.gate import doubts
from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.records import StoredEntry
from celery_groupfifo.worker import trace
from celery_groupfifo.worker.trace import in_pool, split_result
from tests.support.world import World

LEASE = 30.0


class OwnCall(GroupFifoTask):
    """A class like that of Flask's page on Celery: its runs are inside of something."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)


class AnotherBase(Task):
    """Of plain Celery; sent with a group."""


class Tasks:
    """An app with a task of each class, and its runs."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.app = Celery("traced", broker=world.url, backend=world.url, set_as_current=False)
        self.app.set_current()
        setup_worker_optimizations(self.app)
        self.deed: Callable[[Any], Any] = lambda task: "done"
        self.started = 0
        bases: list[Any] = [GroupFifoTask, OwnCall, Task, AnotherBase]
        for base in bases:
            more = {"group_key": "{key}"} if issubclass(base, GroupFifoTask) else {}
            self.app.task(self._function(), base=base, name=base.__name__, bind=True, shared=False, **more)

    def _function(self) -> Callable[..., Any]:
        def run(task: Any, key: str) -> Any:
            self.started += 1
            return self.deed(task)

        return run

    def run(
        self, name: str, ago: float = 10 * LEASE, lost: bool = False, options: Any = MappingProxyType({}), **more: Any
    ) -> Any:
        """Run a task whose lease was taken a while ago. Returns the result, and what continues it."""
        ticket = self.ticket = self.world.run(f"{name}{self.started}", "g")
        if lost:
            self.world.gate.surrender([(ticket, True)])
        header = f"gf {ticket.tag} {ticket.release} 0 {ticket.parked_us} {ticket.entry} {ticket.group}"
        carried = (header, ticket.fence, "g", 0, options, now() - ago, LEASE)
        request = {"id": ticket.id, "task": name, "delivery_info": {"exchange": "", "routing_key": "q"}, **more}
        return split_result(in_pool(trace_task_ret)(name, ticket.id, request, (["k"], {}, {}), None, None, carried))

    def state(self) -> str:
        return str(self.app.AsyncResult(self.ticket.id).state)


def raised(info: Any) -> BaseException:
    """Return what a task has raised."""
    error: BaseException = getattr(info.exception, "exc", info.exception)
    return error


NAMES = ["GroupFifoTask", "OwnCall", "Task", "AnotherBase"]


@pytest.fixture
def tasks(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tasks]:
    monkeypatch.setattr(trace, "_watched", {})
    tasks = Tasks(world)
    yield tasks
    tasks.app.close()


def losing(tasks: Tasks, then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A deed during which the lease is lost."""

    def deed(task: Any) -> Any:
        tasks.world.gate.surrender([(tasks.ticket, True)])
        return then(task)

    return deed


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_holds_its_lease(tasks: Tasks, name: str) -> None:
    (failed, _, _), entry = tasks.run(name)
    assert (failed, entry, tasks.started, tasks.state()) == (0, None, 1, "SUCCESS")


@pytest.mark.parametrize("name", NAMES)
def test_one_that_has_lost_it_does_not_start(tasks: Tasks, name: str) -> None:
    (failed, info, _), entry = tasks.run(name, lost=True)
    assert (failed, entry, tasks.started, tasks.state()) == (1, None, 0, "PENDING")
    assert isinstance(raised(info), Ignore)


@pytest.mark.parametrize("asks", [True, False])
def test_one_that_began_before_its_server_was_replaced_asks(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch, asks: bool
) -> None:
    """The server that has taken over may lack its begin. Any other run asks only when its lease may be over."""
    monkeypatch.setattr(doubts, "last", now if asks else lambda: 0.0)
    (_, _, _), _ = tasks.run("GroupFifoTask", ago=1.0, lost=True)
    assert tasks.started == (0 if asks else 1)


def test_a_doubt_of_the_main_process_reaches_its_children() -> None:
    before = now()
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.read(reading, 1)
        os._exit(0 if doubts.last() > before else 1)
    doubts.note()
    os.write(writing, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("name", NAMES)
def test_a_late_result_is_not_stored_nor_told(tasks: Tasks, name: str) -> None:
    tasks.deed = losing(tasks, lambda task: "late")
    linked = tasks.app.signature("linked", app=tasks.app)
    (failed, _, _), entry = tasks.run(name, callbacks=[linked])
    assert (failed, entry, tasks.started, tasks.state()) == (1, None, 1, "PENDING")
    assert tasks.world.redis.llen("celery") == 0, "its callback was sent"


def fail(task: Any) -> Any:
    raise ValueError("late")


def retry(task: Any) -> Any:
    raise task.retry(countdown=0)


def retry_to(policy: str) -> Callable[[Any], Any]:
    def deed(task: Any) -> Any:
        raise task.retry(countdown=0, group_on_retry=policy)

    return deed


RELEASED = {"groupfifo_on_retry": "release"}
HELD = {"groupfifo_on_retry": "hold"}


@pytest.mark.parametrize(
    ("setting", "on_task", "call", "deed", "rejoins"),
    [
        (None, None, {}, retry, False),
        ("release", None, {}, retry, True),
        ("release", "hold", {}, retry, False),
        (None, "release", {}, retry, True),
        ("hold", "release", HELD, retry, False),
        ("hold", "hold", RELEASED, retry, True),
        ("hold", "hold", HELD, retry_to("release"), True),
        ("release", "release", RELEASED, retry_to("hold"), False),
    ],
)
@pytest.mark.parametrize("name", ["GroupFifoTask", "Task"])
def test_the_place_of_a_retry(
    tasks: Tasks, name: str, setting: str | None, on_task: str | None, call: Any, deed: Any, rejoins: bool
) -> None:
    """Its own word wins over the call's, that over the task's, and that over the setting."""
    tasks.app.conf.update({} if setting is None else {"groupfifo_on_retry": setting})
    tasks.app.tasks[name].group_on_retry = on_task
    tasks.deed = deed
    _, entry = tasks.run(name, options=call)
    assert entry.rejoins is rejoins


def retry_in(seconds: float, **more: Any) -> Callable[[Any], Any]:
    def deed(task: Any) -> Any:
        raise task.retry(countdown=seconds, **more)

    return deed


def capped(seconds: float, held: int = 0) -> dict[str, Any]:
    return {"groupfifo_max_hold": seconds, **({"groupfifo_held": held} if held else {})}


@pytest.mark.parametrize(
    ("setting", "on_task", "call", "deed", "fails"),
    [
        (None, None, {}, retry_in(10**6), False),
        (5, None, {}, retry_in(5), False),
        (5, None, {}, retry_in(5.001), True),
        (5, 2, {}, retry_in(3), True),
        (None, 2, capped(4), retry_in(3), False),
        (None, None, capped(4), retry_in(5), True),
        (None, None, capped(4), retry_in(5, group_max_hold=6), False),
        (None, None, capped(4, held=1500), retry_in(2.5), False),
        (None, None, capped(4, held=1501), retry_in(2.5), True),
        (None, None, capped(0), retry_in(0), False),
        (None, None, {**capped(0), **RELEASED}, retry_in(60), False),
        (None, None, capped(0), retry_in(60, group_on_retry="release"), False),
        (None, None, {**capped(0), **RELEASED}, retry_in(60, group_on_retry="hold"), True),
        (None, None, capped(60), lambda task: task.retry(), True),  # Celery's default countdown is 180 s
        (None, None, capped(60), lambda task: task.retry(eta=task.app.now() + timedelta(seconds=90)), True),
        (None, None, capped(60), lambda task: task.retry(eta=task.app.now() + timedelta(seconds=30)), False),
    ],
)
@pytest.mark.parametrize("name", ["OwnCall", "Task"])
def test_a_retry_that_holds_its_group_for_too_long_fails(
    tasks: Tasks, name: str, setting: float | None, on_task: float | None, call: Any, deed: Any, fails: bool
) -> None:
    tasks.app.conf.update({} if setting is None else {"groupfifo_max_hold": setting})
    tasks.app.tasks[name].group_max_hold = on_task
    tasks.deed = deed
    (_, info, _), entry = tasks.run(name, options=call)
    assert (entry is None, isinstance(raised(info), MaxRetriesExceededError)) == (fails, fails)
    assert tasks.state() == ("FAILURE" if fails else "RETRY")


def held(entry: Any) -> int:
    """Return what a message says of the waits for its task; 0: nothing."""
    found = re.search(rb'"groupfifo_held": (\d+)', entry.message)
    return int(found[1]) if found else 0


def test_the_waits_for_its_retries_add_up(tasks: Tasks) -> None:
    tasks.deed = retry_in(2)
    said = []
    for options in (capped(60, held=1500), {}, {**capped(60, held=1500), **RELEASED}):
        _, entry = tasks.run("Task", options=options)
        said.append(held(entry))
        tasks.world.finish(tasks.ticket)
    assert 3000 < said[0] <= 3500
    assert said[1:] == [0, 1500], "it costs nothing where it is not used, and nobody waits for one at the tail"


def test_it_says_why(tasks: Tasks) -> None:
    tasks.deed = retry_in(90)
    (_, info, _), _ = tasks.run("Task", options=capped(60, held=30_000))
    assert str(raised(info)) == (
        f"Can't retry Task[{tasks.ticket.id}]: its group would wait 120 s for it in all, and its group_max_hold is "
        "60 s: raise that, or let the group go on with group_on_retry='release'."
    )


def test_it_fails_with_the_tasks_own_exception(tasks: Tasks) -> None:
    tasks.deed = retry_in(90, exc=ValueError("boom"))
    (_, info, _), _ = tasks.run("Task", options=capped(60))
    assert repr(raised(info)) == "ValueError('boom')"


@pytest.mark.parametrize("deed", [fail, retry])
@pytest.mark.parametrize("name", NAMES)
def test_nor_a_late_failure_or_retry(tasks: Tasks, name: str, deed: Callable[[Any], Any]) -> None:
    tasks.deed = losing(tasks, deed)
    (failed, info, _), entry = tasks.run(name)
    assert (failed, entry, tasks.state()) == (1, None, "PENDING")
    assert isinstance(raised(info), Ignore)


def test_nobody_is_asked_before_a_lease_is_over(tasks: Tasks) -> None:
    tasks.deed = losing(tasks, lambda task: "in time")
    (failed, _, _), _ = tasks.run("Task", ago=0.0)
    assert failed == 0 and tasks.state() == "SUCCESS"


def test_what_a_task_calls_itself_is_its_own_affair(tasks: Tasks) -> None:
    inner = tasks.app.tasks["OwnCall"]

    def outer(task: Any) -> Any:
        tasks.deed = lambda task: "inner"
        return inner("k")

    tasks.deed = outer
    (failed, _, _), _ = tasks.run("GroupFifoTask")
    assert (failed, tasks.started) == (0, 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_retry_comes_out_with_the_end(tasks: Tasks, name: str) -> None:
    tasks.deed = lambda task: retry(task)
    (failed, info, _), entry = tasks.run(name)
    assert failed == 1 and isinstance(raised(info), Retry)
    assert entry is not None and entry.id == tasks.ticket.id and entry.key == "g"
    assert tasks.state() == "RETRY" and tasks.world.queued("celery") == []


def test_part_of_a_delay_is_over_by_then(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("celery_groupfifo.sending.context.now", lambda: clock[0])

    def deed(task: Any) -> Any:
        try:
            raise task.retry(countdown=5)
        finally:
            clock[0] += 3.0

    tasks.deed = deed
    _, entry = tasks.run("GroupFifoTask")
    assert 1500 < entry.delay <= 2000


def test_what_was_sent_is_sent_though_its_state_can_not_be_stored(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timeline: the task is retried, and the result backend is away when Celery stores RETRY."""

    def away(*args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("the result backend is away")

    tasks.deed = lambda task: retry(task)
    with monkeypatch.context() as patch:
        patch.setattr(type(tasks.app.backend), "store_result", away)
        with pytest.warns(RuntimeWarning, match="outside body"):
            (failed, _, _), entry = tasks.run("GroupFifoTask")
    assert failed == 1 and entry is not None


def test_what_was_sent_is_sent_though_the_time_limit_of_a_greenlet_strikes_then(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timeline: the task is retried, the result backend hangs when Celery stores RETRY, and the time limit is over."""

    def hang(*args: Any, **kwargs: Any) -> Any:
        raise gevent.Timeout

    monkeypatch.setattr(type(tasks.app.backend), "store_result", hang)
    tasks.deed = lambda task: retry(task)
    (failed, info, _), entry = tasks.run("GroupFifoTask")
    assert failed == 1 and isinstance(raised(info), Retry)
    assert entry is not None and entry.id == tasks.ticket.id


@pytest.mark.parametrize("name", ["Timeout", "GreenletExit"])
def test_whoever_is_stopped_before_it_sends_is_just_stopped(tasks: Tasks, name: str) -> None:
    stop = getattr(gevent, name)

    def deed(task: Any) -> Any:
        raise stop

    tasks.deed = deed
    with pytest.raises(stop):
        tasks.run("GroupFifoTask")


def test_whoever_is_ended_on_purpose_is_not_retried(tasks: Tasks) -> None:
    """Timeline: the task is retried, and somebody revokes and terminates it before it has ended."""

    def deed(task: Any) -> Any:
        task.retry(throw=False, countdown=0)
        raise gevent.GreenletExit

    tasks.deed = deed
    with pytest.raises(gevent.GreenletExit):
        tasks.run("GroupFifoTask")


def test_so_is_it_when_the_task_rejects_itself_afterwards(tasks: Tasks) -> None:
    def deed(task: Any) -> Any:
        task.retry(throw=False, countdown=0)
        raise Reject("no more", requeue=False)

    tasks.deed = deed
    (failed, _, _), entry = tasks.run("GroupFifoTask")
    assert failed == 1 and entry is not None


# -- what a run knows of its own --------------------------------------------------


class Seen:
    """The group and the headers that a run has seen."""

    def __init__(self, task: Any) -> None:
        self.group, self.headers = GroupRun.of(task), task.request.headers


@pytest.mark.parametrize("name", NAMES)
def test_a_run_knows_its_group_and_sees_no_header_of_ours(tasks: Tasks, name: str) -> None:
    seen: list[Seen] = []
    tasks.deed = lambda task: seen.append(Seen(task))
    tasks.run(name, tenant="t")
    (each,) = seen
    assert each.group is not None
    assert (each.group.key, each.group.fence, each.group.attempt) == ("g", tasks.ticket.fence, 1)
    assert each.headers == {"tenant": "t"}


def test_a_run_inside_of_a_run_has_no_group(tasks: Tasks) -> None:
    """The inner one is called in place: it holds nothing."""
    inner, seen = tasks.app.tasks["GroupFifoTask"], []

    def outer(task: Any) -> None:
        tasks.deed = lambda task: seen.append(task.group)
        inner.apply(("k",))
        inner.apply(("k",), task_id=task.request.id)
        seen.append(task.group)

    tasks.deed = outer
    tasks.run("GroupFifoTask")
    assert seen[:2] == [None, None]
    assert seen[2].fence == tasks.ticket.fence
    assert tasks.app.tasks["GroupFifoTask"].group is None, "when it is over"


def of_ours(entry: Any) -> dict[str, Any]:
    headers = json.loads(StoredEntry("", quote(""), "", entry.cut, entry.message).whole())["headers"]
    return {name: value for name, value in headers.items() if name.startswith("groupfifo")}


def test_a_retry_carries_the_options_of_its_call_and_nothing_else(tasks: Tasks) -> None:
    tasks.deed = retry
    _, entry = tasks.run("GroupFifoTask", options={"groupfifo_max_lost": 7}, tenant="t")
    assert of_ours(entry) == {"groupfifo_key": "g", "groupfifo_max_lost": 7, **eta_of(entry)}
    assert b'"tenant": "t"' in entry.message


def eta_of(entry: Any) -> dict[str, Any]:
    return {name: value for name, value in of_ours(entry).items() if name == "groupfifo_eta"}


def test_nor_does_what_replaces_it_with_forged_headers(tasks: Tasks) -> None:
    def replace(task: Any) -> Any:
        forged = {"groupfifo": "gf - 1 0 1 x g", "groupfifo_max_lost": 9}
        raise task.replace(task.s("g").set(headers=forged))

    tasks.deed = replace
    _, entry = tasks.run("GroupFifoTask")
    assert of_ours(entry) == {"groupfifo_key": "g"}
