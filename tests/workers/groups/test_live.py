"""Operating with a living worker: what an operator says holds from the moment it is said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from celery_groupfifo import GroupDraining, Groups
from celery_groupfifo.testing import embedded
from tests.support.crews.workers import Crew
from tests.support.waiting import until

DATABASE, RESULTS = 7, 8


@pytest.fixture(scope="module")
def crew(redis_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """One worker for the tests of this file; each has groups of its own."""
    urls = [f"{redis_server.url}/{number}" for number in (DATABASE, RESULTS)]
    crew = Crew(tmp_path_factory.mktemp("live"), urls[0], urls[1], "prefork", 2)
    crew.redis.flushdb()
    crew.worker.start().ready()
    yield crew
    crew.close()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def groups(crew: Crew) -> Groups:
    return Groups(crew.app)


def ran(crew: Crew, key: str, numbers: list[int]) -> Callable[[], bool]:
    return lambda: crew.history.numbers(key) == numbers and all(run.ended for run in crew.history.group(key))


def test_pause_stops_and_resume_goes_on(crew: Crew, groups: Groups, key: str) -> None:
    crew.send(key, 0, "wait", name=key)
    for number in range(1, 20):
        crew.send(key, number)
    until(lambda: crew.history.numbers(key) == [0])
    groups.pause(key)
    crew.tell(key)
    until(ran(crew, key, [0]))
    other = crew.send(f"{key}-other", 1)
    crew.state(other, "SUCCESS")
    time.sleep(0.5)  # long enough for the hand-off that must not come
    assert crew.history.numbers(key) == [0]
    groups.resume(key)
    until(ran(crew, key, list(range(20))))
    crew.history.assert_in_line(key)


def test_a_pause_in_the_middle_of_a_chain_of_hand_offs(crew: Crew, groups: Groups, key: str) -> None:
    """Pause and resume at any moment: after a pause was acknowledged no run begins, and none is lost or doubled."""
    results = [crew.send(key, number, "sleep", seconds=0.01) for number in range(60)]
    for _ in range(8):
        time.sleep(0.03)
        groups.pause(key)
        until(lambda: not groups.get(key).running)  # a run that was begun before is over
        begun = len(crew.history.numbers(key))
        time.sleep(0.1)
        assert len(crew.history.numbers(key)) == begun
        groups.resume(key)
    until(ran(crew, key, list(range(60))))
    crew.history.assert_in_line(key)
    crew.state(results[-1], "SUCCESS")


def test_skip_of_a_head_that_waits_for_its_retry(crew: Crew, groups: Groups, key: str) -> None:
    first = crew.send(key, 0, "retry", delay=600)
    crew.send(key, 1)
    until(lambda: groups.list() and groups.get(key).state == "held")
    assert groups.explain(key).startswith(f"Group {key!r} waits for retry 1 of 3 of worker.act[{first.id}]")
    groups.skip(key, expected=first.id)
    until(ran(crew, key, [0, 1]))
    crew.state(first, "REVOKED")


def test_retry_at_once(crew: Crew, groups: Groups, key: str) -> None:
    result = crew.send(key, 0, "retry", delay=600)
    until(lambda: groups.find(result.id) and groups.get(key).state == "held")
    groups.retry(key)
    crew.state(result, "SUCCESS")
    assert [run.attempt for run in crew.history.group(key)] == [1, 2]


def test_purge_and_drain_beside_a_run(crew: Crew, groups: Groups, key: str) -> None:
    results = [crew.send(key, 0, "wait", name=key)] + [crew.send(key, number) for number in range(1, 5)]
    until(lambda: crew.history.numbers(key) == [0])
    assert groups.purge(key) == 4
    groups.drain(key)
    with pytest.raises(GroupDraining):
        crew.send(key, 9)
    crew.tell(key)
    crew.state(results[0], "SUCCESS")
    assert [result.state for result in results[1:]] == ["REVOKED"] * 4
    until(lambda: groups.find(results[0].id) is None)
    last = crew.send(key, 5)
    crew.state(last, "SUCCESS")


def test_move_to_another_group(crew: Crew, groups: Groups, key: str) -> None:
    results = [crew.send(key, 0, "wait", name=key)] + [crew.send(key, number) for number in range(1, 4)]
    until(lambda: crew.history.numbers(key) == [0])
    assert groups.move(key, f"{key}-new") == 3
    until(ran(crew, f"{key}-new", [1, 2, 3]))
    crew.tell(key)
    for result in results:
        crew.state(result, "SUCCESS")


def test_drop_and_redrive(crew: Crew, groups: Groups, key: str) -> None:
    groups.pause(key)
    results = [crew.send(key, number) for number in range(3)]
    groups.drop(key, expected=results[0].id)
    groups.resume(key)
    until(ran(crew, key, [1, 2]))
    groups.redrive(results[0].id)
    until(ran(crew, key, [1, 2, 0]))


def test_explain_and_doctor_ask_the_worker(crew: Crew, groups: Groups, key: str, tmp_path: Path) -> None:
    crew.send(key, 0, "wait", name=key)
    until(lambda: crew.history.numbers(key) == [0])
    (run,) = crew.history.group(key)
    assert f"runs worker.act[{run.id}] on one@test (process {run.pid})" in groups.explain(key)
    crew.send(f"{key}-lonely", 0, queue="nobody")
    assert "stands still: no worker that answers consumes queue 'nobody'" in groups.explain(f"{key}-lonely")
    checks = {check.name: check for check in groups.doctor()}
    assert not checks["consumers"].ok and "nobody" in checks["consumers"].what
    assert all(checks[name].ok for name in ("version", "eviction", "role", "clock", "workers", "package", "settings"))
    groups.purge(f"{key}-lonely")
    crew.tell(key)


def test_in_the_end_everything_stored_is_as_it_should_be(crew: Crew, groups: Groups) -> None:
    until(lambda: not groups.list(), lambda: str(groups.list()))
    assert groups.verify() == []
    left = set(crew.left_over())
    assert left <= {"audit"} | {name for name in left if name.startswith("o:")}
