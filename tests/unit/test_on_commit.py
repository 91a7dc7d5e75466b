"""Without Django, ordered tasks have no more methods than plain ones; with it, see tests/ecosystem/test_django.py."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.fixups.django import DjangoFixup

from celery_groupfifo import GroupFifoTask

METHODS = ("delay_on_commit", "apply_async_on_commit")


@pytest.fixture
def task() -> Any:
    app = Celery("no-django", broker="redis://127.0.0.1:1", set_as_current=False)
    return app.task(base=GroupFifoTask, group_key="{key}", lazy=False, shared=False)(lambda key: None)


@pytest.mark.parametrize("method", METHODS)
def test_without_django_there_is_no_commit(task: Any, method: str) -> None:
    assert not hasattr(task, method)
    assert not hasattr(GroupFifoTask, method), "a class without an app"
    with pytest.raises(AttributeError, match=f"{method}.*Django"):
        getattr(task, method)


@pytest.mark.parametrize("method", METHODS)
def test_the_fixup_decides(task: Any, method: str) -> None:
    task.app._fixups = [DjangoFixup(task.app)]
    with pytest.raises(ModuleNotFoundError, match="django"):
        getattr(task, method)
