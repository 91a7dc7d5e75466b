"""The changes to Flower's Tasks page for grouped tasks: their group, and the state of revoked ones.

Flower knows tasks from events. A parked task comes as Celery's `task-sent`, with the field `group_key` (where
`task_send_sent_event` is on); a task that is begun names its group in `groupfifo-begun`; a task taken out of the gate
comes as `groupfifo-revoked`. No event of ours is of the kind `task-*`: Flower would take the client that sends it for
a worker.
"""

from __future__ import annotations

from typing import Any

from celery_groupfifo.sending.revoke import REVOKED

#: The field of a task, and the column.
FIELD, LABEL = "group_key", "Group"


def extend(task_class: Any, columns: dict[str, str], shown: str) -> str:
    """Give tasks a group, and the Tasks page a column for it. A second call changes nothing.

    Celery's own class is extended, in this process only, rather than replaced: a saved state (`--persistent`) names it,
    and a Flower without this package reads that state, too.

    Args:
        task_class: Of Celery's event state.
        columns: All columns of the Tasks page: name → title.
        shown: The names of the default columns, with commas.

    Returns:
        `shown` with the new column, after the task's id.
    """
    if FIELD not in task_class._fields:
        setattr(task_class, FIELD, None)
        task_class._fields = (*task_class._fields, FIELD)
    columns.setdefault(FIELD, LABEL)
    names = shown.split(",")
    if FIELD not in names:
        names.insert(names.index("uuid") + 1 if "uuid" in names else len(names), FIELD)
    return ",".join(names)


def take(state: Any, event: dict[str, Any]) -> None:
    """Change the tasks that one of our events names. Tasks that Flower does not know are ignored.

    Args:
        state: Flower's `EventsState`.
        event: As it came.
    """
    # Below the cache, as a look-up in it would mark the task as just used.
    known = getattr(state.tasks, "data", state.tasks)
    if event["type"] == REVOKED:
        for task_id in event["uuids"]:
            task = known.get(task_id)
            if task is not None and not task.ready:
                task.event("revoked", event["timestamp"])
                state.search_engine.upsert(task)
    elif event.get("key") is not None:
        task = known.get(event.get("uuid"))
        if task is not None:
            setattr(task, FIELD, event["key"])
