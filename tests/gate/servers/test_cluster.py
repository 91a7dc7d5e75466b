"""A gate on a Redis Cluster: each partition's calls go to the node that serves its slot, wherever that is."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from celery import Celery
from celery.utils import uuid
from redis.exceptions import MovedError

from celery_groupfifo import GroupFifo, Groups, InvalidSetting, UnsupportedServer, UnsupportedState, WrongState
from celery_groupfifo.errors import GateUnavailable, NotReplicated
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.keys import Quoted, quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.observations import Observations
from celery_groupfifo.gate.partitions import change_partitions
from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.children import free_port
from tests.support.redis_cluster import RedisCluster, slot_of
from tests.support.waiting import until
from tests.support.world import make_entry

PARTITIONS = 6


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster(3) as cluster:
        yield cluster


def app_at(url: str, **conf: Any) -> Celery:
    app = Celery("clustered", broker="memory://", set_as_current=False)
    app.conf.update(groupfifo_url=url, groupfifo_partitions=PARTITIONS, groupfifo_namespace=uuid()[:8], **conf)
    GroupFifo(app)
    return app


class Clustered:
    """A gate of its own namespace.

    Attributes:
        keys: Its first partition.
        groups: Three groups of that.
    """

    def __init__(self, cluster: RedisCluster) -> None:
        self.cluster, self.app = cluster, app_at(cluster.url)
        self.gate = build_gate(self.app, send=lambda queue, message: None)
        self.keys = self.gate.keyspace.partitions[0]
        names = (quote(f"g{number}") for number in range(1000))
        mine = (name for name in names if self.gate.keyspace.of_group(name) is self.keys)
        self.groups = [next(mine) for _ in range(3)]
        self.slot = slot_of(0, self.gate.settings.namespace)

    def park(self, id: str, group: Quoted | None = None) -> bool:
        return self.gate.park(make_entry(self.gate, id, group or self.groups[0]), self.gate.number())

    def move(self) -> embedded.Server:
        """Move the first partition to the next node."""
        masters = self.cluster.masters
        here = masters.index(self.cluster.master_of(self.slot))
        self.cluster.move(self.slot, masters[(here + 1) % len(masters)])
        return masters[(here + 1) % len(masters)]


@pytest.fixture
def clustered(cluster: RedisCluster) -> Iterator[Clustered]:
    made = Clustered(cluster)
    yield made
    made.gate.store.close()


def test_each_partition_is_at_its_node(clustered: Clustered) -> None:
    gate, cluster = clustered.gate, clustered.cluster
    groups = [quote(f"g{number}") for number in range(40)]
    assert all(clustered.park(f"t{group}", group) for group in groups)
    assert {id(gate.keyspace.of_group(group)) for group in groups} == set(map(id, gate.keyspace.partitions))
    for number, keys in enumerate(gate.keyspace.partitions):
        home = cluster.master_of(slot_of(number, gate.settings.namespace))
        for node in cluster.masters:
            found = list(cluster.client(node).scan_iter(match=f"{{{keys.tag}}}:*", count=1000))
            assert bool(found) == (node is home), (number, node)
    homes = [cluster.master_of(slot_of(number, gate.settings.namespace)) for number in range(PARTITIONS)]
    nodes = ",".join(f"127.0.0.1:{node.port}" for node in reversed(cluster.masters))
    clustered.app.conf.groupfifo_url = f"redis+cluster://{nodes}"
    fresh = build_gate(clustered.app)  # it has asked nobody yet, as nobody has used this URL
    places = [fresh.store.at(keys).place() for keys in fresh.keyspace.partitions]
    assert places == [f"127.0.0.1:{home.port}" for home in homes]


def test_what_is_observed_is_counted_and_forgotten_at_each_node(clustered: Clustered) -> None:
    observed = Observations(clustered.gate.store, clustered.gate.keyspace)
    for group in [quote(f"g{number}") for number in range(40)]:
        assert observed.draw(group, "one") == 1 and observed.draw(group, "two") == 2
    observed.forget()
    assert observed.draw(quote("g7"), "three") == 1
    observed.forget()
    for node in clustered.cluster.masters:
        pattern = f"{{{clustered.gate.settings.namespace}:*"
        assert not list(clustered.cluster.client(node).scan_iter(match=pattern, count=1000))


def test_many_are_parked_in_order_and_answered_in_order(clustered: Clustered) -> None:
    gate = clustered.gate
    entries = [make_entry(gate, f"t{number % 30}", quote(f"g{number % 30 % 7}")) for number in range(33)]
    numbers = gate.numbers_of(entries)
    for _ in range(2):  # the second time the answers were lost
        assert gate.park_all(entries, numbers) == [True] * 30 + [False] * 3
    groups = Groups(clustered.app)
    for number in range(7):
        mine = [f"t{each}" for each in range(30) if each % 7 == number]
        assert [groups.get(f"g{number}").head, *(task.task_id for task in groups.tasks(f"g{number}"))] == mine


def test_what_operators_see_and_do(clustered: Clustered) -> None:
    groups = Groups(clustered.app)
    for number in range(20):
        for name in "ab":
            clustered.app.send_task("t", task_id=f"{name}{number}", group_key=f"g{number}")
    assert {group.key: group.depth for group in groups.list()} == {f"g{number}": 2 for number in range(20)}
    assert groups.stats().parked == 20 and groups.stats().waiting == 20
    found = groups.find("b7")
    assert found is not None and found.key == "g7"
    assert groups.verify() == []
    assert groups.pause("g3") and groups.get("g3").state == "paused"
    assert "paused" in groups.explain("g3")
    assert groups.revoke("b7") and groups.get("g7").depth == 1
    groups.move("g8", "g9")
    assert groups.purge("g9") == 3
    assert len(groups.actions()) >= 3
    said = {check.name: check for check in groups.doctor()}
    served = {
        clustered.cluster.master_of(slot_of(number, clustered.gate.settings.namespace)).port for number in range(6)
    }
    assert said["version"].ok and (len(served) == 1 or f"All {len(served)} nodes" in said["version"].what)
    assert all(f"127.0.0.1:{port} serves" in said["partitions"].what for port in served), said["partitions"].what
    assert not said["replication"].ok and "has no replica" in said["replication"].what
    assert said["cluster"].ok


def _stream(clustered: Clustered) -> object:
    return [(group.key, group.depth) for group in Groups(clustered.app).list()]


def _pages(clustered: Clustered) -> object:
    return [Groups(clustered.app).verify(), Groups(clustered.app).stats()]


CALLS: dict[str, Callable[[Clustered], object]] = {
    "a script": lambda clustered: clustered.gate.heads(clustered.keys),
    "a transaction": lambda clustered: clustered.gate.park_all(
        [make_entry(clustered.gate, "a", clustered.groups[0])], clustered.gate.numbers(1)
    ),
    "a pipeline": lambda clustered: clustered.gate.store.read("x", lambda pipe: pipe.hlen(clustered.keys.entries)),
    "a command": lambda clustered: clustered.gate.store.entries(clustered.keys, ["a"]).keys(),
    "a stream": _stream,
    "scripts ahead": _pages,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_every_kind_of_call_follows_a_slot(clustered: Clustered, call: Callable[[Clustered], object]) -> None:
    """It was made before, so there is a kept connection to the old node, which says MOVED."""
    clustered.park("a")
    clustered.gate.store.at(clustered.keys).connections.give_back(
        clustered.gate.store.at(clustered.keys).connections.open()
    )
    before = call(clustered)
    node = clustered.move()
    assert call(clustered) == before
    assert clustered.gate.store.at(clustered.keys).connections.location() == ("127.0.0.1", node.port)


def test_a_slot_that_moves_as_a_whole(clustered: Clustered) -> None:
    """Valkey 9 moves a slot in one step, with all its keys."""
    cluster, slot = clustered.cluster, clustered.slot
    clustered.park("a")
    home = cluster.master_of(slot)
    there = cluster.masters[(cluster.masters.index(home) + 1) % 3]
    try:
        cluster.client(home).execute_command(
            "CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", cluster.id_of(there)
        )
    except redis.ResponseError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"an older server: {error}")
    until(lambda: cluster.master_of(slot) is there)
    assert clustered.park("b")
    assert [task.task_id for task in Groups(clustered.app).tasks(clustered.groups[0])] == ["b"]


def test_another_number_of_partitions_is_refused_until_the_gate_was_empty(clustered: Clustered) -> None:
    clustered.park("a")
    clustered.app.conf.groupfifo_partitions = 2 * PARTITIONS
    more = build_gate(clustered.app, send=lambda queue, message: None)
    with pytest.raises(UnsupportedState, match="has groupfifo_partitions = 6, and this process has 12: a group"):
        more.park(make_entry(more, "b", clustered.groups[0]), more.number())
    with pytest.raises(WrongState, match=rf"Partition {clustered.keys.tag} of the gate holds tasks"):
        change_partitions(more, 2 * PARTITIONS)
    assert clustered.gate.revoke("a"), "nothing has changed"
    assert change_partitions(more, 2 * PARTITIONS) == PARTITIONS
    assert all(
        more.park(make_entry(more, f"t{number}", f"g{number}"), more.number()) for number in range(4 * PARTITIONS)
    )
    with pytest.raises(UnsupportedState, match="has groupfifo_partitions = 12, and this process has 6"):
        clustered.park("c")
    assert len(Groups(clustered.app, more).list()) == 4 * PARTITIONS
    more.store.close()


def test_a_partition_of_another_version_is_refused_and_no_other_one(clustered: Clustered) -> None:
    gate, clusters = clustered.gate, clustered.cluster.client(clustered.cluster.master_of(clustered.slot))
    other = next(group for group in map(quote, "abcdefgh") if gate.keyspace.of_group(group) is not clustered.keys)
    clustered.park("a")
    clustered.park("known", other)
    clusters.set(clustered.keys.stamp, "1 2 6 9.9.9")
    gate.store.at(clustered.keys).connections.drop(gate.store.at(clustered.keys).connections.generation)
    with pytest.raises(UnsupportedState, match=rf"partition {clustered.keys.tag}, holds state of version 2"):
        clustered.park("b")
    assert clustered.park("c", other)
    with pytest.raises(UnsupportedState, match="version 2"):
        gate.store.meet()


def test_a_loops_connection_ends_with_the_move_of_its_slot(clustered: Clustered) -> None:
    store = clustered.gate.store.at(clustered.keys)
    connection = Pipelined.open(store, ["heads"])
    command = store.command("heads", (clustered.keys, [], ["", 10]))
    assert connection.trusted
    node = clustered.move()
    connection.send([command])
    until(lambda: connection.readable)
    with pytest.raises(GateUnavailable, match="moved to another node"):
        connection.read()
    assert not connection.trusted
    connection.close()
    again = Pipelined.open(store, ["heads"])
    assert again._connection.port == node.port
    again.send([command])
    until(lambda: again.readable)
    assert again.read() == [[]]
    again.close()


def test_while_a_slot_moves_its_calls_wait(clustered: Clustered) -> None:
    """Some of its keys are here, the others there: neither node may run a script on them."""
    for number in range(3):
        clustered.park(f"a{number}", clustered.groups[number])
        clustered.park(f"b{number}", clustered.groups[number])
    cluster, slot = clustered.cluster, clustered.slot
    home = cluster.master_of(slot)
    there = cluster.masters[(cluster.masters.index(home) + 1) % 3]
    impatient = build_gate(clustered.app, timeout=1.0, patient=False, send=lambda queue, message: None)
    cluster.begin_move(slot, there)
    key = clustered.keys.entries
    cluster.client(home).execute_command("MIGRATE", "127.0.0.1", there.port, "", 0, 5000, "KEYS", key)
    with pytest.raises(GateUnavailable) as refused:
        impatient.park(make_entry(impatient, "c", clustered.groups[0]), impatient.number())
    assert refused.value.answered, "only this call failed"
    answers = list[Any]()
    calls = [
        threading.Thread(target=lambda: answers.append(clustered.park("d"))),
        threading.Thread(target=lambda: answers.append(clustered.gate.store.tickets(clustered.keys, "q"))),
    ]
    for each in calls:
        each.start()
    time.sleep(0.3)  # they have been refused by then
    assert not any(answer is True for answer in answers)
    cluster.end_move(slot, there)
    for each in calls:
        each.join(60)
    assert True in answers and len(answers) == 2
    assert [task.task_id for task in Groups(clustered.app).tasks(clustered.groups[0])] == ["b0", "d"]
    assert Groups(clustered.app).verify() == []


def test_nodes_that_name_each_other_are_not_asked_for_ever(clustered: Clustered) -> None:
    store, ports = clustered.gate.store.at(clustered.keys), [node.port for node in clustered.cluster.masters]
    asked = list[int]()

    def call() -> None:
        asked.append(ports[len(asked) % 2])
        raise MovedError(f"{clustered.slot} 127.0.0.1:{asked[-1]}")

    with pytest.raises(GateUnavailable):
        store.ask("a call", call)
    assert len(asked) <= 6


def test_a_slot_that_nobody_serves(clustered: Clustered) -> None:
    clustered.park("a")
    home, slot = clustered.cluster.client(clustered.cluster.master_of(clustered.slot)), clustered.slot
    home.execute_command("CLUSTER DELSLOTS", slot)
    try:
        with pytest.raises(GateUnavailable, match="can't be used right now") as caught:
            clustered.park("b")
        assert not caught.value.answered
    finally:
        home.execute_command("CLUSTER ADDSLOTS", slot)
    until(lambda: clustered.cluster.told(clustered.cluster.masters[0])["cluster_state"] == "ok")
    until(lambda: _answers(clustered))


def _answers(clustered: Clustered) -> bool:
    try:
        return clustered.park("c") or True
    except GateUnavailable:
        return False


def test_releases_of_two_nodes_are_not_compared(clustered: Clustered) -> None:
    """They are drawn from two clocks: a head would count as overtaken, and go out again and again."""
    gate, store = clustered.gate, clustered.gate.store
    other = next(
        keys
        for keys in gate.keyspace.partitions
        if store.at(keys).connections.location() != store.at(clustered.keys).connections.location()
    )
    clustered.park("a")
    (head,) = gate.heads(clustered.keys)
    ticket = Ticket(clustered.keys.tag, head.release, 0, 0, "a", clustered.groups[0], lane="1")
    assert gate.begin(ticket, quote("w"))
    assert gate.begun(head.queue, clustered.keys, ahead=True) == head.release
    assert gate.begun(head.queue, other, ahead=True) == 0


def test_a_bell_rings_in_its_partition(clustered: Clustered) -> None:
    last = clustered.gate.keyspace.partitions[-1]
    store = clustered.gate.store.at(last)
    store.ring_bell(last.wake)
    assert store.wait([last.wake], 5.0) == last.wake
    store.forget(last.wake)


def test_some_of_the_named_nodes_are_away(cluster: RedisCluster) -> None:
    """One refuses connections, one takes them and never answers."""
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ports = [free_port(), silent.getsockname()[1], cluster.masters[1].port]
        app = app_at(f"redis+cluster://{','.join(f'127.0.0.1:{port}' for port in ports)}")
        gate = build_gate(app, send=lambda queue, message: None)
        assert gate.park(make_entry(gate, "a", quote("g")), gate.number())
        assert gate.store.version()
        gate.store.close()


def test_a_password_is_that_of_every_node(cluster: RedisCluster) -> None:
    for node in cluster.masters:
        cluster.client(node).config_set("requirepass", "se,cr@t")
    try:
        for password, right in (("se%2Ccr%40t", True), ("other", False)):
            app = app_at(cluster.url.replace("://", f"://:{password}@"))
            gate = build_gate(app, send=lambda queue, message: None)
            entry = make_entry(gate, "a", quote("g"))
            if right:
                assert gate.park(entry, gate.number())
                assert [gate.heads(keys) for keys in gate.keyspace.partitions].count([]) == PARTITIONS - 1
            else:
                with pytest.raises(GateUnavailable, match=r"No node of the cluster answers.*password"):
                    gate.park(entry, gate.number())
            gate.store.close()
    finally:
        for node in cluster.masters:
            cluster.client(node).config_set("requirepass", "")


def test_all_of_them_are_away() -> None:
    gate = build_gate(app_at(f"redis+cluster://127.0.0.1:{free_port()}"))
    with pytest.raises(GateUnavailable, match="No node of the cluster answers"):
        gate.park(make_entry(gate, "a", quote("g")), gate.number())


# -- the wrong URL -----------------------------------------------------------------


def test_a_cluster_without_its_scheme(cluster: RedisCluster) -> None:
    """The error says what to write, also on the connection of a worker's loop."""
    said = "is a node of a Redis Cluster: set groupfifo_url to redis+cluster://host:port,host:port"
    app = app_at(f"redis://127.0.0.1:{cluster.masters[0].port}")
    gate = build_gate(app, send=lambda queue, message: None)
    groups = [quote(f"g{number}") for number in range(40)]
    with pytest.raises(UnsupportedServer, match=re.escape(said)):
        for group in groups:
            gate.park(make_entry(gate, f"t{group}", group), gate.number())
    with pytest.raises(UnsupportedServer, match=re.escape(said)):
        Groups(app).list()
    with pytest.raises(UnsupportedServer, match=re.escape(said)):
        Pipelined.open(gate.store, ["heads"])
    gate.store.close()


