"""The audit: operator, action, time and reason, noted by the script of the action, and logged."""

from __future__ import annotations

import getpass
import json
import logging
import socket
from typing import Any

from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Action, moment
from celery_groupfifo.printing import escaping

#: Actions that are kept; lua/lib/operate.lua has the same number.
KEPT = 1000

logger = escaping(logging.getLogger("celery_groupfifo.audit"))


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
        "%s: %s of %s%s%s",
        said["by"],
        said["what"],
        f"group {said.get('key', '')!r}" if "groups" not in said else f"{said['groups']} groups",
        f" ({outcome})" if outcome else "",
        f", because: {said['reason']}" if said.get("reason") else "",
        extra={"groupfifo": said},
    )


def keep(reader: Reader, keys: Keys, note: str) -> str:
    """Keep the note of an action that no script of the gate does, before it; `KEPT` are kept, as by the scripts.

    Returns:
        The line in the audit, for `take_back`.
    """
    line = f"{int(reader.now())} {note}"

    def build(pipe: Any) -> None:
        pipe.lrem(keys.audit, 1, line)  # of the same call, whose reply was lost
        pipe.lpush(keys.audit, line).ltrim(keys.audit, 0, KEPT - 1)

    reader.ask("audit", build)
    return line


def take_back(reader: Reader, keys: Keys, line: str) -> None:
    """Take a line out of the audit: its action was refused."""
    reader.ask("audit", lambda pipe: pipe.lrem(keys.audit, 1, line))


def actions(reader: Reader, limit: int, key: str | None = None) -> list[Action]:
    """Return the last actions, newest first; with a key those on its group, also with others if they name it."""
    found = []
    for keys in reader.partitions:
        for line in reader.one("lrange", keys.audit, 0, -1 if key is not None else limit - 1):
            ms, _, text = line.decode().partition(" ")
            said = json.loads(text)
            by, what, group, reason = (str(said.pop(name, "")) for name in ("by", "what", "key", "reason"))
            if key in (None, group, *said.get("keys", ())):
                found.append(Action(moment(int(ms)), by, what, group, reason, said))
    return sorted(found, key=lambda action: action.when, reverse=True)[:limit]


__all__ = ["actions", "current_user", "keep", "log", "new_note", "take_back"]
