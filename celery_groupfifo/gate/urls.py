"""The parser of `groupfifo_url`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from kombu.utils import symbol_by_name
from redis.connection import URL_QUERY_ARGUMENT_PARSERS

from celery_groupfifo.errors import InvalidSetting
from celery_groupfifo.gate.server import Options, RedisServer, database_of, known_options
from celery_groupfifo.masks import masked

SCHEMES = ("redis", "rediss", "unix", "redis+socket", "sentinel")
#: For `groupfifo_url` alone: neither kombu nor Celery know them.
CLUSTERS = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_SOCKETS = ("unix", "redis+socket")
_SENTINEL_PORT = 26379
_PORT = 6379
_CERTIFICATES = ("none", "optional", "required")
#: Options that a query may have. Some have no effect: the gate has limits, retries, a protocol and an encoding of its
#: own.
_QUERIES = frozenset(
    {"db", "username", "password", "client_name", "lib_name", "lib_version", "protocol", "encoding", "encoding_errors"}
    | {"socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size", "health_check_interval"}
    | {"max_connections", "timeout", "retry_on_timeout", "retry_on_error", "legacy_responses"}
)
_PARSERS: Mapping[str, Any] = URL_QUERY_ARGUMENT_PARSERS
ENCODE = "Write special characters of a password percent-encoded (urllib.parse.quote)."


def server_at(url: Any, transport_options: Mapping[str, Any]) -> RedisServer:
    """Return the server that a URL names.

    Args:
        url: The setting.
        transport_options: For sentinels: `master_name`, `sentinel_kwargs` and `min_other_sentinels`.

    Raises:
        InvalidSetting: The message quotes the URL, without its password, and says what is wrong with it.
    """
    scheme = url.partition("://")[0]
    if scheme in CLUSTERS:
        return _cluster(url, scheme)
    if scheme not in SCHEMES:
        raise InvalidSetting(
            f"{masked(url)!r} is no Redis: use redis://, rediss://, unix://, sentinel:// or redis+cluster://."
        )
    every = re.split(r";(?=[a-z+]+://)", url)
    if scheme == "sentinel":
        return _watched(url, every, transport_options)
    if len(every) > 1:
        raise InvalidSetting(
            f"groupfifo_url = {masked(url)!r} does not work: the gate has to be one server. "
            "Name one of them, or sentinels (sentinel://host:port;sentinel://host:port), which know the master."
        )
    options = _options(url)
    return RedisServer(url, database_of(options), options)


def _cluster(url: str, scheme: str) -> RedisServer:
    """Return the Redis Cluster that a URL names by some of its nodes."""
    if re.search(r"[;,][a-z+]+://", url):
        raise InvalidSetting(
            f"{masked(url)!r} does not work: the nodes of a cluster are written in one URL, as in "
            f"{scheme}://user:password@host:port,host:port."
        )
    found = re.fullmatch(r"([^/?#]*@)?([^/?#@]*)(.*)", url.partition("://")[2], re.DOTALL)
    user, hosts, rest = found.groups() if found is not None else ("", "", "")
    nodes, options = [], {}
    for each in hosts.split(","):
        options = _options(f"{CLUSTERS[scheme]}://{user or ''}{each.strip()}{rest}", url)
        nodes.append((options.pop("host", "localhost"), options.pop("port", None) or _PORT))
    if options.pop("db", None):
        raise InvalidSetting(f"{masked(url)!r} does not work: a Redis Cluster has only the database 0.")
    return RedisServer(url, (tuple(sorted(nodes)), "cluster", 0), options, nodes=tuple(nodes))


def _watched(url: str, every: list[str], transport_options: Mapping[str, Any]) -> RedisServer:
    options: Options = {}
    sentinels = []
    for each in every:
        said = _options(each)
        sentinels.append((said.pop("host", "localhost"), said.pop("port", _SENTINEL_PORT)))
        if any(options.setdefault(name, value) != value for name, value in said.items()):
            raise InvalidSetting(
                f"{masked(url)!r} contradicts itself: database, user, password and options are those of the master "
                "that the sentinels name, so they are the same in each URL."
            )
    if any(name.startswith("ssl_") for name in options):
        options["connection_class"] = redis.SSLConnection
    return sentinel_server(url, options, sentinels, transport_options)


def sentinel_server(
    url: str, options: Options, sentinels: list[tuple[str, int]], transport_options: Mapping[str, Any]
) -> RedisServer:
    """Return the server that sentinels name.

    Args:
        url: As the user wrote it.
        options: Of a connection to the master.
        sentinels: Host and port of each.
        transport_options: The broker's or the result backend's.

    Raises:
        InvalidSetting: The master has no name.
    """
    master = transport_options.get("master_name")
    if not master:
        raise InvalidSetting(
            f"{masked(url)!r} needs the name of the master: broker_transport_options = {{'master_name': …}}, or "
            "result_backend_transport_options where the result backend has it."
        )
    theirs = dict(transport_options.get("sentinel_kwargs") or {})
    if transport_options.get("min_other_sentinels"):
        theirs["min_other_sentinels"] = transport_options["min_other_sentinels"]
    database = (tuple(sorted(sentinels)), master, options.get("db") or 0)
    return RedisServer(url, database, options, sentinels=tuple(sentinels), master=master, sentinel_options=theirs)


def _options(url: str, whole: str = "") -> Options:
    """Return the options in one URL, a part of a `whole` one; messages show that."""
    whole = whole or url
    try:
        parts = urlsplit(url)
        port = parts.port
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:  # its text may quote a part of a password
        raise InvalidSetting(f"{masked(whole)!r} can't be read as the URL of a Redis. {ENCODE}") from None
    if parts.fragment:
        raise InvalidSetting(f"{masked(whole)!r} has a '#'. {ENCODE}")
    options: Options = {}
    if parts.scheme in _SOCKETS:
        if parts.hostname or not parts.path.strip("/"):
            raise InvalidSetting(
                f"{masked(whole)!r} names no socket: its path follows three slashes, as in unix:///path."
            )
        options |= {"path": unquote(parts.path), "connection_class": redis.UnixDomainSocketConnection}
    else:
        if not re.fullmatch(r"/?\d*/?", parts.path):
            raise InvalidSetting(
                f"{masked(whole)!r} names no database: use a number, as in redis://host:port/0. {ENCODE}"
            )
        options |= {"host": parts.hostname and unquote(parts.hostname), "port": port}
        options["db"] = int(parts.path.strip("/")) if parts.path.strip("/") else None
    if parts.scheme == "rediss":
        options["connection_class"] = redis.SSLConnection
    options |= {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    options = {name: value for name, value in options.items() if value not in (None, "")}
    for name, value in query.items():
        options |= _queried(whole, parts.scheme, name, value)
    if "credential_provider" in options:
        options.pop("username", None)
        options.pop("password", None)
    return options


def _queried(url: str, scheme: str, name: str, value: str) -> Options:
    """Return the options for one `?name=value`."""
    wrong = f"{masked(url)!r} does not work: {name} "
    if name == "decode_responses":
        raise InvalidSetting(wrong + "can't be set, as the gate reads bytes: leave it out.")
    if name == "credential_provider":
        return {name: _credential_provider(url, value)}
    if name.startswith("ssl_") and scheme not in ("rediss", "sentinel"):
        raise InvalidSetting(wrong + "needs TLS: use rediss://.")
    if name == "ssl_cert_reqs":
        value = value.lower().removeprefix("cert_")
        if value not in _CERTIFICATES:
            raise InvalidSetting(wrong + f"may be {', '.join(_CERTIFICATES)}.")
        return {name: value}
    if name == "virtual_host":
        name, value = "db", value.strip("/") or "0"
    if name == "protocol" and value not in ("2", "3"):
        raise InvalidSetting(wrong + "may be 2 or 3.")
    if name not in _QUERIES and not (name.startswith("ssl_") and name in known_options(redis.SSLConnection)):
        raise InvalidSetting(
            wrong + f"is no option of a connection to Redis. The options are {', '.join(sorted(_QUERIES))}."
        )
    try:
        return {name: _PARSERS.get(name, str)(value)}
    except (TypeError, ValueError):
        raise InvalidSetting(wrong + "has a value that can't be read.") from None


def _credential_provider(url: str, path: str) -> Any:
    wrong = f"{masked(url)!r} does not work: credential_provider {path!r} "
    try:
        made = symbol_by_name(path)()
    except Exception as error:  # the user's code may raise anything
        raise InvalidSetting(wrong + f"can't be made: {error!r}.") from error
    if not isinstance(made, redis.CredentialProvider):
        raise InvalidSetting(wrong + "makes no redis.CredentialProvider.")
    return made
