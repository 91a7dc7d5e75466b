"""The audit: operator, action, time and reason, noted by the script of the action, and logged."""

from __future__ import annotations

import getpass
import json
import logging
import socket
from typing import Any

from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Action, moment

logger = logging.getLogger("celery_groupfifo.audit")


def current_user() -> str:
    """Return the user of this process, for actions that name no operator."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def new_note(what: str, key: str, by: str = "", reason: str = "", **more: Any) -> str:
    """Return the note of an action for its script, which adds the time."""
    said = {"by": by or current_user(), "what": what, "key": key, "reason": reason, **more}
    return json.dumps({name: value for name, value in said.items() if value not in ("", None)})


def log(note: str, outcome: str = "") -> None:
    """Log an action that was done."""
    said = json.loads(note)
    logger.info(
        "%s: %s of group %r%s%s",
        said["by"],
        said["what"],
        said.get("key", ""),
        f" ({outcome})" if outcome else "",
        f", because: {said['reason']}" if said.get("reason") else "",
        extra={"groupfifo": said},
    )


def actions(reader: Reader, limit: int) -> list[Action]:
    """Return the last actions, newest first."""
    found = []
    for keys in reader.partitions:
        for line in reader.one("lrange", keys.audit, 0, limit - 1):
            ms, _, text = line.decode().partition(" ")
            said = json.loads(text)
            by, what, key, reason = (str(said.pop(name, "")) for name in ("by", "what", "key", "reason"))
            found.append(Action(moment(int(ms)), by, what, key, reason, said))
    return sorted(found, key=lambda action: action.when, reverse=True)[:limit]


__all__ = ["actions", "current_user", "log", "new_note"]
