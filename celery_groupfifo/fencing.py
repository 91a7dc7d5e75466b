"""Guards for what a task writes outside: a newer run's write is never undone by an older one.

A lease can tell a worker that it has lost its group, but it can't stop a process that stands still between its last
look and its write. Timeline: run 1 (fence 7) is about to write and is frozen; its lease ends; run 2 (fence 8) begins
and writes; run 1 thaws and writes over it. Only the place that is written to can refuse that, and the fence is what
it needs to know: it grows with every start in the group.

Each guard takes `self.group`, or anything else with `.key` and `.fence`. A refused write raises `GroupLeaseLost`. The
same fence may write again: a run may write several times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple, Protocol
from urllib.parse import quote, unquote

from celery_groupfifo.errors import GroupFifoError, GroupLeaseLost

GROUP_HEADER = "Fence-Group"
TOKEN_HEADER = "Fence-Token"


class Fenced(Protocol):
    """The part of a run that a guard reads; `self.group` has it."""

    @property
    def key(self) -> str:
        """Return the group's key."""

    @property
    def fence(self) -> int:
        """Return the fence, which grows with every start in the group."""


class Headers(Protocol):
    """The headers of a request: a mapping, or what an HTTP library has in place of one."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return their names and values."""


class Fence(NamedTuple):
    """A fence that came in the headers of a request, see `read_fence_headers`."""

    key: str
    fence: int


# -- SQL ---------------------------------------------------------------------


def sql_predicate(column: str = "fence", placeholder: str = ":fence") -> str:
    """Return a condition for the WHERE of a write to a row that keeps the fence of its last writer.

    Set the column to the same fence in the same statement; a row count of 0 means that the write was refused.

    Args:
        column: The row's column for the fence: BIGINT, NULL where no ordered task has written yet.
        placeholder: The driver's placeholder for the fence.

    Returns:
        SQL, in parentheses.
    """
    return f"({column} IS NULL OR {column} <= {placeholder})"


class SqlFence:
    """A table with the highest fence of each group: for writes that insert, or touch many rows.

    `check` belongs into the transaction of the write. It keeps the group's row locked until the transaction ends, so
    no check and write of another run come in between.

    Args:
        table: Its name.
        paramstyle: Of the driver: `sqlite3.paramstyle`, `psycopg.paramstyle`, …

    Attributes:
        create: The statement that makes the table, unless it is there.

    Raises:
        GroupFifoError: The style is unknown.
    """

    def __init__(self, table: str = "group_fences", paramstyle: str = "qmark") -> None:
        self.create = f"CREATE TABLE IF NOT EXISTS {table} (group_key VARCHAR(512) PRIMARY KEY, fence BIGINT NOT NULL)"
        self._raise = _Statement(
            f"UPDATE {table} SET fence = :fence WHERE group_key = :key AND {sql_predicate()}", paramstyle
        )
        self._select = _Statement(f"SELECT fence FROM {table} WHERE group_key = :key", paramstyle)
        self._insert = _Statement(f"INSERT INTO {table} (group_key, fence) VALUES (:key, :fence)", paramstyle)

    def check(self, cursor: Any, group: Fenced | None) -> None:
        """Let the run write, and refuse older ones from now on.

        Args:
            cursor: Of the transaction that writes. With autocommit there is none, and the check is worth nothing.
            group: `self.group`.

        Raises:
            GroupLeaseLost: A newer run has written. Roll back.
        """
        run = _known(group)
        stored: int | None = -1
        while stored is not None and stored < run.fence:
            self._raise.execute(cursor, key=run.key, fence=run.fence)
            if cursor.rowcount > 0:
                return
            # No row was changed: this is the group's first write, the driver counts only changed rows, or a newer run
            # has written.
            self._select.execute(cursor, key=run.key)
            row = cursor.fetchone()
            stored = None if row is None else int(row[0])
        if stored is None:
            # When two runs find no row, the database lets one insert and fails the other.
            self._insert.execute(cursor, key=run.key, fence=run.fence)
        elif stored > run.fence:
            raise _stale(run, stored)


