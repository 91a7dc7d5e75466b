"""A final failure means for the group what is asked for: the call's word, the task's, the setting's; on each pool."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from celery.result import AsyncResult

from celery_groupfifo import Groups
from celery_groupfifo.groups.view import Group
from tests.support.crews.workers import Crew, on
from tests.support.waiting import until


def blocked(crew: Crew, key: str) -> Group:
    """The group, when it is blocked."""
    groups = Groups(crew.app)

    def is_blocked() -> bool:
        return any(group.key == key for group in groups.list(state="blocked"))

    until(is_blocked, lambda: f"{key} is not blocked: {crew.worker.log[-2000:]}")
    return groups.get(key)


def comes_to(crew: Crew, result: AsyncResult, wanted: str) -> None:
    """A state after FAILURE: the result itself asks no more."""
    state = lambda: crew.app.backend.get_task_meta(result.id, cache=False)["status"]  # noqa: E731
    until(lambda: state() == wanted, lambda: f"{state()} is not {wanted}")


def test_a_blocked_group_goes_on_with_the_same_task(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "stumble", name=key, group_on_failure="block")
    rest = [crew.send(key, number) for number in (2, 3)]
    group = blocked(crew, key)
    assert (group.head, group.depth, group.reason) == (first.id, 3, "ValueError: as told")
    crew.state(first, "FAILURE")
    other = crew.send(f"{key}-other", 1)
    crew.state(other, "SUCCESS")
    assert crew.history.numbers(key) == [1]
    crew.tell(key)
    Groups(crew.app).retry(key)
    crew.wait_for(key, [1, 1, 2, 3])
    comes_to(crew, first, "SUCCESS")
    for result in rest:
        crew.state(result, "SUCCESS")
    old, new, *_ = crew.history.group(key)
    assert old.id == new.id and old.fence < new.fence
    crew.all_slots()


@pytest.mark.parametrize("act", ["skip", "drop"])
def test_a_blocked_group_goes_on_without_the_task(crew: Crew, key: str, act: str) -> None:
    first = crew.send(key, 1, "fail", "blocking")
    crew.send(key, 2)
    blocked(crew, key)
    groups = Groups(crew.app)
    getattr(groups, act)(key, expected=first.id)
    letters = [letter.id for letter in groups.dead_letters(key)]
    assert letters == ([first.id] if act == "drop" else [])
    crew.redis.delete("{groupfifo:0}:dead")
    until(lambda: crew.history.numbers(key) == [1, 2])
    crew.state(first, "FAILURE")
    crew.all_slots()


@pytest.mark.parametrize("task", ["act", "halting"])  # the call says it, or the task
def test_a_blocked_group_goes_on_by_itself(crew: Crew, key: str, task: str) -> None:
    options = {"group_on_failure": "block", "group_block_for": 0.5} if task == "act" else {}
    first = crew.send(key, 1, "fail", task, **options)
    crew.send(key, 2)
    crew.state(first, "FAILURE")
    crew.wait_for(key, [1, 2])
    one, two = crew.history.group(key)
    assert two.began - one.began >= 0.5
    crew.state(first, "FAILURE")
    crew.all_slots()


@pytest.mark.parametrize("task", ["act", "fragile"])  # the call says it, or the task
def test_failures_halt_a_group_until_a_probe_succeeds(crew: Crew, key: str, task: str) -> None:
    options = {"group_break_after": "2/1h/0.5s"} if task == "act" else {}
    start = crew.line_up(key)
    failed = [crew.send(key, number, "fail", task, **options) for number in (1, 2, 3)]
    crew.send(key, 4, task=task, **options)
    crew.send(key, 5, "fail", task, **options)
    crew.send(key, 6, task=task, **options)
    start()
    crew.wait_for(key, [0, 1, 2, 3, 4, 5, 6])
    for result in failed:
        crew.state(result, "FAILURE")
    runs = crew.history.group(key)
    waits = [later.began - earlier.last_sign >= 0.5 for earlier, later in pairwise(runs)]
    assert waits[2:4] == [True, True], "after the second failure, and after that of the probe"
    crew.all_slots()


def test_the_task_says_block_and_the_call_says_continue(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "fail", "blocking", group_on_failure="continue")
    crew.send(key, 2)
    crew.wait_for(key, [1, 2])
    crew.state(first, "FAILURE")


def test_a_retry_keeps_the_word_of_the_call(crew: Crew, key: str) -> None:
    crew.send(key, 1, "retry", times=9, delay=0.05, max_retries=1, group_on_failure="block")
    crew.send(key, 2)
    assert blocked(crew, key).depth == 2
    assert crew.history.numbers(key) == [1, 1]


def test_a_success_a_retry_and_a_rejection_block_nothing(crew: Crew, key: str) -> None:
    for number, deed in enumerate(("succeed", "retry", "ignore", "reject")):
        crew.send(key, number, deed, "blocking")
    crew.wait_for(key, [0, 1, 1, 2, 3])


def test_a_dead_letter_keeps_what_it_takes_to_come_back(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "stumble", name=key, group_on_failure="dead_letter")
    second = crew.send(key, 2)
    crew.state(second, "SUCCESS")
    groups = Groups(crew.app)
    [letter] = groups.dead_letters(key)
    assert (letter.id, letter.task, letter.exception) == (first.id, "worker.act", "ValueError: as told")
    assert (letter.cause, letter.by.partition("@")[0]) == ("failed", crew.worker.name)
    assert letter.traceback.startswith("Traceback") and letter.traceback.rstrip().endswith("ValueError: as told")
    assert letter.args == f"({key!r}, 1, 'stumble')"
    crew.state(first, "FAILURE")
    crew.tell(key)
    groups.redrive(first.id)
    comes_to(crew, first, "SUCCESS")
    assert crew.history.numbers(key) == [1, 2, 1]
    crew.redis.delete("{groupfifo:0}:dead")


def test_the_rest_is_cancelled_and_what_comes_later_is_not(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "wait", name=f"{key}-1")
    failing = crew.send(key, 2, "fail", group_on_failure="cancel_rest")
    rest = [crew.send(key, number) for number in range(3, 253)]
    crew.tell(f"{key}-1")
    crew.state(failing, "FAILURE")
    crew.state(rest[0], "REVOKED")
    later = crew.send(key, 300)
    for result in rest:
        crew.state(result, "REVOKED")
    crew.state(first, "SUCCESS")
    crew.state(later, "SUCCESS")
    crew.wait_for(key, [1, 2, 300])


@on("prefork")
def test_a_time_limit_blocks_when_the_child_is_gone(crew: Crew, key: str) -> None:
    crew.send(key, 1, "endure", seconds=20, time_limit=1, group_on_failure="block")
    crew.send(key, 2)
    assert blocked(crew, key).reason.startswith("TimeLimitExceeded")
    assert crew.history.numbers(key) == [1]
    Groups(crew.app).purge(key)


@on("prefork")
def test_a_task_that_kills_its_process_too_often_blocks_and_may_try_again(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "die", times=9, group_max_lost=2, group_on_failure="block")
    crew.send(key, 2)
    assert "2 workers were lost with task" in blocked(crew, key).reason
    crew.state(first, "FAILURE")
    groups = Groups(crew.app)
    groups.retry(key)
    until(lambda: crew.history.numbers(key) == [1, 1, 1, 1])
    assert blocked(crew, key).head == first.id
    groups.skip(key, expected=first.id)
    until(lambda: crew.history.numbers(key) == [1, 1, 1, 1, 2])


@on("prefork", "threads")
def test_an_unknown_task_blocks_until_a_worker_knows_it(make_crew: Callable[..., Crew], key: str, crew: Crew) -> None:
    own = make_crew(crew.pool, groupfifo_on_failure="block")
    own.worker.start().ready()
    own.app.send_task("worker.unknown", (key, 1), group_key=key)
    own.send(key, 2)
    assert blocked(own, key).reason.startswith("NotRegistered")
    assert own.history.numbers(key) == []
    own.worker.logs("blocks its group until it is retried, skipped or dropped")
    Groups(own.app).skip(key, expected=Groups(own.app).get(key).head or "")
    own.state(own.send(key, 3), "SUCCESS")