def test_its_scheme_for_a_server_that_is_none() -> None:
    with embedded.start(appendonly=False) as server:
        app = app_at(f"redis+cluster://127.0.0.1:{server.port}")
        gate = build_gate(app)
        for call in (gate.store.version, lambda: gate.heads(gate.keyspace.partitions[0]), Groups(app).list):
            with pytest.raises(
                UnsupportedServer, match=r"is no node of a Redis Cluster .*: write redis:// or rediss://"
            ):
                call()
        gate.store.close()


def test_a_cluster_as_the_broker() -> None:
    app = Celery("clustered", broker="redis+cluster://shop:7000", set_as_current=False)
    with pytest.raises(InvalidSetting, match="a Redis Cluster can't be the broker"):
        build_gate(app)


def test_each_partition_waits_for_the_replicas_of_its_own_node() -> None:
    """One replica hangs: parks of its master's partitions are told, those of the other one are confirmed."""
    with RedisCluster(2, replicas=2) as cluster:
        app = app_at(cluster.url, groupfifo_wait_replicas=1, groupfifo_lease_ttl=4.0)
        gate = build_gate(app, send=lambda queue, message: None)
        places = [cluster.master_of(slot_of(at, gate.settings.namespace)) for at in range(PARTITIONS)]
        of = {id(keys): place for keys, place in zip(gate.keyspace.partitions, places, strict=True)}
        hung, other = cluster.masters
        names = [f"g{number}" for number in range(100)]
        theirs, ours = (
            next(name for name in names if of[id(gate.keyspace.of_group(quote(name)))] is node)
            for node in (hung, other)
        )
        for group in (theirs, ours):
            assert gate.park(make_entry(gate, f"first-{group}", group), gate.number()), "both have it"
        confirms = cluster.client(cluster.replicas[1])
        before = cluster.client(other).info("commandstats")["cmdstat_wait"]["calls"]
        cluster.freeze(cluster.replicas[0])
        assert gate.park(make_entry(gate, "second", ours), gate.number())
        keys = gate.keyspace.of_group(quote(ours))
        assert cluster.client(other).info("commandstats")["cmdstat_wait"]["calls"] == before + 1
        confirms.execute_command("READONLY")
        assert confirms.hexists(keys.entries, "second"), "it is there when the call returns"
        entries = [make_entry(gate, f"{name}-{group}", group) for name in "ab" for group in (theirs, ours)]
        numbers = gate.numbers_of(entries)
        with pytest.raises(NotReplicated, match="0 of 1 replicas have confirmed it within") as raised:
            gate.park_all(entries, numbers)
        assert raised.value.replies == [1, 1, 1, 1], "they are parked all the same"
        cluster.thaw(cluster.replicas[0])
        until(lambda: cluster.client(hung).wait(1, 100) == 1)
        assert gate.park_all(entries, numbers) == [True] * 4, "once"
        depths = [
            cluster.client(node).llen(gate.keyspace.of_group(quote(group)).line(quote(group)))
            for node, group in ((hung, theirs), (other, ours))
        ]
        assert depths == [2, 3]
        gate.store.close()
