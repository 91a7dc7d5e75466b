"""A Redis, and how to connect to it.

redis-py's retries are switched off: they may run a command twice without telling, and the gate knows how to repeat a
call.
"""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from celery_groupfifo.errors import InvalidSetting
from celery_groupfifo.gate.connections import Connections, Master
from celery_groupfifo.gate.failover import Failover
from celery_groupfifo.gate.sentinels import SENTINEL_PATIENCE, SentinelMaster
from celery_groupfifo.gate.slots import NODE_PATIENCE, Address, SlotMaster, Slots
from celery_groupfifo.masks import masked

T = TypeVar("T")

Options = dict[str, Any]
"""For a connection, as redis-py names them; with its `connection_class`."""


@dataclass(frozen=True)
class RedisServer:
    """A Redis, a database of it, and how to reach it.

    Attributes:
        url: As the user wrote it; the URLs of a list are joined by `;`.
        database: Equal for two URLs of the same database.
        options: Of a connection.
        others: Of connections to the further servers of a list, in its order.
        sentinels: `(host, port)` of each sentinel; empty: none.
        master: The sentinels' name of the master.
        sentinel_options: For redis-py's client of a sentinel; and `min_other_sentinels`.
        nodes: `(host, port)` of some nodes of a Redis Cluster; empty: it is none.
        prefix: Put before every key: the `global_keyprefix` of the broker or the result backend, where the gate shares
            its database.
    """

    url: str = field(repr=False)
    database: tuple[Any, ...]
    options: Options = field(compare=False, repr=False)
    others: tuple[Options, ...] = field(default=(), compare=False, repr=False)
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str | None = None
    sentinel_options: Options = field(default_factory=dict, compare=False, repr=False)
    nodes: tuple[Address, ...] = ()
    prefix: str = ""

    @property
    def shown(self) -> str:
        """Return the URL without its password."""
        return masked(self.url)

    @property
    def is_private(self) -> bool:
        """Return whether the connection can't be read on its way: TLS, or a socket of this machine."""
        made = self.options.get("connection_class", redis.Connection)
        return "path" in self.options or issubclass(made, redis.SSLConnection)

    def connections(self, timeout: float, name: str, slot: int = 0) -> Connections:
        """Make the connections to the server; none is opened yet.

        Args:
            timeout: Seconds to wait for an answer.
            name: Shown by `CLIENT LIST`.
            slot: Of a Redis Cluster: they lead to the master that serves it.

        Raises:
            InvalidSetting: redis-py has no such option.
        """
        options = bounded(self.options, timeout, name)
        if self.nodes:
            return Connections(options, SlotMaster(self._slots(), slot), partial(_led, options))
        if self.sentinels:
            return Connections(options, self._sentinel_master(), partial(_led, options))
        if self.others:
            every = [options, *(bounded(each, timeout, name) for each in self.others)]
            return Connections(options, self._failover(), every.__getitem__)
        return Connections(options)

    def follow(self, options: Options) -> None:
        """Use, of a list of servers, the one that a connection of the broker leads to, by its options."""
        databases = [database_of(each) for each in (self.options, *self.others)]
        if database_of(options) in databases:
            self._failover().follow(databases.index(database_of(options)))

    def _sentinel_master(self) -> Master:
        options = dict(self.sentinel_options)
        others = int(options.pop("min_other_sentinels", None) or 0)
        if options.pop("ssl", False):
            options["connection_class"] = redis.SSLConnection
        patience = options.get("socket_timeout") or SENTINEL_PATIENCE
        each = [bounded(options | {"host": host, "port": port}, patience) for host, port in self.sentinels]
        key = (self.sentinels, self.master, repr(sorted(self.sentinel_options.items())))
        return _shared(key, lambda: SentinelMaster([Connections(one) for one in each], self.master or "", others))

    def _slots(self) -> Slots:
        options = bounded(self.options, NODE_PATIENCE, "groupfifo-nodes")
        key = (self.nodes, repr(sorted((name, repr(value)) for name, value in self.options.items())))
        return _shared(key, lambda: Slots(self.nodes, lambda address: Connections(_led(options, address))))

    def _failover(self) -> Failover:
        every = [bounded(each, FAILOVER_PATIENCE, "groupfifo-failover") for each in (self.options, *self.others)]
        names = [
            f"{host}:{port}/{db}" for host, port, db in (database_of(each) for each in (self.options, *self.others))
        ]
        return _shared(self.url, lambda: Failover([Connections(each) for each in every], names))


