"""A Redis Cluster on this machine: masters, each with a replica or none."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.children import free_port
from tests.support.tls_server import Certificates, binary
from tests.support.waiting import until

SLOTS = 16384
#: Milliseconds after which a silent node counts as lost. A replica takes over within about three times as long.
NODE_TIMEOUT_MS = 1000
#: The bus of a node is at its port and this.
BUS = 10_000


def slot_of(partition: int, namespace: str = "groupfifo") -> int:
    """The slot of a partition."""
    return int(key_slot(f"{{{namespace}:{partition}}}".encode()))


class RedisCluster:
    """A running cluster.

    Args:
        masters: Their number; each serves an equal part of the slots.
        replicas: So many of the masters have a replica, the first ones.
        options: Further options of each node's command line.
        tls: The nodes speak TLS among themselves, and to clients at a port beside the other one.
    """

    def __init__(
        self, masters: int = 3, replicas: int = 0, options: Sequence[str] = (), tls: Certificates | None = None
    ) -> None:
        self._stack = ExitStack()
        self._options, self._tls = options, tls
        self._tls_ports: dict[int, int] = {}
        self._clients: dict[int, Any] = {}
        self._frozen: list[embedded.Server] = []
        self.masters: list[embedded.Server] = []
        self.replicas: list[embedded.Server] = []
        try:
            self.masters = [self.node() for _ in range(masters)]
            self._share_out()
            first = self.masters[0]
            for node in self.masters[1:]:
                self.client(node).execute_command("CLUSTER MEET", "127.0.0.1", *self._bus(first))
            until(lambda: all(self.told(node)["cluster_state"] == "ok" for node in self.masters))
            self.replicas = [self._replica(master) for master in self.masters[:replicas]]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RedisCluster:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all nodes."""
        for node in list(self._frozen):
            self.thaw(node)
        self._stack.close()

    @property
    def url(self) -> str:
        """A value of `groupfifo_url`; with TLS the certificates follow."""
        nodes = ",".join(f"127.0.0.1:{self._tls_ports.get(node.port, node.port)}" for node in self.masters)
        return f"redis+cluster://{nodes}" if self._tls is None else f"rediss+cluster://{nodes}/?{self._tls.query}"

    def node(self) -> embedded.Server:
        """Start a node that knows no other."""
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)]
        options += ["--repl-diskless-sync-delay", "0", *self._options]
        port = _port_with_bus()
        if self._tls is None:
            return self._stack.enter_context(embedded.start(appendonly=False, port=port, extra_args=options))
        self._tls_ports[port] = _port_with_bus()
        options += ["--tls-port", str(self._tls_ports[port]), "--tls-cluster", "yes", "--tls-replication", "yes"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(embedded.BINARY_VARIABLE, binary())
            node = embedded.start(appendonly=False, port=port, extra_args=[*options, *self._tls.server])
        return self._stack.enter_context(node)

    def _bus(self, node: embedded.Server) -> tuple[int, ...]:
        """Return the port of a node by which another one meets it, and with TLS its bus."""
        secured = self._tls_ports.get(node.port)
        return (node.port,) if secured is None else (secured, secured + BUS)

    def client(self, node: embedded.Server) -> Any:
        """A plain client of a node."""
        if node.port not in self._clients:
            client = redis.Redis(port=node.port, socket_timeout=5, retry=Retry(NoBackoff(), 0))
            self._clients[node.port] = self._stack.enter_context(client)
        return self._clients[node.port]

    def told(self, node: embedded.Server) -> dict[str, str]:
        """Return what a node says of the cluster."""
        said: Any = self.client(node).execute_command("CLUSTER INFO")
        return said if isinstance(said, dict) else dict(line.split(":") for line in said.decode().split())

    def id_of(self, node: embedded.Server) -> str:
        """The node's name in the cluster."""
        return str(self.client(node).execute_command("CLUSTER MYID").decode())

    def master_of(self, slot: int) -> embedded.Server:
        """The node that serves a slot, as a node that is up says."""
        every = [*self.masters, *self.replicas]
        for asked in every:
            try:
                rows = self.client(asked).execute_command("CLUSTER SLOTS")
            except redis.RedisError:
                continue
            ports = [int(row[2][1]) for row in rows if row[0] <= slot <= row[1]]
            return next(node for node in every if [node.port] == ports)
        raise AssertionError("no node is up")

    def serving(self) -> list[embedded.Server]:
        """The nodes that serve slots now."""
        found = {self.master_of(slot).port: self.master_of(slot) for slot in map(slot_of, range(16))}
        return list(found.values())

    def kill_when_replicated(self, node: embedded.Server) -> None:
        """Kill a master that has no write which its replica lacks.

        It takes none for a moment, and its clients wait.
        """
        client = self.client(node)
        client.execute_command("CLIENT", "PAUSE", 5000, "WRITE")
        until(lambda: _replicated(client.info("replication")))
        node.kill()

    def freeze(self, node: embedded.Server) -> None:
        """Let a node stand still."""
        os.kill(node.pid or 0, signal.SIGSTOP)
        self._frozen.append(node)

    def thaw(self, node: embedded.Server) -> None:
        """Let it go on."""
        self._frozen.remove(node)
        os.kill(node.pid or 0, signal.SIGCONT)

    def move(self, slot: int, to: embedded.Server) -> None:
        """Move a slot, key by key, as `redis-cli --cluster reshard` does."""
        self.begin_move(slot, to)
        self.end_move(slot, to)

    def begin_move(self, slot: int, to: embedded.Server) -> None:
        """Let both nodes know, and move no key yet."""
        source = self.master_of(slot)
        self.client(to).execute_command("CLUSTER SETSLOT", slot, "IMPORTING", self.id_of(source))
        self.client(source).execute_command("CLUSTER SETSLOT", slot, "MIGRATING", self.id_of(to))

    def end_move(self, slot: int, to: embedded.Server) -> None:
        """Move the keys, and tell all nodes."""
        source = self.master_of(slot)
        theirs = self.client(source)
        while keys := theirs.execute_command("CLUSTER GETKEYSINSLOT", slot, 10):
            theirs.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)
        for node in (to, source, *self.masters):
            self.client(node).execute_command("CLUSTER SETSLOT", slot, "NODE", self.id_of(to))

    def _share_out(self) -> None:
        many = len(self.masters)
        bounds = [SLOTS * place // many for place in range(many + 1)]
        for node, first, after in zip(self.masters, bounds, bounds[1:], strict=False):
            client = self.client(node)
            client.execute_command("CLUSTER ADDSLOTS", *range(first, after))
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", 1 + self.masters.index(node))

    def _replica(self, master: embedded.Server) -> embedded.Server:
        node = self.node()
        client, name = self.client(node), self.id_of(master)
        client.execute_command("CLUSTER MEET", "127.0.0.1", *self._bus(master))
        until(lambda: name in str(client.execute_command("CLUSTER NODES")))
        client.execute_command("CLUSTER REPLICATE", name)
        until(lambda: client.info("replication").get("master_link_status") == "up")
        return node


def _replicated(info: dict[str, Any]) -> bool:
    replicas = [info[f"slave{number}"] for number in range(info["connected_slaves"])]
    return any(each["offset"] == info["master_repl_offset"] for each in replicas)


def _port_with_bus() -> int:
    """Return a free port whose bus is free, too."""
    while True:
        port = free_port()
        if port + BUS > 65535:
            continue
        with socket.socket() as bus:
            try:
                bus.bind(("127.0.0.1", port + BUS))
            except OSError:
                continue
        return port
