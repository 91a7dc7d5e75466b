"""The gate hangs for a minute, and the broker is well: plain tasks go on, and so does everything afterwards.

One scene for all that can be seen of it: workers with plain tasks and tickets they can't begin, workers that are told
to stop, and runs that go on as another run.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from tests.faults.stalls.scene import QUICK, Scene, opened, rest
from tests.support.stages.fleet import Worker
from tests.support.stages.stage import Stage
from tests.support.stages.verdict import problems
from tests.support.waiting import until

SECONDS = 60.0
#: Of plain tasks, before the hang and during most of it; the first moments are not counted.
BEFORE, SETTLING = 5.0, 3.0
#: When workers with plain tasks are told to stop, after the beginning of the hang.
STOP_AT = 40.0
#: Of a plain task: long enough that a busy machine keeps up.
PLAIN = 0.2
#: Of a run that ends after its worker was told to stop.
LONGEST = 2.0
#: What a stop may take beyond the longest task, and beyond the stop of an idle worker while the gate is well.
PATIENCE = 5.0
#: For who does not stop in time: shorter than the hang still lasts.
STUCK = 18.0
PINGS = 3
#: For each busy worker: more than its prefetch count.
TICKETS = 24
BUSY = ("prefork", "threads", "gevent")
ENDING = [(pool, runs) for pool in ("prefork", "threads") for runs in (1, 8)]
AGAIN = ("prefork", "threads")
WAYS = ("again", "replace")
CROWD = 56

pytestmark = pytest.mark.timeout(200)  # for the scene


class _Plain:
    """Keeps plain tasks waiting in the queues of the workers that shall be busy."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._numbers, self._stopped = stage, count(), threading.Event()
        self.sent: list[int] = []
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        while not self._stopped.wait(0.2):
            for pool in BUSY:
                for _ in range(20 - self._stage.broker.redis.llen(f"busy-{pool}")):
                    number = next(self._numbers)
                    self._stage.send_plain(number, PLAIN, queue=f"busy-{pool}")
                    self.sent.append(number)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def rates(self, since: float, to: float) -> dict[str, float]:
        """Tasks per second of each worker."""
        runs = [event for event in self._stage.watch.look().plain if since <= event["t"] < to]
        workers = Counter(event["worker"] for event in runs)
        return {pool: workers[f"busy-{pool}@chaos"] / (to - since) for pool in BUSY}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    with opened(tmp_path_factory.mktemp("hang") / "stage", broker=True, worker_prefetch_multiplier=4) as stage:
        busy, ending, idle = _start(stage)
        plain = _Plain(stage)
        _send_runs(stage)
        began = time.monotonic()
        rest(began + BEFORE)
        facts: dict[str, Any] = {"before": plain.rates(began + 1.0, began + BEFORE), "well": _told_to_stop(idle)}
        with _tickets_come_in(stage, busy):
            since = time.monotonic()
            (stage.directory / "go").touch()
            rest(since + 0.5)
            ended = _told_to_stop(ending)
            facts["pings"] = _pings(stage, busy, since)
            rest(since + STOP_AT)
            facts["during"] = plain.rates(since + SETTLING, since + STOP_AT)
            plain.stop()
            facts["stopping"] = time.monotonic()
            facts["ended"] = ended | _told_to_stop(busy)
            rest(since + SECONDS)
        rescue = [*(f"busy-{pool}" for pool in BUSY), *(f"ending-{pool}-{runs}" for pool, runs in ENDING)]
        stage.launch(8, name="rescue", options=("-Q", ",".join(rescue), *QUICK))
        scene = Scene.ended(stage, within=25.0, sent=plain.sent, **facts)
        for worker in (*busy, *ending, *idle):
            worker.close()
        return scene


def _start(stage: Stage) -> tuple[list[Worker], list[Worker], list[Worker]]:
    def launch(name: str, pool: str, slots: int) -> Worker:
        return stage.launch(slots, pool=pool, name=name, options=("-Q", name, *QUICK))

    busy = [launch(f"busy-{pool}", pool, 4) for pool in BUSY]
    ending = [launch(f"ending-{pool}-{runs}", pool, runs) for pool, runs in ENDING]
    idle = [launch(f"idle-{pool}", pool, 8) for pool in BUSY]
    launch("again-prefork", "prefork", len(WAYS))
    launch("again-threads", "threads", len(WAYS) + CROWD)
    for worker in stage.workers:
        worker.ready()
    return busy, ending, idle


def _send_runs(stage: Stage) -> None:
    """Runs that go on as another run, and runs of workers that will be told to stop; each with a task behind it."""
    runs: list[tuple[str, str, str, dict[str, Any]]]
    runs = [(f"again-{pool}-{way}", way, f"again-{pool}", {}) for pool in AGAIN for way in WAYS]
    runs += [(f"again-crowd-{number}", WAYS[number % 2], "again-threads", {}) for number in range(CROWD)]
    for pool, many in ENDING:
        name = f"ending-{pool}-{many}"
        runs += [(f"{name}-{number}", "wait", name, {"seconds": LONGEST}) for number in range(many)]
    for group, what, queue, more in runs:
        stage.send(group, 1, what, name="go", queue=queue, **more)
        stage.send(group, 2, queue=queue)
    until(lambda: len(stage.watch.look().open) == len(runs), stage.describe)


