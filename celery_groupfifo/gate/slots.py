"""The nodes of a Redis Cluster, and which of them serves a slot.

redis-py's own client for clusters won't do: it connects with retries and time-outs of its own, its pipelines refuse
scripts, and it believes any node, also one that was cut off and knows an old map.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, NamedTuple

import redis
from redis.exceptions import MovedError, NoPermissionError, RedisError, ResponseError

from celery_groupfifo.gate.connections import Connections

Address = tuple[str, int]

#: Seconds that one node may take to tell its map.
NODE_PATIENCE = 0.5
_MOVED = re.compile(r"\bMOVED (\d+) (\S*):(\d+)")


class NoClusterError(RedisError):
    """A server without cluster mode."""


class _Map(NamedTuple):
    """The map of one node.

    Attributes:
        ranges: First slot, last slot, and the address of their master.
        nodes: Addresses of all masters and replicas.
        epoch: Of the node: it grows with each change of the map that the node knows of.
        works: True when the node sees a majority of the masters at work.
    """

    ranges: list[tuple[int, int, Address]]
    nodes: list[Address]
    epoch: int
    works: bool


class Slots:
    """The map from slots to masters, one for all connections of a process.

    Args:
        seeds: Addresses of some nodes.
        to: Returns the connections to an address, to ask the node there.
    """

    def __init__(self, seeds: Sequence[Address], to: Callable[[Address], Connections]) -> None:
        self._seeds, self._to = list(seeds), to
        self._nodes = list(seeds)
        self._asked_nodes: dict[Address, Connections] = {}
        self._ranges: list[tuple[int, int, Address]] = []
        self._known: dict[int, Address] = {}
        self._epoch = 0
        self._doubted = True
        self._error: RedisError | None = None
        self._asked = 0.0
        self._pid, self._lock = os.getpid(), threading.Lock()

    def find(self, slot: int) -> Address:
        """Return the address of the master that serves a slot.

        Raises:
            NoClusterError: A seed is no node of a cluster.
            redis.ConnectionError: No node answers, or none serves the slot.
        """
        called = monotonic()
        with self._own_lock():
            if self._doubted and self._asked < called:  # else another caller has asked meanwhile
                self._ask()
            if isinstance(self._error, NoClusterError):
                raise NoClusterError(str(self._error))
            if self._error is not None:
                raise redis.ConnectionError(f"No node of the cluster answers. {self._error}")
            address = self.last(slot)
            if address is None:
                self._doubted = True
                raise redis.ConnectionError(f"No node of the cluster serves slot {slot} now.")
            return address

    def last(self, slot: int) -> Address | None:
        """Return the last known address of the master that serves a slot; None: not known."""
        known = self._known  # before the ranges: a new map comes meanwhile with a new, empty dict
        if slot not in known:
            found = next((address for first, last, address in self._ranges if first <= slot <= last), None)
            if found is None:
                return None
            known[slot] = found
        return known[slot]

    def doubt(self, slot: int, error: Exception | None) -> None:
        """Note that a call to the master of a slot has failed; an error that names another master is believed."""
        named = _named(slot, error)
        if named is None:
            self._doubted = True
        else:
            self._known[slot] = named

    def _ask(self) -> None:
        """Take the map of the first node that works and knows all that is known here; else the newest one."""
        self._error = None
        maps: list[_Map] = []
        for address in list(self._nodes):
            try:
                found = _map_of(self._connections(address), address[0])
            except RedisError as error:
                self._error = error
                if isinstance(error, NoClusterError):
                    break
                self._nodes.remove(address)  # the next question asks it last
                self._nodes.append(address)
                continue
            maps.append(found)
            if found.works and found.epoch >= self._epoch:
                break
        newest = max(maps, key=lambda each: (each.works, each.epoch), default=None)
        self._asked = monotonic()
        if newest is None:
            self._error = self._error or redis.ConnectionError("The cluster has no node.")
            return
        self._error, self._doubted = None, False
        self._ranges, self._epoch = newest.ranges, newest.epoch
        self._known = {}
        self._nodes = list(dict.fromkeys([*_known_first(self._nodes, newest.nodes), *self._seeds]))
        for gone in self._asked_nodes.keys() - set(self._nodes):
            self._asked_nodes.pop(gone).close_idle()

    def _connections(self, address: Address) -> Connections:
        if address not in self._asked_nodes:
            self._asked_nodes[address] = self._to(address)
        return self._asked_nodes[address]

    def _own_lock(self) -> threading.Lock:
        if self._pid != os.getpid():  # a thread of the parent may have held the lock at the fork
            self._pid, self._lock = os.getpid(), threading.Lock()
        return self._lock


class SlotMaster:
    """The tracker of the master of one slot; see `connections.Master`."""

    watched = False

    def __init__(self, slots: Slots, slot: int) -> None:
        self._slots, self._slot = slots, slot

    def find(self) -> Address:
        """Return its address, see `Slots.find`."""
        return self._slots.find(self._slot)

    def last(self) -> Address | None:
        """Return its last known address."""
        return self._slots.last(self._slot)

    def doubt(self, error: Exception | None = None) -> None:
        """Note that a call to it has failed."""
        self._slots.doubt(self._slot, error)


def _named(slot: int, error: Exception | None) -> Address | None:
    """Return the master that a refusal names for a slot; None: it names none, or no host that can be reached."""
    if isinstance(error, MovedError):
        said, host, port = error.slot_id, error.host, error.port
    elif (found := _MOVED.search(str(error))) is not None:
        said, host, port = int(found[1]), found[2], int(found[3])
    else:
        return None
    return (host, port) if said == slot and host not in ("", "?") else None


def _known_first(known: Iterable[Address], found: Sequence[Address]) -> list[Address]:
    """Return the nodes of a map: first those that are known, in the order in which they are to be asked."""
    return [*(each for each in known if each in found), *found]


def _map_of(node: Connections, host: str) -> _Map:
    connection = node.take()
    try:
        try:
            rows = _answer(connection, "CLUSTER", "SLOTS")
        except ResponseError as error:
            if "cluster support disabled" in str(error):
                raise NoClusterError(str(error)) from None
            raise
        try:
            info = dict(re.findall(r"(\w+):(\w+)", _answer(connection, "CLUSTER", "INFO").decode()))
        except NoPermissionError:
            info = {"cluster_state": "ok"}
    except BaseException:  # also when a greenlet is killed: the unread answer must not become another question's
        node.close(connection)
        raise
    node.give_back(connection)
    ranges, nodes = [], []
    for first, last, *places in rows:
        addresses = [_address(place, host) for place in places]
        if addresses and addresses[0] is not None:
            ranges.append((int(first), int(last), addresses[0]))
        nodes += [address for address in addresses if address is not None]
    works = info.get("cluster_state") == "ok"
    return _Map(ranges, list(dict.fromkeys(nodes)), int(info.get("cluster_current_epoch", 0)), works)


def _address(place: Sequence[Any], asked: str) -> Address | None:
    """Return the address of a node; None when it does not know its own. Without a host it is the one that was asked."""
    host = (place[0] or b"").decode()
    return None if host == "?" else (host or asked, int(place[1]))


def _answer(connection: Any, *words: str) -> Any:
    connection.send_command(*words)
    return connection.read_response()
