"""A task that runs in place has no group: no gate has given it a lease."""

from __future__ import annotations

from typing import Any

from celery import Celery

from celery_groupfifo import GroupFifoTask, GroupRun


def test_it_has_no_group() -> None:
    app = Celery("in-place", broker="redis://localhost:1/0", set_as_current=False)
    app.conf.update(task_always_eager=True, task_eager_propagates=True)

    @app.task(base=GroupFifoTask, group_key="{key}", bind=True, shared=False)
    def groups(self: Any, key: str) -> tuple[Any, Any]:
        return self.group, GroupRun.of(self)

    nothing = (None, None)
    assert groups.delay("k").get() == groups.apply(("k",)).get() == groups.s("k").delay().get() == nothing
    assert groups("k") == nothing
