"""A task that runs in place has no group, as no gate has given it a lease. Its call is checked as a send is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery, Task, chain, chord, group
from celery.exceptions import Ignore, Reject

from celery_groupfifo import GroupFifo, GroupFifoTask, GroupRun, InvalidGroupKey, InvalidOption, MissingGroupKey
from celery_groupfifo.errors import GroupFifoError, InvalidSetting

#: Nothing answers there: a call that asks Redis fails.
NOWHERE = "redis://localhost:1/0"


def make_app(always_eager: bool = True) -> Celery:
    app = Celery("in-place", broker=NOWHERE, set_as_current=False)
    app.conf.update(task_always_eager=always_eager, task_eager_propagates=True, task_publish_retry=False)
    return app


def test_it_has_no_group() -> None:
    app = make_app()

    @app.task(base=GroupFifoTask, group_key="{key}", bind=True, shared=False)
    def groups(self: Any, key: str) -> tuple[Any, Any]:
        return self.group, GroupRun.of(self)

    nothing = (None, None)
    assert groups.delay("k").get() == groups.apply(("k",)).get() == groups.s("k").delay().get() == nothing
    assert groups("k") == nothing


def test_nothing_is_prepared_for_a_send() -> None:
    """Settings may still come: the first send reads them."""
    app = make_app()

    @app.task(base=GroupFifoTask, group_key="{key}", shared=False)
    def ordered(key: str) -> str:
        return key

    assert ordered.delay("k").get() == "k"
    assert "send_task_message" not in vars(app.amqp)


# -- the checks of a send ------------------------------------------------------


class Calls:
    """An app's tasks, and three ways to call one."""

    def __init__(self) -> None:
        self.eager, self.sending = make_app(), make_app(always_eager=False)
        for app in (self.eager, self.sending):
            GroupFifo(app)
            app.task(self._run, name="ordered", base=GroupFifoTask, group_key="{key}", shared=False)
            app.task(self._run, name="plain", shared=False)
            app.task(self._run, name="callable", base=GroupFifoTask, group_key=lambda key, **_: key[0], shared=False)

    @staticmethod
    def _run(key: Any, number: int = 0) -> str:
        return "ran"

    def errors(self, name: str, args: tuple[Any, ...], **options: Any) -> list[Exception]:
        """The errors of a send, of a call with task_always_eager, and of apply()."""
        found = list[Exception]()
        for call in (
            self.sending.tasks[name].apply_async,
            self.eager.tasks[name].apply_async,
            self.sending.tasks[name].apply,
        ):
            with pytest.raises(GroupFifoError) as caught:
                call(args, **options)
            found.append(caught.value)
        return found


@pytest.mark.parametrize(
    ("name", "args", "options", "kind"),
    [
        ("ordered", (None,), {}, MissingGroupKey),
        ("ordered", ("",), {}, InvalidGroupKey),
        ("ordered", ("k" * 513,), {}, InvalidGroupKey),
        ("callable", ("",), {}, MissingGroupKey),
        ("ordered", ("k",), {"group_key": 7}, InvalidGroupKey),
        ("ordered", ("k",), {"group_kye": "k"}, InvalidOption),
        ("ordered", ("k",), {"group_on_failure": "halt"}, InvalidOption),
        ("ordered", ("k",), {"group_max_lost": 0}, InvalidOption),
        ("ordered", ("k",), {"headers": {"groupfifo_group_kye": "k"}}, InvalidOption),
        ("plain", ("k",), {"group_kye": "k"}, InvalidOption),
        ("plain", ("k",), {"group_key": ""}, InvalidGroupKey),
        ("plain", ("k",), {"group_on_failure": "block"}, MissingGroupKey),
    ],
)
def test_a_call_fails_as_its_send_does(
    name: str, args: tuple[Any, ...], options: dict[str, Any], kind: type[Exception]
) -> None:
    sent, *in_place = Calls().errors(name, args, **options)
    assert type(sent) is kind
    assert [(type(each), str(each)) for each in in_place] == [(kind, str(sent))] * 2


def test_so_does_a_map_over_an_ordered_task() -> None:
    calls = Calls()
    with pytest.raises(MissingGroupKey, match=r"celery\.map over ordered is one entry of one group"):
        calls.eager.tasks["ordered"].map(["a", "b"]).apply_async()
    mapped = calls.eager.tasks["ordered"].map(["a", "b"])
    assert mapped.apply_async(group_key="k").get() == ["ran", "ran"]


def test_so_does_a_group_for_a_task_of_an_app_without_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celery._state._on_app_finalizers", set())  # shared tasks of other tests, ordered ones too
    app = make_app()
    task = app.task(Calls._run, name="plain", shared=False)
    with pytest.raises(InvalidSetting, match=r"does not use groups\."):
        task.apply_async(("k",), group_key="k")
    assert task.apply_async(("k",)).get() == "ran"