_masters: dict[Any, Any] = {}


def _shared(key: Any, make: Callable[[], T]) -> T:
    """Return the tracker of a server, one for all connections of this process."""
    if key not in _masters:
        _masters[key] = make()
    made: T = _masters[key]
    return made


def _led(options: Options, address: tuple[str, int]) -> Options:
    return {**options, "host": address[0], "port": address[1]}


def database_of(options: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a value that is equal for two ways to the same database."""
    if "path" in options:
        return "", options["path"], options.get("db") or 0
    host = str(options.get("host") or "127.0.0.1").lower()
    return "127.0.0.1" if host == "localhost" else host, options.get("port") or 6379, options.get("db") or 0


#: Seconds that a server of a list may take until the next one is tried.
FAILOVER_PATIENCE = 2.0
#: A `socket_timeout` that is shorter than the gate's own counts, but not below these seconds: some calls wait at the
#: server.
LEAST_TIMEOUT = 1.0
#: With it, the system notices a peer that is gone without a word, also while no caller waits for an answer.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
#: Options of redis-py's pools, clients and retries: the gate has its own. A custom `retry` would run a script twice.
NOT_OURS = frozenset(
    {"max_connections", "timeout", "queue_class", "connection_pool", "auto_close_connection_pool", "cache"}
    | {"cache_config", "single_connection_client", "unix_socket_path", "ssl", "event_dispatcher", "charset", "errors"}
    | {"retry", "retry_on_timeout", "retry_on_error", "legacy_responses", "maint_notifications_config"}
)
_TCP_ONLY = frozenset({"host", "port", "socket_keepalive", "socket_keepalive_options", "socket_type"})


@cache
def known_options(connection_class: type[Any]) -> frozenset[str]:
    """Return the names of the options that a class of connections takes."""
    inits = [vars(each)["__init__"] for each in connection_class.__mro__ if "__init__" in vars(each)]
    return frozenset(name for init in inits for name in inspect.signature(init).parameters) | {"connection_class"}


def bounded(options: Options, timeout: float, name: str = "") -> Options:
    """Return the options of a connection that ends every wait, decodes nothing, and repeats nothing.

    Args:
        options: As the user set them.
        timeout: Seconds to wait at most.
        name: Shown by `CLIENT LIST`, after the user's `client_name`.

    Raises:
        InvalidSetting: redis-py has no such option.
    """
    made = {key: value for key, value in options.items() if value is not None and key not in NOT_OURS}
    if "path" in options:
        made = {key: value for key, value in made.items() if key not in _TCP_ONLY}
    else:
        keepalive = {getattr(socket, key): value for key, value in _KEEPALIVE.items() if hasattr(socket, key)}
        made = {"socket_keepalive": True, "socket_keepalive_options": keepalive, **made}
    unknown = sorted(set(made) - known_options(made.get("connection_class", redis.Connection)))
    if unknown:
        raise InvalidSetting(f"Unknown option of a connection to Redis: {', '.join(unknown)}. Leave it out.")
    shortest = max(LEAST_TIMEOUT, float(made.get("socket_timeout") or timeout))
    names = [each for each in (made.get("client_name"), name) if each]
    return {
        **made,
        "socket_timeout": min(timeout, shortest),
        "socket_connect_timeout": min(timeout, float(made.get("socket_connect_timeout") or timeout)),
        "client_name": ":".join(names) or None,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": False,
        "encoding": "utf-8",
    }