@contextmanager
def _tickets_come_in(stage: Stage, busy: list[Worker]) -> Iterator[None]:
    """Tickets reach the broker, the gate hangs, and then the workers come to know them."""
    for worker in busy:
        worker.freeze(0.3)
    for pool in BUSY:
        for number in range(TICKETS):
            for seq in (1, 2):
                stage.send(f"ticket-{pool}-{number}", seq, queue=f"busy-{pool}")
    with stage.gate.hanging():
        for worker in busy:
            worker.thaw()
        yield


def _pings(stage: Stage, busy: list[Worker], since: float) -> list[set[str]]:
    """Ping the workers some times, and return each time those that answer within a second."""
    names, answered = [worker.hostname for worker in busy], []
    for number in range(1, PINGS + 1):
        rest(since + number * STOP_AT / (PINGS + 1))
        replies = stage.app.control.ping(destination=names, timeout=1.0, limit=len(names))
        answered.append({name for reply in replies for name in reply})
    return answered


def _told_to_stop(workers: list[Worker]) -> dict[str, float | None]:
    """Seconds from SIGTERM to the end; None: it takes too long."""
    since = time.monotonic()
    seconds: dict[str, float | None] = {}
    for worker in workers:
        worker.stop()
    while time.monotonic() < since + STUCK and len(seconds) < len(workers):
        for worker in workers:
            if not worker.alive:
                seconds.setdefault(worker.name, time.monotonic() - since)
        time.sleep(0.02)
    return {worker.name: seconds.get(worker.name) for worker in workers}


# -- plain tasks of the same worker ------------------------------------------


@pytest.mark.parametrize("pool", BUSY)
def test_plain_tasks_go_on(scene: Scene, pool: str) -> None:
    before, during = scene.facts["before"][pool], scene.facts["during"][pool]
    assert during >= 0.9 * before, f"{during:.1f} tasks a second, and {before:.1f} before"


def test_each_plain_task_runs_once(scene: Scene) -> None:
    """But for those that start while their worker stops: Celery may forget that it has acknowledged them."""
    first: dict[int, float] = {}
    runs = Counter[int]()
    for event in scene.of("plain"):
        runs[event["number"]] += 1
        first[event["number"]] = min(event["t"], first.get(event["number"], event["t"]))
    assert not [number for number in scene.facts["sent"] if not runs[number]]
    repeated = {number: first[number] for number in runs if runs[number] > 1}
    assert not {number: t for number, t in repeated.items() if t < scene.facts["stopping"] - PLAIN}


@pytest.mark.parametrize("pool", BUSY)
def test_the_worker_answers_who_asks(scene: Scene, pool: str) -> None:
    answers = sum(f"busy-{pool}@chaos" in names for names in scene.facts["pings"])
    assert answers >= PINGS - 1, f"{answers} of {PINGS} pings were answered within a second"


@pytest.mark.parametrize("pool", BUSY)
def test_a_warm_stop_takes_no_longer_than_its_tasks(scene: Scene, pool: str) -> None:
    _assert_stopped(scene, f"busy-{pool}", pool, PLAIN)


# -- tickets, runs that end meanwhile, and runs that go on -------------------


@pytest.mark.parametrize("pool", BUSY)
def test_tickets_that_could_not_begin_run_afterwards(scene: Scene, pool: str) -> None:
    """Once. A begin that was on its way when its worker stopped may count as one whose worker was lost."""
    scene.assert_sound(f"ticket-{pool}")
    for number in range(TICKETS):
        assert scene.order(f"ticket-{pool}-{number}") == [1, 2]


@pytest.mark.parametrize(("pool", "runs"), ENDING)
def test_a_warm_stop_does_not_wait_for_the_gate(scene: Scene, pool: str, runs: int) -> None:
    _assert_stopped(scene, f"ending-{pool}-{runs}", pool, LONGEST)


def _assert_stopped(scene: Scene, name: str, pool: str, longest: float) -> None:
    seconds, well = scene.facts["ended"][name], scene.facts["well"][f"idle-{pool}"]
    assert seconds is not None and seconds <= well + longest + PATIENCE, (seconds, well)


@pytest.mark.parametrize(("pool", "runs"), ENDING)
def test_what_ended_before_the_stop_is_not_lost(scene: Scene, pool: str, runs: int) -> None:
    """Its worker could not tell the gate: so it may be run once more, and what is behind it waits for that."""
    for number in range(runs):
        group = f"ending-{pool}-{runs}-{number}"
        events = [event for event in scene.events if event.get("group") == group]
        assert not set(problems(events, {})) - {"repeats without a cause"}, problems(events, {})
        assert scene.order(group) in ([1, 2], [1, 1, 2])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pool", AGAIN)
def test_a_run_that_goes_on_as_another_one_keeps_its_place(scene: Scene, pool: str, way: str) -> None:
    scene.assert_sound(f"again-{pool}-{way}")
    assert scene.order(f"again-{pool}-{way}") == [1, 1, 2]


def test_and_so_do_many_threads_at_once(scene: Scene) -> None:
    scene.assert_sound("again-crowd")
    orders = {number: scene.order(f"again-crowd-{number}") for number in range(CROWD)}
    assert not {number: order for number, order in orders.items() if order != [1, 1, 2]}


def test_nothing_is_left(scene: Scene) -> None:
    scene.assert_nothing_left()
