"""Names of options: a misspelt one is an error, and somebody else's attribute is none of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery, Task

from celery_groupfifo import GroupFifoTask, InvalidOption
from celery_groupfifo.sending.grouping import is_grouped
from celery_groupfifo.sending.options import NAMES, option_of


@pytest.fixture
def app() -> Celery:
    return Celery("options", broker="redis://localhost:1/0", set_as_current=False)


def made(app: Celery, base: Any = GroupFifoTask, name: str = "send", **options: Any) -> Any:
    def run(key: str) -> None: ...

    return app.task(base=base, name=name, lazy=False, shared=False, **{"group_key": "{key}", **options})(run)


MISSPELT = [
    ("group_on_faliure", "group_on_failure"),
    ("group_concurency", "group_concurrency"),
    ("group_kye", "group_key"),
    ("group_max_losses", "group_max_lost"),
]
#: Names of a setting and of a header: on a task or with a call they would have no effect.
MISPLACED = [("groupfifo_on_failure", "group_on_failure"), ("groupfifo_group_key", "group_key")]


@pytest.mark.parametrize(("name", "nearest"), MISSPELT + MISPLACED)
def test_a_misspelt_option_of_a_task_names_the_nearest(app: Celery, name: str, nearest: str) -> None:
    with pytest.raises(
        InvalidOption, match=f"option {name}, set on send, does not exist: the nearest one is {nearest}"
    ):
        made(app, **dict[str, Any]({name: 1}))


def test_all_options_are_offered(app: Celery) -> None:
    with pytest.raises(InvalidOption) as caught:
        made(app, group_kye="k")
    assert str(caught.value).endswith(
        "The options are: group_batch, group_block_for, group_break_after, group_concurrency, group_dedup_for, "
        "group_dedup_key, group_eta, group_fair_key, group_fair_weight, group_hold_until, group_key, group_max_depth, "
        "group_max_hold, group_max_lost, group_on_duplicate, group_on_failure, group_on_retry, group_order_by, "
        "group_overflow, group_overflow_timeout, group_rate, group_reorder_window."
    )


def test_so_does_one_of_a_class_between(app: Celery) -> None:
    class Base(GroupFifoTask):
        abstract = True
        group_on_faliure = "block"

    with pytest.raises(InvalidOption, match="group_on_failure"):
        made(app, Base)


CALLS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "apply_async": lambda task, more: task.apply_async(("a",), **more),
    "signature": lambda task, more: task.s("a").set(**more).delay(),
    "send_task": lambda task, more: task.app.send_task(task.name, ("a",), **more),
    "unknown": lambda task, more: task.app.send_task("elsewhere", ("a",), **more),
    "header": lambda task, more: task.apply_async(("a",), headers={f"groupfifo_{name}": 1 for name in more}),
}


@pytest.mark.parametrize(("name", "nearest"), MISSPELT)
@pytest.mark.parametrize("base", [GroupFifoTask, Task])
@pytest.mark.parametrize("call", CALLS)
def test_a_misspelt_option_of_a_call_names_the_nearest(
    app: Celery, call: str, base: Any, name: str, nearest: str
) -> None:
    """Also of a plain task: with `group_kye=` it would be sent without its group, and nobody would know."""
    task = made(app, base, **dict[str, Any]({"group_key": None} if base is Task else {}))
    with pytest.raises(InvalidOption, match=f"option {name}, .*does not exist: the nearest one is {nearest}"):
        CALLS[call](task, {name: 1})


@pytest.mark.parametrize(("name", "nearest"), MISPLACED)
@pytest.mark.parametrize("call", sorted(CALLS.keys() - {"header"}))
def test_so_does_the_name_of_a_setting_with_a_call(app: Celery, call: str, name: str, nearest: str) -> None:
    with pytest.raises(InvalidOption, match=f"option {name}, .*does not exist: the nearest one is {nearest}"):
        CALLS[call](made(app), {name: "block"})


@pytest.mark.parametrize("name", sorted(NAMES - {"group_key"}))
@pytest.mark.parametrize("kind", ["method", "property"])
def test_what_a_mixin_calls_so_is_no_option(app: Celery, name: str, kind: str) -> None:
    code: Any = (lambda self: "theirs") if kind == "method" else property(lambda self: "theirs")
    mixin = type("Mixin", (), {name: code, "group_of_theirs": code, "ordered": code})
    both = type("Both", (mixin, GroupFifoTask), {"abstract": True})
    task = made(app, both)
    assert option_of(task, name) is None
    assert is_grouped(task)


@pytest.mark.parametrize("code", [property(lambda self: 3), lambda self: 3], ids=["property", "method"])
def test_but_on_an_ordered_class_it_is_a_mistake(app: Celery, code: Any) -> None:
    with pytest.raises(InvalidOption, match=r"group_max_lost on send is .*set it to a value"):
        made(app, group_max_lost=code)


def test_a_value_of_a_base_counts(app: Celery) -> None:
    class Base(GroupFifoTask):
        abstract = True
        group_max_lost = 7

    assert option_of(made(app, Base), "group_max_lost") == 7
    assert option_of(made(app, Base, "other", group_max_lost=8), "group_max_lost") == 8
    assert option_of(None, "group_max_lost") is None


def test_celerys_own_names_are_celerys(app: Celery) -> None:
    made(app, group_id="x", group_index=3)


def test_a_plain_task_that_calls_something_group_key_stays_plain(app: Celery) -> None:
    class Base(Task):
        abstract = True

        def group_key(self) -> str:
            return "theirs"

    assert not is_grouped(made(app, Base, group_key=None))
    assert not is_grouped(made(app, Task, "other", group_key=property(lambda self: "theirs")))


def test_a_plain_task_with_a_key_of_its_own_is_checked_when_it_is_sent(app: Celery) -> None:
    with pytest.raises(InvalidOption, match="group_on_failure"):
        made(app, Task, group_on_faliure="block").delay("a")
