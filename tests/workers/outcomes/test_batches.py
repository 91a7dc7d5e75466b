"""Batches on real workers: what is executed together, and what becomes of each call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult

from celery_groupfifo import Groups
from tests.support.crews.workers import Crew, on
from tests.support.waiting import until


def batches(crew: Crew, key: str) -> list[list[int]]:
    """The numbers of the calls of each batch of a group, in the order of their starts."""
    return [each["numbers"] for each in notes(crew, key)]


def notes(crew: Crew, key: str) -> list[dict[str, Any]]:
    path = crew.directory / "batches"
    lines = path.read_text().splitlines() if path.exists() else []
    return [note for note in map(json.loads, lines) if note["key"] == key]


def line_up(crew: Crew, key: str, deeds: dict[int, str], task: str = "batch", **more: Any) -> list[AsyncResult]:
    """Send calls behind one that waits, and let that go on: so they are in one batch."""
    crew.send(key, 0, "wait", task, name=f"{key}-0")
    until(lambda: batches(crew, key) == [[0]])
    sent = [crew.send(key, number, deed, task, **more) for number, deed in deeds.items()]
    crew.tell(f"{key}-0")
    return sent


def all_ended(crew: Crew, key: str) -> None:
    until(lambda: not crew.left_over(), lambda: str((crew.left_over(), notes(crew, key), crew.worker.log[-3000:])))
    crew.history.assert_in_line(key)


def test_calls_in_line_are_executed_together_and_in_order(crew: Crew, key: str) -> None:
    sent = line_up(crew, key, dict.fromkeys(range(1, 26), "succeed"))
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [*range(1, 11)], [*range(11, 21)], [*range(21, 26)]]
    assert [result.get(timeout=10) for result in sent] == [*range(1, 26)]


@on("prefork", "threads")
def test_one_call_fails_and_the_others_do_not(crew: Crew, key: str) -> None:
    sent = line_up(crew, key, {1: "succeed", 2: "result", 3: "succeed", 4: "result"})
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2, 3, 4]]
    for result, state in zip(sent, ["SUCCESS", "FAILURE", "SUCCESS", "FAILURE"], strict=True):
        crew.state(result, state)
    assert "ValueError" in repr(sent[1].result)


@on("prefork", "threads")
def test_the_first_call_of_a_batch_fails_alone(crew: Crew, key: str) -> None:
    first, second = line_up(crew, key, {1: "result", 2: "succeed"})
    all_ended(crew, key)
    crew.state(first, "FAILURE")
    crew.state(second, "SUCCESS")


@on("prefork", "threads")
def test_a_failed_call_goes_to_the_dead_letters(crew: Crew, key: str) -> None:
    groups = Groups(crew.app)
    sent = line_up(crew, key, {1: "succeed", 2: "result", 3: "succeed"}, group_on_failure="dead_letter")
    until(lambda: groups.dead_letters(key) and set(crew.left_over()) == {"dead"})
    assert [letter.id for letter in groups.dead_letters(key)] == [sent[1].id]
    crew.state(sent[2], "SUCCESS")
    groups.discard(key=key)


@on("prefork", "threads")
def test_a_failed_call_blocks_its_group(crew: Crew, key: str) -> None:
    groups = Groups(crew.app)
    sent = line_up(crew, key, {1: "succeed", 2: "result", 3: "succeed"}, "batch_blocking")
    until(lambda: groups.get(key).state == "blocked" and not groups.get(key).running)
    crew.send(key, 4, task="batch_blocking")
    assert (groups.get(key).head, groups.get(key).depth) == (sent[1].id, 2)
    crew.state(sent[2], "SUCCESS")
    groups.skip(key, expected=sent[1].id)
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2, 3], [4]]


@on("prefork", "threads")
def test_an_exception_is_the_outcome_of_all(crew: Crew, key: str) -> None:
    sent = line_up(crew, key, {1: "succeed", 2: "fail", 3: "succeed"})
    for result in sent:
        crew.state(result, "FAILURE")
    last = crew.send(key, 4, task="batch")
    all_ended(crew, key)
    crew.state(last, "SUCCESS")
    assert batches(crew, key) == [[0], [1, 2, 3], [4]]


@on("prefork")
def test_so_is_what_is_no_exception(crew: Crew, key: str) -> None:
    sent = line_up(crew, key, {1: "succeed", 2: "cancelled", 3: "succeed"})
    for result in sent:
        crew.state(result, "FAILURE")
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2, 3]]


@on("prefork", "threads")
def test_an_exception_blocks_the_group_at_the_first_call(crew: Crew, key: str) -> None:
    groups = Groups(crew.app)
    crew.send(key, 0, "wait", "batch_blocking", name=f"{key}-0")
    until(lambda: batches(crew, key) == [[0]])
    first, second = (crew.send(key, number, "stumble", "batch_blocking", name=f"{key}-go") for number in (1, 2))
    crew.tell(f"{key}-0")
    until(lambda: groups.get(key).state == "blocked")
    crew.state(first, "FAILURE")
    assert second.state == "PENDING"
    crew.tell(f"{key}-go")
    groups.retry(key)
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2], [1, 2]]
    crew.state(second, "SUCCESS")


@on("prefork", "threads")
@pytest.mark.parametrize("task", ["batch", "batch_early"])
def test_a_retry_is_of_the_whole_batch(crew: Crew, key: str, task: str) -> None:
    sent = line_up(crew, key, {1: "retry", 2: "succeed"}, task)
    until(lambda: len(batches(crew, key)) > 1)
    crew.send(key, 3, task=task)
    all_ended(crew, key)
    assert batches(crew, key)[1:] in ([[1, 2], [1, 2, 3]], [[1, 2, 3], [1, 2, 3]])
    for result in sent:
        crew.state(result, "SUCCESS")


@on("prefork", "threads")
def test_so_is_an_automatic_one_and_then_each_fails(crew: Crew, key: str) -> None:
    sent = line_up(crew, key, {1: "succeed", 2: "fail"}, "batch_backoff")
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2], [1, 2]]
    for result in sent:
        crew.state(result, "FAILURE")


@on("prefork", "threads")
@pytest.mark.parametrize("task", ["batch", "batch_early"])
def test_calls_behind_the_last_result_have_not_run(crew: Crew, key: str, task: str) -> None:
    sent = line_up(crew, key, {1: "succeed", 2: "succeed", 3: "stop", 4: "succeed"}, task)
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2, 3, 4], [3, 4]]
    assert [result.get(timeout=10) for result in sent] == [1, 2, 3, 4]


@on("prefork", "threads")
def test_a_batch_of_a_killed_worker_runs_again_one_by_one(make_crew: Any, crew: Crew, key: str) -> None:
    own: Crew = make_crew(pool=crew.pool, slots=2, groupfifo_lease_ttl=2, groupfifo_sweep_interval=0.2)
    lost = own.another("lost", pool=crew.pool).start().ready()
    own.send(key, 0, "wait", "batch", name="go0")
    until(lambda: batches(own, key) == [[0]])
    own.send(key, 1, "wait", "batch", name="go1")
    sent = [own.send(key, number, task="batch") for number in (2, 3)]
    own.tell("go0")
    until(lambda: batches(own, key) == [[0], [1, 2, 3]])
    lost.kill()
    own.tell("go1")
    own.another("heir", pool=crew.pool).start().ready()
    own.send(key, 4, task="batch")
    all_ended(own, key)
    assert batches(own, key) == [[0], [1, 2, 3], [1], [2], [3], [4]]
    assert [note["lost"] for note in notes(own, key)] == [0, 0, 1, 1, 1, 0]
    for result in sent:
        own.state(result, "SUCCESS")


@on("prefork")
@pytest.mark.parametrize("task", ["batch", "batch_relentless"])
def test_a_call_that_kills_its_process_fails_alone(crew: Crew, key: str, task: str) -> None:
    crew.send(key, 0, "wait", task, name=f"{key}-0")
    until(lambda: batches(crew, key) == [[0]])
    deeds: list[tuple[str, dict[str, int]]] = [("succeed", {}), ("die", {"times": 5}), ("succeed", {})]
    sent = [crew.send(key, number, deed, task, **more) for number, (deed, more) in enumerate(deeds, 1)]
    crew.tell(f"{key}-0")
    all_ended(crew, key)
    for result, state in zip(sent, ["SUCCESS", "FAILURE", "SUCCESS"], strict=True):
        crew.state(result, state)
    assert batches(crew, key) == [[0], [1, 2, 3], [1], [2], [2], [3]]


@on("prefork")
def test_a_batch_that_must_not_run_twice_fails_with_its_process(crew: Crew, key: str) -> None:
    sent = line_up(crew, key, {1: "succeed", 2: "die", 3: "succeed"}, "batch_early")
    for result in sent:
        crew.state(result, "FAILURE")
        assert "WorkerLostError" in repr(result.result)
    last = crew.send(key, 4, task="batch_early")
    all_ended(crew, key)
    crew.state(last, "SUCCESS")
    assert batches(crew, key) == [[0], [1, 2, 3], [4]]


@on("prefork")
def test_nor_when_each_failure_blocks_its_group(crew: Crew, key: str) -> None:
    groups = Groups(crew.app)
    sent = line_up(crew, key, {1: "succeed", 2: "die", 3: "succeed"}, "batch_early_blocking")
    for result in sent:
        crew.state(result, "FAILURE")
    until(lambda: not groups.get(key).running)
    left = {result.id for result in sent}
    while left:
        assert groups.get(key).state == "blocked"
        head = groups.get(key).head or ""
        left.remove(head)
        groups.skip(key, expected=head)
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2, 3]]


@pytest.mark.parametrize("kind", ["plain", "chain", "group"])
@on("prefork")
def test_a_batch_that_replaces_itself_leaves_the_others_in_line(crew: Crew, key: str, kind: str) -> None:
    add = crew.app.tasks["worker.add"]
    by, result = {
        "plain": (add.s(1, 1), 2),
        "chain": (chain(add.s(1, 1), add.s(1)), 3),
        "group": (group(add.s(1, 1), add.s(2, 2)), [2, 4]),
    }[kind]
    crew.send(key, 0, "wait", "batch", name=f"{key}-0")
    until(lambda: batches(crew, key) == [[0]])
    replaced, second, third = (
        crew.send(key, 1, "replace", "batch", by=by),
        crew.send(key, 2, task="batch"),
        crew.send(key, 3, task="batch"),
    )
    crew.tell(f"{key}-0")
    assert second.get(timeout=20) == 2 and third.get(timeout=20) == 3
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2, 3], [2, 3]]
    assert replaced.get(timeout=20) == result


@on("prefork", "threads")
def test_revoked_and_expired_calls_are_left_out(crew: Crew, key: str) -> None:
    crew.send(key, 0, "wait", "batch", name=f"{key}-0")
    until(lambda: batches(crew, key) == [[0]])
    kept, expired = crew.send(key, 1, task="batch"), crew.send(key, 2, task="batch", expires=0.01)
    revoked, last = crew.send(key, 3, task="batch"), crew.send(key, 4, task="batch")
    crew.app.control.revoke(revoked.id)
    until(lambda: revoked.state == "REVOKED")
    crew.tell(f"{key}-0")
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 4]]
    crew.state(expired, "REVOKED")
    crew.state(kept, "SUCCESS")
    crew.state(last, "SUCCESS")


@on("prefork", "threads")
def test_what_is_linked_to_a_call_follows_it(crew: Crew, key: str) -> None:
    crew.send(key, 0, "wait", "batch", name=f"{key}-0")
    until(lambda: batches(crew, key) == [[0]])
    batch, add = crew.task("batch"), crew.app.tasks["worker.add"]
    linked = batch.s(key, 1).apply_async(link=add.s(10))
    chained = (batch.s(key, 2) | add.s(20)).apply_async()
    summed = chord([batch.s(key, number) for number in (3, 4)], crew.task("gather").s(f"{key}-sum", 5)).apply_async()
    crew.keep([linked, chained, chained.parent, summed])
    crew.tell(f"{key}-0")
    assert (chained.get(timeout=10), summed.get(timeout=10)) == (22, 7)
    until(lambda: linked.children)
    (child,) = linked.children
    crew.keep([child])
    assert child.get(timeout=10) == 11
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2, 3, 4]]


@on("prefork", "threads")
def test_calls_whose_results_nobody_wants_end_with_their_batch(crew: Crew, key: str) -> None:
    crew.send(key, 0, "wait", "batch", name=f"{key}-0")
    until(lambda: batches(crew, key) == [[0]])
    batch, add = crew.task("batch"), crew.app.tasks["worker.add"]
    ignored = [batch.s(key, number).apply_async(ignore_result=True) for number in (1, 2)]
    linked = batch.s(key, 3).apply_async(ignore_result=True, link=add.s(10).set(task_id=f"{key}-add"))
    failed = crew.send(key, 4, "result", "batch")
    child = AsyncResult(f"{key}-add", app=crew.app)
    crew.keep([*ignored, linked, child])
    crew.tell(f"{key}-0")
    assert child.get(timeout=10) == 13
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2, 3, 4]]
    assert [result.state for result in (*ignored, linked)] == ["PENDING"] * 3
    crew.state(failed, "FAILURE")
    until(lambda: all(f"worker.batch[{each.id}] succeeded in" in crew.worker.log for each in (*ignored, linked)))


@on("prefork", "gevent")
def test_a_time_limit_is_that_of_the_batch(crew: Crew, key: str) -> None:
    crew.send(key, 0, "wait", "batch", name=f"{key}-0")
    until(lambda: batches(crew, key) == [[0]])
    first = crew.send(key, 1, "sleep", "batch", seconds=20, time_limit=0.3)
    others = [crew.send(key, number, task="batch") for number in (2, 3)]
    crew.tell(f"{key}-0")
    for result in (first, *others):
        crew.state(result, "FAILURE")
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2, 3]]


@on("prefork")
def test_a_terminated_batch_goes_on_without_its_first_call(crew: Crew, key: str) -> None:
    crew.send(key, 0, "wait", "batch", name=f"{key}-0")
    until(lambda: batches(crew, key) == [[0]])
    first, second = crew.send(key, 1, "sleep", "batch", seconds=20), crew.send(key, 2, task="batch")
    crew.tell(f"{key}-0")
    until(lambda: len(batches(crew, key)) == 2)
    crew.app.control.revoke(first.id, terminate=True)
    all_ended(crew, key)
    assert batches(crew, key) == [[0], [1, 2], [2]]
    crew.state(first, "REVOKED")
    crew.state(second, "SUCCESS")


@pytest.mark.parametrize("pool_crew", ["prefork"], indirect=True, scope="session")
def test_a_plain_call_of_another_task_between_ends_a_batch(crew: Crew, key: str) -> None:
    crew.send(key, 0, "wait", "batch", name=f"{key}-0")
    until(lambda: batches(crew, key) == [[0]])
    for number, task in ((1, "batch"), (2, "act"), (3, "batch")):
        crew.send(key, number, task=task)
    crew.tell(f"{key}-0")
    all_ended(crew, key)
    assert crew.history.numbers(key) == [0, 1, 2, 3]
