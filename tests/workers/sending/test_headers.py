"""Headers: a run sees its own and may send them on, and a ticket counts only where the gate has put it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from celery.result import AsyncResult

from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import HEADER, KEY_HEADER
from celery_groupfifo.gate.records import StoredGroup
from celery_groupfifo.testing import embedded
from tests.support.crews.workers import Crew, on
from tests.support.databases import Database
from tests.support.waiting import until

MINE = {"tenant": "t"}
TICKET = "gf {tag} 1800000000000000 0 1800000000000000 {id} g"


@pytest.mark.parametrize("task", ["act", "plain"])
def test_a_run_sees_only_headers_of_its_own(crew: Crew, key: str, task: str) -> None:
    """Through the broker, handed off, retried; also a plain task that is sent with a group."""
    found = []
    deeds = [("headers", MINE), ("headers", None), ("headers", {"headers": MINE}), ("retry_with_headers", MINE)]
    for number, (deed, headers) in enumerate(deeds):
        args = (key, number, deed) if task == "act" else (number, deed)
        found.append(crew.task(task).apply_async(args, headers=headers, group_key=key, group_max_lost=7))
    crew.keep(found)
    crew.wait_for(key, [0, 1, 2, 3, 3])
    assert [result.get(timeout=60) for result in found] == [MINE, None, MINE, MINE]


@on("prefork", "threads", "gevent")
def test_what_is_sent_on_with_them_runs(crew: Crew, key: str) -> None:
    before, other = len(crew.history.runs), f"{key}-other"
    crew.send(key, 100, "pass_on", other=other, headers=MINE)
    crew.wait_for(other, [114])
    expected = set(range(101, 114))
    until(lambda: expected <= {run.number for run in crew.history.runs[before:]}, lambda: str(crew.history.runs))
    found = [run for run in crew.history.runs[before:] if run.number in expected]
    assert sorted(run.number for run in found) == sorted(expected), "each of them once"
    assert {(run.key, run.fence) for run in found} == {(None, 0)}, "plain ones"


def published(crew: Crew, name: str, *args: Any, **forged: Any) -> Any:
    """Send a task as a client does that knows nothing of groups. Returns its result."""
    id = uuid4().hex
    message = crew.app.amqp.as_task_v2(id, name, args, {})
    headers = {header: value.format(id=id) if isinstance(value, str) else value for header, value in forged.items()}
    with crew.app.connection_for_write() as connection, connection.Producer() as producer:
        producer.publish(
            message.body,
            exchange="",
            routing_key="celery",
            headers={**message.headers, **headers, **MINE},
            serializer="json",
            **message.properties,
        )
    result = crew.app.AsyncResult(id)
    crew.keep([result])
    return result


OURS, OTHERS = "groupfifo:0", "elsewhere:3"
FORGED: dict[str, dict[str, Any]] = {
    "garbage": {HEADER: "garbage"},
    "no text": {HEADER: {"a": [1]}},
    "another task's": {HEADER: TICKET.format(tag=OURS, id="somebody"), KEY_HEADER: "g"},
    "another task's, of another gate": {HEADER: TICKET.format(tag=OTHERS, id="somebody"), KEY_HEADER: "g"},
    "its own": {HEADER: TICKET.format(tag=OURS, id="{id}"), KEY_HEADER: "g"},
    "its own, of another gate": {HEADER: TICKET.format(tag=OTHERS, id="{id}"), KEY_HEADER: "g"},
}


@on("prefork")
def test_an_ordered_task_of_a_sender_that_knows_no_groups_is_told_once(crew: Crew, key: str) -> None:
    """Before this package was rolled out everywhere, say. It runs, as any task that a worker gets."""
    for number in (905, 906):
        assert published(crew, "worker.act", key, number, "headers").get(timeout=60) == MINE
    published(crew, "worker.plain", 907, "headers").get(timeout=60)
    crew.worker.logs("Task worker.act[")
    assert crew.worker.log.count("came without a ticket") == 1


@on("prefork", "threads")
@pytest.mark.parametrize("forged", FORGED)
def test_a_plain_task_with_a_forged_ticket_is_plain(crew: Crew, forged: str) -> None:
    result = published(crew, "worker.plain", 901, "headers", **FORGED[forged])
    assert result.get(timeout=60) == MINE
    (run,) = [run for run in crew.history.runs if run.id == result.id]
    assert (run.key, run.fence) == (None, 0)
    assert not crew.left_over()


@on("prefork", "threads")
@pytest.mark.parametrize("forged", FORGED)
def test_on_an_ordered_task_it_begins_nothing_and_is_told(crew: Crew, key: str, forged: str) -> None:
    """A possible copy of the gate's own is dropped: the waiting entry goes out again. Else it runs, as it came."""
    crew.send(key, 1, "wait", name=key)
    until(lambda: crew.history.group(key))
    result = published(crew, "worker.act", key, 902, "headers", **FORGED[forged])
    dropped = forged.startswith("its own")
    said = f"worker.act[{result.id}] came with a ticket that the gate has not put into its message"
    crew.worker.logs(said)
    if not dropped:
        assert result.get(timeout=60) == MINE
    crew.tell(key)
    crew.wait_for(key, [1])
    assert [run.fence for run in crew.history.runs if run.id == result.id] == ([] if dropped else [0])
    (line,) = [line for line in crew.worker.log.splitlines() if said in line]
    assert ("is dropped" if dropped else "outside of its group's line") in line


@on("prefork", "threads")
def test_a_ticket_that_was_copied_from_the_broker(crew: Crew, key: str) -> None:
    """The headers of a message that waits, in a plain task: it runs, and the one that waits runs once."""
    crew.send(key, 1, "wait", name=key)
    until(lambda: crew.history.group(key))
    (record,) = crew.redis.hvals("{groupfifo:0}:groups")
    assert isinstance(record, bytes)
    (flight,) = StoredGroup.parse(quote(key), record).flights
    ticket = f"gf groupfifo:0 {flight.release} 0 1 {flight.id} {quote(key)}"
    result = published(crew, "worker.plain", 902, "headers", **{HEADER: ticket, KEY_HEADER: key})
    assert result.get(timeout=60) == MINE
    crew.tell(key)
    crew.wait_for(key, [1])


def test_so_it_is_where_the_broker_is_not_the_gates_redis(
    make_crew: Callable[..., Crew], redis_server: embedded.Server
) -> None:
    """There a ticket has no place but its header: it must be the message's own."""
    crew = make_crew(groupfifo_url=Database.GATE.of(redis_server.url))
    crew.worker.start().ready()
    for forged in [name for name in FORGED if not name.startswith("its own")]:
        assert published(crew, "worker.plain", 901, "headers", **FORGED[forged]).get(timeout=60) == MINE, forged
    result = crew.send("of-another-broker", 1, "headers", headers=MINE)
    assert result.get(timeout=60) == MINE
    assert {run.key for run in crew.history.runs} == {None, "of-another-broker"}


def test_what_is_kept_with_a_result(make_crew: Callable[..., Crew], key: str) -> None:
    crew = make_crew(result_extended=True)
    crew.worker.start().ready()
    kept: list[AsyncResult] = []
    for deed in ("headers", "fail"):
        result = crew.send(key, len(kept), deed, headers=MINE)
        kept.append(result)
        crew.state(result, "SUCCESS" if deed == "headers" else "FAILURE")
    for result in kept:
        meta = result._get_task_meta()
        assert meta["name"] == "worker.act", "it is extended"
        assert "groupfifo" not in str({name: value for name, value in meta.items() if name != "traceback"})
