"""Parks that wait for replicas, and a server that takes no writes without them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from celery_groupfifo import GroupFifoTask, Groups, park_many
from celery_groupfifo.errors import GateUnavailable, NotReplicated, PartiallyParked
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.model import Bound, Entry
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.server import check_server
from celery_groupfifo.testing import embedded
from tests.support.waiting import until
from tests.support.world import make_entry

NEITHER = "0 of 1 replicas have confirmed it within"


class Replicated:
    """A master and its replica. Calls of the gate wait for the replica, as the settings of the app say."""

    def __init__(self, master: embedded.Server, replica: embedded.Server) -> None:
        self.master, self.replica = redis.Redis.from_url(master.url), redis.Redis.from_url(replica.url)
        self.pid = replica.pid
        self.app = Celery("replicas", broker=master.url, set_as_current=False)
        self.app.conf.update(groupfifo_wait_replicas=1, groupfifo_lease_ttl=4.0, task_publish_retry=False)

    def gate(self) -> Gate:
        return build_gate(self.app)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The replica stands still meanwhile."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)
            until(lambda: self.master.wait(1, 100) == 1)

    def waits(self) -> int:
        """Return the number of calls of WAIT."""
        return int(self.master.info("commandstats").get("cmdstat_wait", {}).get("calls", 0))


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[embedded.Server, embedded.Server]]:
    options = ("--repl-diskless-sync-delay", "0")
    with embedded.start(appendonly=False, extra_args=options) as master:
        more = ("--replicaof", "127.0.0.1", str(master.port))
        with embedded.start(appendonly=False, extra_args=more) as replica:
            yield master, replica


@pytest.fixture
def replicated(servers: tuple[embedded.Server, embedded.Server]) -> Iterator[Replicated]:
    made = Replicated(*servers)
    made.master.flushall()
    made.master.config_set("min-replicas-to-write", 0)
    until(lambda: made.replica.info("replication")["master_link_status"] == "up")
    yield made
    made.app.close()


def _replacing(gate: Gate) -> Entry:
    """An entry that gives its message to the parked one of the same id."""
    entry = make_entry(gate, "second", body="new")
    entry.on_duplicate = "replace"
    return entry


PARKS: dict[str, Callable[[Gate], Entry]] = {
    "alone": lambda gate: make_entry(gate, "a"),
    "behind others": lambda gate: make_entry(gate, "a"),
    "with several keys": lambda gate: make_entry(gate, "a", others=["h"]),
    "with an ETA": lambda gate: make_entry(gate, "a", delay=60_000),
    "with a bound": lambda gate: make_entry(gate, "a", bound=Bound(5, "drop_oldest")),
    "replacing another": _replacing,
}


def _prepare(replicated: Replicated, gate: Gate, how: str) -> None:
    if how != "alone":
        for name in ("first", "second"):
            assert gate.park(make_entry(gate, name), gate.number())


@pytest.mark.parametrize("how", PARKS)
@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_a_task_that_no_replica_confirms_is_told_and_parked_once(replicated: Replicated, how: str, bulk: bool) -> None:
    """Timeline: the replica hangs; the call raises; it comes back; the same call is made again."""
    gate = replicated.gate()
    _prepare(replicated, gate, how)
    entry = PARKS[how](gate)
    number = gate.numbers_of([entry])[0]

    def park() -> object:
        return gate.park_all([entry], [number])[0] if bulk else gate.park(entry, number)

    with replicated.frozen(), pytest.raises(NotReplicated, match=NEITHER) as raised:
        park()
    assert isinstance(raised.value, GateUnavailable) and isinstance(raised.value, OperationalError)
    assert "groupfifo_wait_replicas = 1" in str(raised.value) and "the same task_id" in str(raised.value)
    held = replicated.master.hgetall(gate.keyspace.partitions[0].entries)
    assert park() is True, "it was parked before"
    assert replicated.replica.hgetall(gate.keyspace.partitions[0].entries) == held, "and the replica has it"
    assert len(held) == {"alone": 1, "replacing another": 2, "with several keys": 4}.get(how, 3)
    gate.store.close()


def test_what_is_parked_is_at_the_replica_when_the_call_returns(replicated: Replicated) -> None:
    gate = replicated.gate()
    for number in range(50):
        assert gate.park(make_entry(gate, f"a{number}"), gate.number())
        assert replicated.replica.hexists(gate.keyspace.partitions[0].entries, f"a{number}")
    entries = [make_entry(gate, f"b{number}", f"k{number % 3}") for number in range(50)]
    assert gate.park_all(entries, gate.numbers(50)) == [True] * 50
    assert all(replicated.replica.hexists(gate.keyspace.partitions[0].entries, entry.id) for entry in entries)
    gate.store.close()


def test_without_the_setting_no_park_waits(replicated: Replicated) -> None:
    replicated.app.conf.groupfifo_wait_replicas = 0
    gate, before = replicated.gate(), replicated.waits()
    with replicated.frozen():
        assert gate.park(make_entry(gate, "a"), gate.number())
        assert gate.park_all([make_entry(gate, "b")], gate.numbers(1)) == [True]
        assert replicated.waits() == before
    gate.store.close()


def test_a_number_that_was_not_confirmed_is_used_for_its_repetition_only(replicated: Replicated) -> None:
    """Another thread's call takes no number above it meanwhile: the repetition would count as done."""
    gate = replicated.gate()
    number = gate.number()
    with replicated.frozen(), pytest.raises(NotReplicated):
        gate.park(make_entry(gate, "a"), number)
    assert gate.number().producer != number.producer
    gate.store.close()


