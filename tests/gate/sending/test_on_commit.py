"""Sends at the commit of a real SQLAlchemy session: in order, and nothing for what is rolled back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, chain
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from celery_groupfifo import (
    GateUnavailable,
    GroupFifoTask,
    InvalidGroupKey,
    InvalidOption,
    MissingGroupKey,
    PartiallyParked,
    park_on_commit,
)
from tests.gate.sending.lines import in_line


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = Celery("on-commit", broker=redis_url, set_as_current=False)
    app.conf.task_ignore_result = True

    def send(key: str, number: int) -> None: ...

    app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
    app.task(name="plain", lazy=False, shared=False)(send)
    yield app
    app.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE message (number INTEGER PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


def write(session: Session, number: int) -> None:
    session.execute(text("INSERT INTO message VALUES (:number)"), {"number": number})


def written(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT number FROM message ORDER BY number")))


def call(app: Celery, number: int, **options: Any) -> Any:
    return app.tasks["send"].s("k", number).set(task_id=f"t{number}", **options)


def test_it_is_parked_at_the_commit_in_the_order_of_the_calls(app: Celery, engine: Engine, session: Session) -> None:
    for number in range(4):
        write(session, number)
        assert park_on_commit(session, call(app, number)).id == f"t{number}"
    assert in_line(app) == []
    session.commit()
    assert in_line(app) == ["t0", "t1", "t2", "t3"]
    assert written(engine) == [0, 1, 2, 3]


def test_transactions_are_parked_in_the_order_of_their_commits(app: Celery, engine: Engine) -> None:
    with Session(engine) as first, Session(engine) as second:
        park_on_commit(first, call(app, 1))
        park_on_commit(second, call(app, 2))
        second.commit()
        first.commit()
        park_on_commit(first, call(app, 3))
        first.commit()
    assert in_line(app) == ["t2", "t1", "t3"]


def test_the_database_has_committed_before(app: Celery, engine: Engine, session: Session) -> None:
    """A worker that takes the task at once sees what the transaction wrote."""
    from celery_groupfifo import group_parked

    seen = []

    def look(**_: Any) -> None:
        seen.append(written(engine))

    group_parked.connect(look)
    try:
        write(session, 7)
        park_on_commit(session, call(app, 7))
        session.commit()
    finally:
        group_parked.disconnect(look)
    assert seen == [[7]]


@pytest.mark.parametrize("end", ["rollback", "close", "error", "failed commit"])
def test_nothing_is_parked_without_a_commit(app: Celery, engine: Engine, end: str) -> None:
    with Session(engine) as session:
        write(session, 1)
        park_on_commit(session, call(app, 1))
        if end == "rollback":
            session.rollback()
        elif end == "close":
            session.close()
        elif end == "error":
            with pytest.raises(ZeroDivisionError), session.begin_nested():
                _ = 1 / 0
            session.rollback()
        else:
            with pytest.raises(OperationalError), pytest.MonkeyPatch.context() as patch:
                patch.setattr(engine.dialect, "do_commit", _refuse)
                session.commit()
            session.rollback()
        session.commit()
        assert in_line(app) == []
        park_on_commit(session, call(app, 2))
        session.commit()
    assert in_line(app) == ["t2"], "what was dropped stays dropped"


def _refuse(_: Any) -> None:
    raise OperationalError("COMMIT", {}, Exception("disk full"))


def test_a_savepoint_keeps_or_drops_its_own(app: Celery, session: Session) -> None:
    park_on_commit(session, call(app, 1))
    with session.begin_nested():
        park_on_commit(session, call(app, 2))
        inner = session.begin_nested()
        park_on_commit(session, call(app, 3))
        inner.rollback()
        park_on_commit(session, call(app, 4))
    lost = session.begin_nested()
    with session.begin_nested():
        park_on_commit(session, call(app, 5))
    lost.rollback()
    park_on_commit(session, call(app, 6))
    assert in_line(app) == []
    session.commit()
    assert in_line(app) == ["t1", "t2", "t4", "t6"]


def test_it_begins_a_transaction_where_there_is_none(app: Celery, engine: Engine) -> None:
    with Session(engine, autobegin=False) as session:
        park_on_commit(session, call(app, 1))
        assert session.in_transaction()
        session.commit()
    with sessionmaker(engine).begin() as session:
        park_on_commit(session, call(app, 2))
    assert in_line(app) == ["t1", "t2"]


def test_a_registry_of_sessions(app: Celery, engine: Engine) -> None:
    session = scoped_session(sessionmaker(engine))
    park_on_commit(session, call(app, 1))
    session.commit()
    session.remove()
    assert in_line(app) == ["t1"]


def test_an_asynchronous_session(app: Celery) -> None:
    """Its plain session has the events, in whichever way its engine waits."""
    session = AsyncSession()
    park_on_commit(session, call(app, 1))
    assert in_line(app) == []
    asyncio.run(session.commit())
    assert in_line(app) == ["t1"]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda app: app.tasks["send"].s("", 1), InvalidGroupKey),
        (lambda app: app.tasks["send"].s(), MissingGroupKey),
        (lambda app: app.tasks["send"].s("k", 1).set(group_kye="j"), InvalidOption),
        (lambda app: app.tasks["send"].s("k", 1).set(group_on_failure="stop"), InvalidOption),
        (lambda app: app.tasks["plain"].s("k", 1), MissingGroupKey),
        (lambda app: chain(app.tasks["send"].si("k", 1), app.tasks["send"].si("k", 2)), InvalidOption),
        (lambda app: "send", InvalidOption),
    ],
)
def test_a_wrong_call_fails_at_once(app: Celery, session: Session, make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        park_on_commit(session, make(app))
    session.commit()
    assert in_line(app) == []


def test_a_plain_task_with_a_key_and_one_without_code(app: Celery, session: Session, redis_url: str) -> None:
    park_on_commit(session, app.tasks["plain"].s("a", 1).set(group_key="k", task_id="t1"))
    park_on_commit(session, app.signature("elsewhere.send", (1,), group_key="k", task_id="t2"))
    session.commit()
    assert in_line(app) == ["t1", "t2"]


def test_the_call_is_kept_as_it_was(app: Celery, session: Session) -> None:
    """The caller may go on with its signature."""
    signature = call(app, 1)
    park_on_commit(session, signature)
    signature.set(task_id="other", group_key="other")
    session.commit()
    assert in_line(app) == ["t1"]


def test_an_id_is_known_before_the_commit(app: Celery, session: Session) -> None:
    result = park_on_commit(session, app.tasks["send"].s("k", 1))
    session.commit()
    assert in_line(app) == [result.id]


def test_without_the_gate_the_commit_says_what_was_not_sent(engine: Engine) -> None:
    app = Celery("away", broker="redis://127.0.0.1:1", set_as_current=False)
    app.conf.update(task_publish_retry=False, task_ignore_result=True)

    def send(key: str) -> None: ...

    app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
    with Session(engine) as session:
        write(session, 1)
        park_on_commit(session, app.tasks["send"].s("k"))
        with pytest.raises(PartiallyParked) as caught:
            session.commit()
        assert isinstance(caught.value.cause, GateUnavailable) and caught.value.parked == []
        write(session, 2)
        session.commit()
    assert written(engine) == [1, 2], "the first transaction is committed, and the session goes on"
    app.close()


def test_a_run_in_place_waits_for_the_commit_too(app: Celery, session: Session, redis_url: str) -> None:
    ran = []

    def note(key: str) -> None:
        ran.append(key)

    app.task(base=GroupFifoTask, group_key="{key}", name="note", lazy=False, shared=False)(note)
    app.conf.task_always_eager = True
    park_on_commit(session, app.tasks["note"].s("k"))
    assert ran == []
    session.commit()
    assert ran == ["k"]
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("*groupfifo*") == []