def test_a_correct_call_runs_without_redis() -> None:
    calls = Calls()
    for app in (calls.eager, calls.sending):
        for name, options in (("ordered", {}), ("ordered", {"group_max_lost": 1}), ("plain", {"group_key": "k"})):
            assert app.tasks[name].apply(("k",), **options).get() == "ran"
    assert calls.eager.tasks["ordered"].delay("k", number=1).get() == "ran"
    assert calls.eager.tasks["plain"].delay("").get() == "ran"


def test_a_run_sees_only_headers_of_its_own() -> None:
    app = make_app()

    @app.task(base=GroupFifoTask, group_key="{key}", bind=True, shared=False)
    def headers(self: Any, key: str) -> Any:
        return self.request.headers

    given = {"groupfifo_group_key": "k", "tenant": "t"}
    assert headers.apply(("k",), headers=given).get() == {"tenant": "t"}
    assert given == {"groupfifo_group_key": "k", "tenant": "t"}


# -- the outcomes of Celery ----------------------------------------------------


def tasks_of(base: type[Any], **options: Any) -> dict[str, Any]:
    """The same tasks, plain or ordered."""
    app = make_app()
    app.conf.task_eager_propagates = False

    def task(**more: Any) -> Callable[[Callable[..., Any]], Any]:
        return app.task(base=base, bind=True, shared=False, **options, **more)  # type: ignore[no-any-return]

    @task(max_retries=3, default_retry_delay=0)
    def tried(self: Any, key: str, times: int) -> int:
        if self.request.retries < times:
            raise self.retry(args=(None, times))  # its key can't be built; a retry keeps its group
        return int(self.request.retries)

    @task(autoretry_for=(ValueError,), max_retries=2, retry_backoff=False, default_retry_delay=0)
    def auto(self: Any, key: str, times: int) -> int:
        if self.request.retries < times:
            raise ValueError(f"try {self.request.retries}")
        return int(self.request.retries)

    @task()
    def raising(self: Any, key: str, kind: str) -> None:
        raise {"ignore": Ignore(), "reject": Reject("no", requeue=False), "error": KeyError("k")}[kind]

    @task()
    def added(self: Any, key: str, *numbers: Any) -> int:
        return sum(sum(each) if isinstance(each, list) else each for each in numbers)

    @task()
    def replaced(self: Any, key: str, other: str) -> None:
        raise self.replace(added.s(other, 1, 2))

    made = (tried, auto, raising, added, replaced)
    return {each.__name__: each for each in made}


CASES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "retried": lambda t: t["tried"].apply(("k", 2)),
    "retried too often": lambda t: t["tried"].apply(("k", 9)),
    "retried by itself": lambda t: t["auto"].apply(("k", 2)),
    "retried by itself too often": lambda t: t["auto"].apply(("k", 9)),
    "ignored": lambda t: t["raising"].apply(("k", "ignore")),
    "rejected": lambda t: t["raising"].apply(("k", "reject")),
    "failed": lambda t: t["raising"].apply(("k", "error")),
    "replaced": lambda t: t["replaced"].apply(("k", "other")),
    "a wrong call of what replaces it": lambda t: t["replaced"].apply(("k", "")),
    "a chain": lambda t: chain(t["added"].s("k", 1), t["added"].si("k", 2)).apply_async(),
    "a group": lambda t: group(t["added"].s("k", 1), t["added"].s("other", 2)).apply_async().results[1],
    "a chord": lambda t: chord([t["added"].s("k", 1), t["added"].s("k", 2)], t["added"].si("k", 3)).apply_async(),
    "chunks": lambda t: t["added"].chunks([("k", 1), ("k", 2)], 1).apply_async(group_key="k").results[0],
    "delay": lambda t: t["tried"].delay("k", 1),
}


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("a wrong")])
def test_it_ends_as_a_plain_one(case: str) -> None:
    def outcome(result: Any) -> Any:
        return result.state, repr(result.result).replace(str(result.id), "ID")

    plain = outcome(CASES[case](tasks_of(Task) if case != "chunks" else tasks_of(GroupFifoTask, group_key="{key}")))
    assert outcome(CASES[case](tasks_of(GroupFifoTask, group_key="{key}"))) == plain


def test_what_replaces_it_is_checked() -> None:
    ordered = tasks_of(GroupFifoTask, group_key="{key}")
    result = CASES["a wrong call of what replaces it"](ordered)
    assert result.state == "FAILURE" and isinstance(result.result, InvalidGroupKey)
