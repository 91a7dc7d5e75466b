"""Where the gate's Redis is, and connections to it.

redis-py's retries are switched off: it may run a command twice without telling, and it is the gate that knows how to
repeat a call.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from celery_groupfifo.connections import Connections
from celery_groupfifo.errors import InvalidSetting
from celery_groupfifo.sentinels import PATIENCE, SentinelMaster
from celery_groupfifo.settings import Settings

_SCHEMES = ("redis", "rediss", "unix", "redis+socket", "sentinel")
#: Seconds that the broker may take for one step, where it is not the gate's Redis.
BROKER_PATIENCE = 5.0
_REMEDY = (
    "The gate needs a Redis. Set groupfifo_url to one (redis://host:port/db): "
    "neither the broker nor the result backend of this app is a Redis."
)


@dataclass(frozen=True)
class Server:
    """A Redis, a database of it, and how to reach it.

    Attributes:
        url: As the user wrote it.
        place: What tells two servers apart: equal places are the same database.
        options: For redis-py's connection.
        sentinels: `(host, port)` of each sentinel; empty: none.
        master: The sentinels' name of the master.
        sentinel_options: For redis-py's connections to the sentinels; and `min_other_sentinels`.
        prefix: Put before every key: the broker's `global_keyprefix`, where the gate shares its database.
    """

    url: str
    place: tuple[Any, ...]
    options: dict[str, Any] = field(compare=False)
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str | None = None
    sentinel_options: dict[str, Any] = field(default_factory=dict, compare=False)
    prefix: str = ""

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return _shown(self.url)

    def connections(self, timeout: float, name: str) -> Connections:
        """New connections; nothing is connected yet.

        Args:
            timeout: Seconds to wait for an answer.
            name: Shown by `CLIENT LIST`.
        """
        options = _bounded(self.options, timeout) | {"client_name": name}
        return Connections(options, self._watched() if self.sentinels else None)

    def _watched(self) -> SentinelMaster:
        """One for all connections of this process."""
        options = dict(self.sentinel_options)
        key = (self.sentinels, self.master, repr(sorted(options.items())))
        if key not in _WATCHED:
            others = int(options.pop("min_other_sentinels", 0))
            if options.pop("ssl", False):
                options["connection_class"] = redis.SSLConnection
            each = [
                Connections(_bounded(options | {"host": host, "port": port}, options.get("socket_timeout") or PATIENCE))
                for host, port in self.sentinels
            ]
            _WATCHED[key] = SentinelMaster(each, self.master or "", others)
        return _WATCHED[key]


_WATCHED: dict[Any, SentinelMaster] = {}

#: A peer that is gone without a word is noticed by the system, also where nobody waits for an answer.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
#: Options of redis-py's pools, which some write into a URL.
_POOLS_OWN = ("max_connections", "timeout", "queue_class")


def _bounded(options: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Options of a connection that ends every wait, decodes nothing, and repeats nothing."""
    bounded = {name: value for name, value in options.items() if name not in _POOLS_OWN}
    if "path" not in options:
        keepalive = {getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)}
        bounded = {"socket_keepalive": True, "socket_keepalive_options": keepalive, **bounded}
    return {
        **bounded,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": False,
    }


def gate_server(app: Celery, settings: Settings) -> Server:
    """The gate's Redis: `groupfifo_url`, else the broker's, else the result backend's.

    Raises:
        InvalidSetting: None of the three is a Redis.
    """
    broker = broker_server(app)
    if settings.url:
        server = _parse(settings.url, dict(app.conf.broker_transport_options or {}), None)
        return broker if broker and broker.place == server.place else server
    if broker:
        return broker
    backend = app.conf.result_backend or ""
    if isinstance(backend, str) and backend.split("://")[0] in _SCHEMES:
        options = app.conf.result_backend_transport_options or {}
        return _parse(backend, options, app.conf.redis_backend_use_ssl)
    raise InvalidSetting(_REMEDY)


def broker_server(app: Celery) -> Server | None:
    """The broker's Redis; None when the broker is something else."""
    connection = app.connection_for_write()
    url = str(app.conf.broker_write_url or app.conf.broker_url or "")
    if connection.transport.driver_type != "redis":
        return None
    options = dict(connection.transport_options or {})
    server = _parse(url, options, app.conf.broker_use_ssl)
    return replace(server, prefix=options.get("global_keyprefix", ""))


