"""The gate's Redis among the servers that an app has, and connections to its broker.

The options of a shared server come from the broker's transport or the result backend, so that all their settings count
here, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import redis
from celery import Celery
from celery.backends.redis import RedisBackend
from celery.exceptions import ImproperlyConfigured
from kombu.transport.redis import SentinelChannel
from kombu.utils.url import url_to_parts
from redis.sentinel import SentinelManagedConnection

from celery_groupfifo.errors import InvalidOption, InvalidSetting
from celery_groupfifo.gate.server import Options, RedisServer, database_of
from celery_groupfifo.gate.urls import CLUSTERS, ENCODE, SCHEMES, sentinel_server, server_at
from celery_groupfifo.masks import masked
from celery_groupfifo.settings import Settings

#: Seconds that the broker may take for one step, where it is not the gate's Redis.
BROKER_PATIENCE = 5.0
_REMEDY = (
    "The gate needs a Redis. Set groupfifo_url to one (redis://host:port/db): "
    "neither the broker nor the result backend of this app is a Redis."
)


def gate_server(app: Celery, settings: Settings) -> RedisServer:
    """Return the gate's Redis: `groupfifo_url`, else the broker's, else the result backend's.

    Raises:
        InvalidSetting: None of the three is a Redis, or the settings of the one to use are wrong.
    """
    broker = broker_server(app)
    if settings.url is None:
        found = broker or _backend_server(app)
        if found is None:
            raise InvalidSetting(_REMEDY)
        return found
    conf = app.conf
    sentinels = {**(conf.result_backend_transport_options or {}), **(conf.broker_transport_options or {})}
    own = server_at(settings.url, sentinels)
    if broker is not None and broker.database[:2] in own.nodes:
        raise InvalidSetting(
            f"The broker is at {broker.shown}, a node of the Redis Cluster in groupfifo_url: a Redis Cluster can't be "
            "the broker, as kombu has no transport for it. Set broker_url to another Redis, or RabbitMQ."
        )
    if broker is not None and broker.database == own.database:
        return _as_said(own, broker)
    with suppress(ValueError, ImproperlyConfigured):  # Celery refuses the backend's settings where they are used
        backend = _backend_server(app)
        if backend is not None and backend.database == own.database:
            return _as_said(own, backend)
    return own


def _as_said(own: RedisServer, shared: RedisServer) -> RedisServer:
    """Return a server that is shared with the broker or the backend; options in the gate's own URL win."""
    options = dict(shared.options)
    if {"username", "password", "credential_provider"} & own.options.keys():
        for name in ("username", "password", "credential_provider"):
            options.pop(name, None)
    return replace(shared, url=own.url, options=options | own.options)


# -- the broker ------------------------------------------------------------------


def broker_server(app: Celery) -> RedisServer | None:
    """Return the broker's Redis; None when the broker is another one, or may become it by a failover.

    Raises:
        InvalidSetting: Its URL can't be used.
    """
    url = app.conf.broker_write_url
    url = ";".join(url) if isinstance(url, (list, tuple)) else str(url)
    if url.partition("://")[0] in CLUSTERS:
        raise InvalidSetting(
            f"{masked(url)!r} can't be used: a Redis Cluster can't be the broker, as kombu has no transport for it. "
            "Set broker_url to another Redis, or RabbitMQ, and groupfifo_url to the cluster."
        )
    try:
        connection = app.connection_for_write()
        elsewhere = connection.transport.driver_type != "redis"
    except (KeyError, TypeError) as error:  # a transport or an option that kombu does not know
        raise InvalidSetting(f"The broker's URL {masked(url)!r} does not work with kombu: {error}") from error
    except ValueError:  # its text may quote a part of a password
        raise InvalidSetting(f"The broker's URL {masked(url)!r} can't be read. {ENCODE}") from None
    if elsewhere:
        return None
    options = dict(connection.transport_options)
    prefix = options.get("global_keyprefix") or ""
    first = connection_options(connection)
    if issubclass(connection.transport.Channel, SentinelChannel):
        return replace(sentinel_server(url, first, _sentinels(connection, first), options), prefix=prefix)
    others = []
    for _ in _alternates(connection):
        if connection.transport.driver_type != "redis":
            return None
        others.append(connection_options(connection))
    databases = {database_of(each): each for each in (first, *others)}
    if "://" not in url:
        url = "redis://{}:{}/{}".format(*database_of(first))
    database = database_of(first) if len(databases) == 1 else tuple(databases)
    return RedisServer(url, database, first, tuple(databases.values())[1:], prefix=prefix)


def follow(server: RedisServer, connection: Any) -> None:
    """Follow a worker's connection to the broker in a list of servers, as it reads the lists there."""
    if server.others:
        server.follow(connection_options(connection))


def _alternates(connection: Any) -> Iterator[None]:
    """Yield once per further URL of a list, with the unopened connection switched to it, as a failover does."""
    for url in list(connection.alt)[1:]:
        connection.switch(url)
        yield


