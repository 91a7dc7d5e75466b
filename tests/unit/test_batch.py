"""Tasks with `group_batch` where no worker is: in place, as a function, and with calls that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Ignore, Reject, Retry

from celery_groupfifo import BatchCall, GroupFifoTask, InvalidBatchResult, InvalidOption, MissingGroupKey
from celery_groupfifo.sending.batch import Followers, ending, executing
from celery_groupfifo.sending.grouping import group_key


@pytest.fixture
def app() -> Celery:
    return Celery("batches", broker="redis://localhost:1/0", task_always_eager=True, set_as_current=False)


def made(app: Celery, returns: Any = None, base: Any = GroupFifoTask, **options: Any) -> Any:
    """A task that keeps the calls it got, and returns what it is told."""
    got: list[list[BatchCall]] = []

    def run(self: Any, calls: list[BatchCall]) -> Any:
        got.append(calls)
        if isinstance(returns, BaseException):
            raise returns
        return returns

    app.tasks.pop("post", None)
    options = {"group_batch": 5, "group_key": "{key}", **options}
    task = app.task(base=base, bind=True, name="post", lazy=False, shared=False, **options)(run)
    task.got = got
    return task


def _nothing() -> None: ...


def test_a_call_in_place_is_a_batch_of_one(app: Celery) -> None:
    task = made(app, ["done"])
    result = task.apply_async((1,), {"key": "a"}, task_id="x")
    assert (result.state, result.result) == ("SUCCESS", "done")
    assert task.got == [[BatchCall("x", [1], {"key": "a"})]]


def test_so_is_one_of_a_function(app: Celery) -> None:
    task = made(app, ["done"])
    assert task(1, key="a") == "done"
    assert task.got == [[BatchCall("", [1], {"key": "a"})]]


def test_a_class_may_call_as_it_likes(app: Celery) -> None:
    class Own(GroupFifoTask):
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return [f"own {each}" for each in super().__call__(*args, **kwargs)]

    assert made(app, ["done"], Own)(key="a") == "own done"


def test_a_retry_in_place_is_one_of_the_same_call(app: Celery) -> None:
    task = made(app, ValueError("as told"), autoretry_for=(ValueError,), max_retries=2, default_retry_delay=0)
    assert task.apply(kwargs={"key": "a"}, task_id="x").state == "FAILURE"
    assert task.got == [[BatchCall("x", [], {"key": "a"})]] * 3


def test_an_exception_in_the_list_is_a_failure_and_no_retry(app: Celery) -> None:
    task = made(app, [ValueError("as told")], autoretry_for=(ValueError,))
    result = task.apply(kwargs={"key": "a"})
    assert result.state == "FAILURE" and repr(result.result) == "ValueError('as told')"
    assert len(task.got) == 1


def test_none_is_the_result_of_each(app: Celery) -> None:
    task, batch = made(app), Followers([BatchCall("y", [2], {}), BatchCall("z", [3], {})])
    with executing(batch):
        assert task(1, key="a") is None
    assert [call.args for call in task.got[0]] == [[1], [2], [3]]
    assert batch.outcomes == [None, None]


def test_a_shorter_list_leaves_calls_without_an_outcome(app: Celery) -> None:
    task, batch = made(app, [1, 2]), Followers([BatchCall("y", [], {}), BatchCall("z", [], {})])
    with executing(batch):
        assert task(key="a") == 1
    assert batch.outcomes == [2]


def test_calls_of_the_function_itself_are_not_of_its_batch(app: Celery) -> None:
    inner = made(app, ["inner"])

    def run(calls: list[BatchCall]) -> list[Any]:
        return [inner(key="b") for _ in calls]

    outer = app.task(base=GroupFifoTask, group_batch=5, group_key="{key}", name="outer", lazy=False, shared=False)(run)
    batch = Followers([BatchCall("y", [], {})])
    with executing(batch):
        assert outer(key="a") == "inner"
    assert [len(calls) for calls in inner.got] == [1, 1]


@pytest.mark.parametrize(
    ("raised", "told"),
    [(ValueError(), True), (Ignore(), True), (Reject(), True), (Reject(requeue=True), False), (Retry(), False)],
    ids=repr,
)
def test_what_is_raised_is_the_outcome_of_all_unless_they_go_on(app: Celery, raised: Exception, told: bool) -> None:
    task, batch = made(app, raised), Followers([BatchCall("y", [], {})])
    with executing(batch), pytest.raises(type(raised)):
        task(key="a")
    assert batch.raised is (raised if told else None)


def test_a_call_with_an_outcome_is_not_executed_again(app: Celery) -> None:
    task = made(app, ["again"])
    with ending("there"):
        assert task(key="a") == "there"
        assert task(key="a") == "again"
    with ending(ValueError("as told")), pytest.raises(ValueError, match="as told"):
        task(key="a")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("text", "returned a str for 1 calls"),
        ([], "returned 0 results for 1 calls"),
        ([1, 2], "returned 2 results for 1 calls"),
        ([Retry()], "only the whole batch can be retried"),
        ([Reject()], "only the whole batch can be retried"),
    ],
)
def test_a_list_that_does_not_fit(app: Celery, returned: Any, said: str) -> None:
    with pytest.raises(InvalidBatchResult, match=said):
        made(app, returned)(key="a")


@pytest.mark.parametrize("size", [0, 101, True, "5", 2.5])
def test_a_size_that_does_not_work(app: Celery, size: Any) -> None:
    with pytest.raises(
        InvalidOption, match=f"group_batch={size!r} does not work: set it to a whole number from 1 to 100"
    ):
        made(app, group_batch=size)


def test_it_is_no_option_of_a_call_and_none_of_a_plain_task(app: Celery) -> None:
    with pytest.raises(InvalidOption, match="is no option of a call: set it on the task"):
        made(app).apply_async(kwargs={"key": "a"}, group_batch=7)
    plain = app.task(name="plain", group_batch=5, lazy=False, shared=False)(_nothing)
    with pytest.raises(InvalidOption, match="group_batch of plain has no effect in a plain task"):
        plain.apply_async(group_key="a")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"group_concurrency": 2}, "post has group_batch=5 and group_concurrency=2"),
        ({"group_on_retry": "release"}, "post has group_batch=5 and group_on_retry='release'"),
    ],
)
def test_options_that_do_not_go_with_it(app: Celery, option: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        made(app).apply_async(kwargs={"key": "a"}, **option)
    with pytest.raises(InvalidOption, match=said):
        made(app, **option).apply_async(kwargs={"key": "a"})


def test_keys_are_made_of_what_the_call_names(app: Celery) -> None:
    assert group_key(made(app), "post", [], {"key": "a", "n": 1}) == "a"
    assert group_key(made(app, group_key=("key", "n")), "post", [], {"key": "a", "n": 1}) == "a:1"
    assert group_key(made(app, group_key=lambda key, n: key), "post", ["a", 1], {}) == "a"
    with pytest.raises(MissingGroupKey, match="needs 'key', which is not given"):
        group_key(made(app), "post", ["a"], {})
