"""Without Django, ordered tasks have no more methods than plain ones; with it: tests/compatibility/ecosystem."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.fixups.django import DjangoFixup

from celery_groupfifo import GroupFifoTask

METHODS = ("delay_on_commit", "apply_async_on_commit")


@pytest.fixture
def task() -> Any:
    app = Celery("no-django", broker="redis://127.0.0.1:1", set_as_current=False)

    def send(key: str) -> None: ...

    return app.task(base=GroupFifoTask, group_key="{key}", lazy=False, shared=False)(send)


@pytest.mark.parametrize("method", METHODS)
def test_without_django_there_is_no_commit(task: Any, method: str) -> None:
    assert not hasattr(task, method)
    assert not hasattr(GroupFifoTask, method), "a class without an app"
    with pytest.raises(AttributeError, match=f"{method}.*Django"):
        getattr(task, method)


@pytest.mark.parametrize("method", METHODS)
def test_with_it_they_are_those_of_celerys_own_task(task: Any, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class DjangoTask:
        def delay_on_commit(self, *args: Any) -> Any:
            return self, args

        apply_async_on_commit = delay_on_commit

    monkeypatch.setitem(sys.modules, "celery.contrib.django.task", SimpleNamespace(DjangoTask=DjangoTask))
    task.app._fixups = [DjangoFixup(task.app)]
    assert getattr(task, method)("a") == (task, ("a",))