def connection_options(connection: Any) -> Options:
    """Return the options that kombu's transport for Redis connects with.

    Raises:
        InvalidSetting: They are wrong.
    """
    transport = connection.transport
    channel = transport.Channel.__new__(transport.Channel)  # made without `__init__`, which would connect
    channel.connection = transport
    for name in channel.from_transport_options:
        if name in connection.transport_options:
            setattr(channel, name, connection.transport_options[name])
    try:
        options = dict(channel._connparams())
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InvalidSetting(f"The broker {connection.as_uri()} can't be used: {error}") from error
    if "health_check_interval" not in connection.transport_options:
        options.pop("health_check_interval", None)  # kombu's default, meant for connections that wait for hours
    return _unmanaged(options)


def _unmanaged(options: Options) -> Options:
    """Return the options that are set, with a connection class that does not ask sentinels itself."""
    made = options.get("connection_class") or redis.Connection
    if issubclass(made, SentinelManagedConnection):
        made = redis.SSLConnection if issubclass(made, redis.SSLConnection) else redis.Connection
    return {name: value for name, value in options.items() if value is not None} | {"connection_class": made}


def _sentinels(connection: Any, first: Options) -> list[tuple[str, int]]:
    urls = [url_to_parts(url) for url in connection.alt]
    port = connection.transport.default_port
    found = [(each.hostname or "localhost", each.port or port) for each in urls if each.scheme == "sentinel"]
    return found or [(first["host"], first["port"])]


# -- the result backend ------------------------------------------------------------


def _may_be_backend(app: Celery) -> bool:
    url = app.conf.result_backend
    return isinstance(url, str) and url.partition("://")[0] in SCHEMES


def _backend_server(app: Celery) -> RedisServer | None:
    """Return the result backend's Redis; None when it is something else."""
    backend = app.backend if _may_be_backend(app) else None
    if not isinstance(backend, RedisBackend):
        return None
    options, url = _unmanaged(backend.connparams), app.conf.result_backend
    prefix = str(backend._transport_options.get("global_keyprefix") or "")
    if prefix and prefix[-1] not in ":_-.":
        prefix += "_"  # as the backend does
    hosts = options.pop("hosts", None)
    if hosts is not None:
        sentinels = [(each["host"], each["port"]) for each in hosts]
        return replace(sentinel_server(url, options, sentinels, backend._transport_options), prefix=prefix)
    return RedisServer(url, database_of(options), options, prefix=prefix)


# -- connections to the broker -------------------------------------------------------


def broker_connection(app: Celery) -> Any:
    """Open a connection to the broker for the caller alone, with an end to each of its waits.

    kombu's transports wait without end in most places.

    Raises:
        Exception: Any error of the broker's transport.
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
    if sock is not None:  # AMQP has a time-out only while it connects
        sock.settimeout(BROKER_PATIENCE)
    return connection


def _bounds_of_transport(app: Celery, driver: str) -> dict[str, Any]:
    if driver == "redis":
        return {"socket_timeout": BROKER_PATIENCE, "socket_connect_timeout": BROKER_PATIENCE, "socket_keepalive": True}
    if driver == "sqs":
        ours = {"connect_timeout": BROKER_PATIENCE, "read_timeout": BROKER_PATIENCE, "retries": {"max_attempts": 1}}
        return {"client-config": ours | dict(app.conf.broker_transport_options.get("client-config") or {})}
    return {}


class Brokers:
    """The brokers that an app sends to: one, or those of its failover list.

    Args:
        app: The app.
    """

    def __init__(self, app: Celery) -> None:
        connection = app.connection_for_write()
        self._shown = masked(connection.as_uri())
        self._known = {_broker(connection), *(_broker(connection) for _ in _alternates(connection))}
        self._seen: set[Any] = set()

    def check(self, producer: Any) -> None:
        """Check that a call's own producer, or connection, leads to one of the brokers.

        A task that waits is sent later, from any process, with a connection of the app.

        Raises:
            InvalidOption: It leads to another broker.
        """
        connection = getattr(producer, "connection", None)
        if connection is None:
            return
        options = connection.transport_options
        way = (
            connection.transport_cls,
            connection.hostname,
            connection.port,
            connection.virtual_host,
            options.get("global_keyprefix"),
            options.get("master_name"),
        )
        if way in self._seen:
            return
        if _broker(connection) not in self._known:
            raise InvalidOption(
                f"The connection of this call leads to {masked(connection.as_uri())}, and the broker of its app is "
                f"{self._shown}: a task that waits for its turn is sent by another process, which does not have this "
                "connection. Send it from an app with that broker (Celery(broker=…)), or without connection= and "
                "producer=."
            )
        self._seen.add(way)


def _broker(connection: Any) -> tuple[Any, ...]:
    """Return a value that is equal for two connections to the same broker."""
    transport, options = connection.transport, connection.transport_options
    usual = transport.default_connection_params
    host = (connection.hostname or usual.get("hostname") or "localhost").lower()
    virtual_host = connection.virtual_host or "/"
    if transport.driver_type == "redis":
        virtual_host = virtual_host.strip("/") or "0"
    return (
        transport.driver_type,
        "127.0.0.1" if host == "localhost" else host,
        connection.port or usual.get("port"),
        virtual_host,
        options.get("global_keyprefix") or "",
        options.get("master_name"),
    )