def test_a_ticket_for_another_broker_goes_out_all_the_same(replicated: Replicated) -> None:
    """The task is parked: without its ticket its group would stand still for a minute."""
    published: list[bytes | None] = []
    replicated.app.conf.groupfifo_url = replicated.app.conf.broker_url
    replicated.app.conf.broker_url = "memory://"
    gate = replicated.gate()
    gate.publish = lambda words, producer=None: published.extend(words)  # type: ignore[method-assign]
    with replicated.frozen(), pytest.raises(NotReplicated):
        gate.park(make_entry(gate, "a"), gate.number())
    assert len(published) == 2, "its queue and its message"
    gate.store.close()


@pytest.fixture
def task(replicated: Replicated) -> GroupFifoTask:
    @replicated.app.task(base=GroupFifoTask, group_key="{key}", name="step")
    def step(key: str, number: int) -> None: ...

    made: GroupFifoTask = step
    return made


def test_a_call_is_repeated_by_its_id(replicated: Replicated, task: GroupFifoTask) -> None:
    with replicated.frozen(), pytest.raises(NotReplicated, match=NEITHER):
        task.apply_async(("k", 1), task_id="one", retry=False)
    assert task.apply_async(("k", 1), task_id="one", retry=False).id == "one"
    assert Groups(replicated.app).get("k").depth == 1
    with replicated.frozen(), pytest.raises(PartiallyParked, match=NEITHER):
        park_many([task.si("k", number) for number in range(3)])


def test_celerys_policy_for_a_publish_repeats_it(replicated: Replicated, task: GroupFifoTask) -> None:
    """The replica comes back while the call is repeated."""
    policy = {"max_retries": 50, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    before = replicated.waits()

    with replicated.frozen():
        assert replicated.pid is not None
        timer = threading.Timer(1.3, os.kill, (replicated.pid, signal.SIGCONT))
        timer.start()
        result = task.apply_async(("k", 1), retry=True, retry_policy=policy)
        timer.join()
    assert replicated.waits() >= before + 2, "the first call was not confirmed"
    assert replicated.replica.hexists(replicated.gate().keyspace.partitions[0].entries, result.id)


def test_a_server_without_enough_replicas_parks_nothing_and_says_why(
    replicated: Replicated, task: GroupFifoTask
) -> None:
    replicated.app.conf.groupfifo_wait_replicas = 0
    replicated.master.config_set("min-replicas-to-write", 2)
    with pytest.raises(GateUnavailable, match=r"NOREPLICAS.*lower min-replicas-to-write"):
        task.apply_async(("k", 1), task_id="one", retry=False)
    replicated.master.config_set("min-replicas-to-write", 1)
    assert not replicated.master.exists(replicated.gate().keyspace.partitions[0].entries)
    task.apply_async(("k", 1), task_id="one", retry=False)
    assert replicated.master.hexists(replicated.gate().keyspace.partitions[0].entries, "one")


def test_the_doctor_misses_replicas(replicated: Replicated) -> None:
    for waited in (0, 1, 2):
        replicated.app.conf.groupfifo_wait_replicas = waited
        (said,) = (each for each in check_server(Reader(replicated.gate())) if each.name == "replication")
        assert not said.ok, "min-replicas-to-write is 0"
        assert ("has 1 of the 2 replicas" in said.what) is (waited == 2)
