"""The guards for outside writes."""

from __future__ import annotations

import sqlite3
from itertools import permutations
from pathlib import Path

import pytest
import redis
from redis.crc import key_slot

from celery_groupfifo.errors import GroupFifoError, GroupLeaseLost
from celery_groupfifo.fencing import Fence, RedisFence, SqlFence, fence_headers, read_fence_headers, sql_predicate

OLD, NEW = Fence("g", 1_800_000_000_000_001), Fence("g", 1_800_000_000_000_002)


class Wire:
    """A cursor of sqlite3 that speaks another parameter style, and may count only what changed, as MySQL does."""

    def __init__(self, cursor: sqlite3.Cursor, style: str, changed_only: bool = False) -> None:
        self._cursor, self._style, self._changed_only = cursor, style, changed_only
        self.rowcount = -1

    def execute(self, text: str, values: object) -> None:
        if self._style in ("format", "pyformat"):
            text = text.replace("%s", "?")
        before = self._fences() if self._changed_only else None
        self._cursor.execute(text, values)  # type: ignore[arg-type]
        self.rowcount = 0 if before is not None and before == self._fences() else self._cursor.rowcount

    def fetchone(self) -> object:
        return self._cursor.fetchone()

    def _fences(self) -> list[object]:
        return self._cursor.connection.execute("SELECT * FROM group_fences").fetchall()


@pytest.mark.parametrize("style", ["qmark", "format", "pyformat", "named"])
@pytest.mark.parametrize("changed_only", [False, True])
def test_a_table_of_fences_lets_only_the_newest_write(style: str, changed_only: bool) -> None:
    db = sqlite3.connect(":memory:")
    guard = SqlFence(paramstyle=style)
    db.execute(guard.create)
    db.execute(guard.create)
    cursor = Wire(db.cursor(), style, changed_only)
    for group in (OLD, OLD, NEW, NEW, Fence("other", 1)):
        guard.check(cursor, group)
    with pytest.raises(GroupLeaseLost, match=f"fence {OLD.fence} is refused: a run with fence {NEW.fence}"):
        guard.check(cursor, OLD)
    assert db.execute("SELECT * FROM group_fences ORDER BY fence").fetchall() == [("other", 1), NEW]
    db.close()


def test_a_row_of_an_older_run_that_appears_meanwhile_is_overtaken() -> None:
    db = sqlite3.connect(":memory:")
    guard = SqlFence()
    db.execute(guard.create)

    class Late(Wire):
        """Another run inserts its row between our first update and our look."""

        def execute(self, text: str, values: object) -> None:
            super().execute(text, values)
            if text.startswith("UPDATE") and not self.rowcount:
                db.execute("INSERT INTO group_fences VALUES (?, ?)", OLD)

    guard.check(Late(db.cursor(), "qmark"), NEW)
    assert db.execute("SELECT * FROM group_fences").fetchall() == [NEW]
    db.close()


def test_an_unknown_parameter_style_is_quoted() -> None:
    with pytest.raises(GroupFifoError, match="paramstyle='dollar'"):
        SqlFence(paramstyle="dollar")


def test_a_refused_check_rolls_back_with_the_write(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "effects", isolation_level=None)
    guard = SqlFence()
    db.execute(guard.create)
    db.execute("CREATE TABLE effect (fence)")
    for group in (NEW, OLD, NEW):
        cursor = db.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("INSERT INTO effect VALUES (?)", (group.fence,))
        try:
            guard.check(cursor, group)
        except GroupLeaseLost:
            cursor.execute("ROLLBACK")
        else:
            cursor.execute("COMMIT")
    assert db.execute("SELECT fence FROM effect").fetchall() == [(NEW.fence,), (NEW.fence,)]
    db.close()


def test_the_predicate_takes_any_column_and_placeholder() -> None:
    assert sql_predicate("a.fence", "%(fence)s") == "(a.fence IS NULL OR a.fence <= %(fence)s)"


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
def test_redis_keeps_the_newest_whatever_the_order(redis_url: str, order: tuple[int, ...]) -> None:
    with redis.Redis.from_url(redis_url) as client:
        guard = RedisFence(client)
        for number in order:
            try:
                guard.set("name", f"by {number}", Fence("g", OLD.fence + number))
            except GroupLeaseLost as error:
                assert f"fence {OLD.fence + number} is refused" in str(error)
        assert client.get("name") == b"by 3"


def test_the_same_run_may_set_a_key_again(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        guard = RedisFence(client)
        guard.set("name", "first", OLD)
        guard.set("name", "second", OLD)
        assert client.get("name") == b"second"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("plain", "{plain}:fence"),
        ("{tag}:x", "{tag}:x:fence"),
        ("a{tag}", "a{tag}:fence"),
        ("no{tag", "{no{tag}:fence"),
    ],
)
def test_a_fence_stands_in_the_slot_of_its_value(name: str, key: str) -> None:
    assert RedisFence.fence_key(name) == key
    assert key_slot(key.encode()) == key_slot(name.encode())


@pytest.mark.parametrize("key", ["plain", "a:b", "new\nline", "Müller", "100%", '"'])
def test_headers_carry_any_key(key: str) -> None:
    headers = fence_headers(Fence(key, 7))
    assert all(each.isascii() and each.isprintable() for each in headers.values())
    assert read_fence_headers({name.upper(): value for name, value in headers.items()}) == Fence(key, 7)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Fence-Group": "g"}, {"Fence-Token": "1"}, {"Fence-Group": "g", "Fence-Token": "-1"}],
    ids=str,
)
def test_headers_that_name_no_run_are_quoted(headers: dict[str, str]) -> None:
    with pytest.raises(GroupFifoError, match=r"send fence_headers\(self.group\)"):
        read_fence_headers(headers)


def test_a_run_without_a_group_has_no_fence() -> None:
    for call in (fence_headers, lambda group: SqlFence().check(None, group)):
        with pytest.raises(GroupFifoError, match="belongs to no group"):
            call(None)