class _Statement:
    """An SQL statement with `:names`, turned into the style of a driver."""

    _MARKS: ClassVar = {"qmark": "?", "format": "%s", "pyformat": "%s", "named": r"\g<0>"}

    def __init__(self, text: str, paramstyle: str) -> None:
        mark = self._MARKS.get(paramstyle)
        if mark is None:
            raise GroupFifoError(
                f"paramstyle={paramstyle!r} does not work: set it to one of {', '.join(sorted(self._MARKS))}."
            )
        self._text = re.sub(r":\w+", mark, text)
        self._names = None if paramstyle == "named" else re.findall(r":(\w+)", text)

    def execute(self, cursor: Any, **values: Any) -> None:
        cursor.execute(self._text, values if self._names is None else tuple(values[name] for name in self._names))


# -- Redis -------------------------------------------------------------------

_SET = """\
-- KEYS[1] value · KEYS[2] fence of its last writer · ARGV[1] value · ARGV[2] fence
local last = redis.call('GET', KEYS[2])
if last and tonumber(last) > tonumber(ARGV[2]) then
  return last
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
return false
"""


class RedisFence:
    """A writer for keys of a Redis that refuses what an older run writes.

    The fence stands in a key next to the value, in the same slot of a Redis Cluster.

    Args:
        client: redis-py's, for the Redis that holds the values.
    """

    def __init__(self, client: Any) -> None:
        self._script = client.register_script(_SET)

    def set(self, name: str, value: bytes | str | int | float, group: Fenced | None) -> None:
        """Set the key `name`.

        Args:
            name: Of the key.
            value: As redis-py takes it.
            group: `self.group`.

        Raises:
            GroupLeaseLost: A newer run has set it; it was left as it is.
        """
        run = _known(group)
        newer = self._script(keys=[name, self.fence_key(name)], args=[value, run.fence])
        if newer is not None:
            raise _stale(run, int(newer))

    @staticmethod
    def fence_key(name: str) -> str:
        """Return the key that holds the fence of the last writer of `name`."""
        _, brace, rest = name.partition("{")
        tagged = bool(brace) and rest.find("}") > 0
        return f"{name}:fence" if tagged else f"{{{name}}}:fence"


# -- HTTP --------------------------------------------------------------------


def fence_headers(group: Fenced | None) -> dict[str, str]:
    """Return the headers that tell another service which run is calling.

    Args:
        group: `self.group`.

    Returns:
        `Fence-Group`, percent-encoded, and `Fence-Token`.

    Raises:
        GroupFifoError: The run belongs to no group.
    """
    run = _known(group)
    return {GROUP_HEADER: quote(run.key, safe=":@/,=+"), TOKEN_HEADER: str(run.fence)}


def read_fence_headers(headers: Headers) -> Fence:
    """Read which run is calling, in the service that is called; give the result to a guard of its own store.

    Args:
        headers: Of the request; the case of the names does not matter.

    Returns:
        The caller's group and fence.

    Raises:
        GroupFifoError: A header is missing or its value is no fence; answer 400. When a guard refuses, answer 409.
    """
    found = {name.lower(): value for name, value in headers.items()}
    key, token = found.get(GROUP_HEADER.lower(), ""), found.get(TOKEN_HEADER.lower(), "")
    if not key or not (token.isascii() and token.isdigit()):
        raise GroupFifoError(
            f"{GROUP_HEADER}: {key!r} and {TOKEN_HEADER}: {token!r} name no run: send fence_headers(self.group)."
        )
    return Fence(unquote(key), int(token))


def _known(group: Fenced | None) -> Fenced:
    if group is None:
        raise GroupFifoError("This run belongs to no group, so it has no fence: send the task with a group key.")
    return group


def _stale(run: Fenced, newer: int) -> GroupLeaseLost:
    return GroupLeaseLost(
        f"The write of group {run.key!r} with fence {run.fence} is refused: a run with fence {newer} has written. "
        "Stop, and change nothing more."
    )
