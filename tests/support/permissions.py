"""The users that docs/connections.md makes, and what they were refused."""

from __future__ import annotations

import re
import shlex
from typing import Any

from tests.support.places import REPOSITORY

USER, PASSWORD = "gate", "secret"


def printed(cluster: bool) -> list[str]:
    """Return the words of the command that the page prints, for a single server or for a node of a cluster."""
    page = (REPOSITORY / "docs" / "connections.md").read_text("utf-8")
    lines = list(re.findall(r"^ACL SETUSER gate .*$", page, re.MULTILINE))
    (found,) = (line for line in lines if ("+cluster|slots" in line) == cluster)
    return shlex.split(found)


def refused(client: Any) -> list[str]:
    """Return what a server has refused to the user, but for redis-py's own name, without which it goes on."""
    rows = client.execute_command("ACL", "LOG")
    dicts = (each if isinstance(each, dict) else dict(zip(each[::2], each[1::2], strict=True)) for each in rows)
    texts = ({_text(name): _text(value) for name, value in each.items()} for each in dicts)
    return [
        f"{each['reason']}: {each['object']}"
        for each in texts
        if each["username"] == USER and each["object"] != "client|setinfo"
    ]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