def broker_connection(app: Celery) -> Any:
    """A new connection to the broker: of the caller's own, and none of its waits is endless.

    What kombu's transports wait for by themselves mostly is.

    Raises:
        Exception: Whatever the broker's transport raises.
    """
    driver = app.connection_for_write().transport.driver_type
    connection = app.connection_for_write(
        connect_timeout=BROKER_PATIENCE, transport_options=_bounds_of_transport(app, driver)
    )
    tries = max(len(connection.alt), 1)
    connection.ensure_connection(
        max_retries=tries, interval_start=0, interval_step=0, interval_max=0, timeout=BROKER_PATIENCE
    )
    sock = getattr(connection.connection, "sock", None)
    if sock is not None:  # AMQP: bounded only while it connects
        sock.settimeout(BROKER_PATIENCE)
    return connection


def _bounds_of_transport(app: Celery, driver: str) -> dict[str, Any]:
    if driver == "redis":
        return {"socket_timeout": BROKER_PATIENCE, "socket_connect_timeout": BROKER_PATIENCE, "socket_keepalive": True}
    if driver == "sqs":
        ours = {"connect_timeout": BROKER_PATIENCE, "read_timeout": BROKER_PATIENCE, "retries": {"max_attempts": 1}}
        return {"client-config": ours | dict(app.conf.broker_transport_options.get("client-config") or {})}
    return {}


def _parse(url: str, transport_options: dict[str, Any], use_ssl: Any) -> Server:
    if isinstance(url, (list, tuple)):
        url = ";".join(url)
    scheme = url.split("://")[0]
    if scheme not in _SCHEMES:
        raise InvalidSetting(f"{_shown(url)!r} is no Redis: use redis://, rediss://, unix:// or sentinel://.")
    if scheme == "sentinel":
        return _parse_sentinel(url, transport_options, use_ssl)
    first = url.split(";")[0]
    parts = urlsplit(first)
    if scheme == "redis+socket":
        query = dict(parse_qsl(parts.query))
        first = f"unix://{parts.netloc}{parts.path}?db={query.get('virtual_host', '0').strip('/')}"
    elif "CERT_" in parts.query:
        first = first.replace("CERT_NONE", "none").replace("CERT_REQUIRED", "required")
        first = first.replace("CERT_OPTIONAL", "optional")
    try:
        options = dict(redis.connection.parse_url(first))
    except ValueError as error:
        raise InvalidSetting(f"{_shown(url)!r} can't be read as the URL of a Redis: {error}.") from error
    if scheme in ("redis", "rediss") and not re.fullmatch(r"/?\d*/?", parts.path):
        raise InvalidSetting(f"{_shown(url)!r} names no database: use a number, as in redis://host:port/0.")
    if isinstance(use_ssl, dict):
        options |= {"connection_class": redis.SSLConnection, **use_ssl}
    if "path" in options:
        place: tuple[Any, ...] = (options["path"], options.get("db", 0))
    else:
        host = str(options.get("host") or "127.0.0.1").lower()
        place = ("127.0.0.1" if host == "localhost" else host, options.get("port") or 6379, options.get("db") or 0)
    return Server(url, place, options)


def _shown(url: str) -> str:
    """A URL without its password, even when it is a wrong one."""
    return re.sub(r"(://[^:@/;]*):[^;?]*@", r"\1:**@", url)


def _parse_sentinel(url: str, transport_options: dict[str, Any], use_ssl: Any) -> Server:
    sentinels: list[tuple[str, int]] = []
    options: dict[str, Any] = {}
    for each in url.split(";"):
        parts = urlsplit(each)
        sentinels.append((parts.hostname or "localhost", parts.port or 26379))
        options["db"] = int(parts.path.strip("/") or options.get("db", 0))
        if parts.password:
            options["password"] = parts.password
            options["username"] = parts.username or None
    master = transport_options.get("master_name")
    if not master:
        raise InvalidSetting("A sentinel:// URL needs broker_transport_options = {'master_name': …}.")
    place = (tuple(sorted(sentinels)), master, options["db"])
    options = {name: value for name, value in options.items() if value}
    if isinstance(use_ssl, dict):
        options |= {"connection_class": redis.SSLConnection, **use_ssl}
    theirs = dict(transport_options.get("sentinel_kwargs") or {})
    if transport_options.get("min_other_sentinels"):
        theirs["min_other_sentinels"] = transport_options["min_other_sentinels"]
    return Server(url, place, options, tuple(sentinels), master, theirs)
