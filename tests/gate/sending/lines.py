"""The line of a group, as an operator sees it."""

from __future__ import annotations

from celery import Celery

from celery_groupfifo import Groups, UnknownGroup


def in_line(app: Celery, key: str = "k") -> list[str]:
    """The ids of a group's tasks, in order, its head too."""
    try:
        head = Groups(app).get(key).head
    except UnknownGroup:
        return []
    return [str(head), *(task.task_id for task in Groups(app).tasks(key))]
