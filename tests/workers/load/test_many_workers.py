"""Several workers and producers: order, no overlap, no loss, also when a worker dies; and what an idle one costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from celery_groupfifo.testing import embedded
from tests.support.crews.load import Load
from tests.support.crews.workers import Crew, Worker
from tests.support.waiting import until


def more_workers(crew: Crew, number: int) -> list[Worker]:
    """The crew's worker and others, all ready."""
    workers = [crew.worker, *(crew.another(f"w{each}", slots=crew.slots) for each in range(1, number))]
    for worker in workers:
        worker.start()
    return [worker.ready() for worker in workers]


def send_from_threads(crew: Crew, keys: list[str], each: int, producers: int) -> list[list[int]]:
    """Each producer sends its share of every group; returns the numbers that each has sent, in its order."""
    sent: list[list[int]] = [[] for _ in range(producers)]

    def produce(producer: int) -> None:
        for number in range(producer, each, producers):
            sent[producer].append(number)
            for key in keys:
                crew.send(key, number, "sleep", seconds=0.004)

    threads = [threading.Thread(target=produce, args=(producer,)) for producer in range(producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sent


def test_three_workers_and_three_producers(make_crew: Callable[..., Crew]) -> None:
    crew = make_crew(worker_prefetch_multiplier=1)
    workers = more_workers(crew, 3)
    keys, each = [f"group-{number}" for number in range(50)], 40
    sent = send_from_threads(crew, keys, each, producers=3)
    until(lambda: not crew.left_over(), lambda: str(crew.left_over()))
    history = crew.history
    for key in keys:
        history.assert_in_line(key)
        numbers = history.numbers(key)
        assert sorted(numbers) == list(range(each)), f"{key}: lost or repeated: {numbers}"
        for numbers_of_one in sent:
            assert [number for number in numbers if number in numbers_of_one] == numbers_of_one, f"{key}: out of order"
    assert {run.worker for run in history.runs} == {f"{worker.name}@test" for worker in workers}
    slots = sum(worker.slots for worker in workers)
    together = [crew.send(f"all-{number}", number, "meet", name="all", crowd=slots) for number in range(slots)]
    for result in together:
        crew.state(result, "SUCCESS")


def test_the_groups_of_a_killed_worker_go_on(make_crew: Callable[..., Crew]) -> None:
    crew = make_crew(worker_prefetch_multiplier=1, groupfifo_lease_ttl=2.0)
    workers = more_workers(crew, 3)
    load = Load(crew, groups=30, each=30).send()
    load.progress(200)
    victim = workers[1]
    victim.kill()
    running = {run.key for run in crew.history.runs if run.worker == f"{victim.name}@test" and not run.ended}
    history = load.finish()
    load.check(history, repeats=load.keys)
    again = [run for run in history.runs if run.lost]
    assert len(again) <= victim.slots, "no more than what it ran or was about to run"
    assert running <= {run.key for run in again}, "what it ran was run again"
    assert len(history.runs) - load.total <= victim.slots
    for worker in (workers[0], workers[2]):
        assert worker.alive


def commands(crew: Crew) -> int:
    return int(crew.redis.info("stats")["total_commands_processed"])


def rate(crew: Crew, seconds: float = 2) -> float:
    """Commands per second that the server sees, for some time."""
    before, since = commands(crew), time.monotonic()
    until(lambda: time.monotonic() - since >= seconds)
    return (commands(crew) - before) / (time.monotonic() - since)


@pytest.fixture
def quiet_server() -> Iterator[embedded.Server]:
    """A server that nobody else uses."""
    with embedded.start(appendonly=False) as server:
        yield server


def test_an_idle_worker_costs_next_to_nothing(
    make_crew: Callable[..., Crew], key: str, quiet_server: embedded.Server
) -> None:
    """Beside a group that waits for a retry, with tasks behind it, and one that is busy.

    Connections that are still being made count too, so the rate may take some seconds to fall; of workers that poll
    it never does.
    """
    crew = make_crew(slots=1, server=quiet_server, worker_prefetch_multiplier=1).ready()
    crew.send(f"{key}-busy", 1, "wait", name=key)
    crew.send(f"{key}-busy", 2)
    until(lambda: crew.history.runs)
    idle = crew.another("idle", slots=1).start().ready()
    first = crew.send(f"{key}-held", 1, "retry", delay=120)
    crew.send(f"{key}-held", 2)
    crew.state(first, "RETRY")
    until(lambda: rate(crew) < 2 * 20, lambda: f"{rate(crew):.1f} commands per second")
    assert crew.worker.alive and idle.alive
    crew.tell(key)
    crew.wait_for_runs(f"{key}-busy", [1, 2])
