"""The refusals of Redis, and what helps: a new connection, time, or a changed setting."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

import redis
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    DataError,
    InvalidResponse,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, ScriptRefused, UnsupportedServer
from celery_groupfifo.gate.slots import NoClusterError

#: The oldest server whose commands the scripts use.
LEAST_VERSION = (6, 2)


class TooOldError(RedisError):
    """The version of a server that is too old."""


def checked_version(text: str) -> tuple[int, ...]:
    """Return a server's version as numbers.

    Raises:
        TooOldError: The scripts use commands that it lacks.
    """
    version = tuple(int(part) for part in text.split(".")[:3] if part.isdigit())
    if version < LEAST_VERSION:
        raise TooOldError(text)
    return version


class Kind(Enum):
    """The kinds of failed calls, by what they say of their connection."""

    #: The connection has broken. The call may or may not be done; every call may be made twice.
    LOST = "lost"
    #: There was no answer in time. As `LOST`, but the next try may take as long.
    LATE = "late"
    #: This server can't serve us, but another one by the same name may: it is a replica, loads its data, has lost its
    #: replicas, does not know our user, or serves another part of a cluster. Nothing was done.
    ELSEWHERE = "elsewhere"
    #: The slot of a Redis Cluster is on its way to another node: nothing was done. It takes as long as its keys take.
    MOVING = "moving"
    #: The right server has forgotten its scripts, in a flush of them: nothing was done. Whoever calls again loads them.
    FORGOTTEN = "forgotten"
    #: The user lacks a permission that the script needs. A part may be done.
    HALF_DONE = "half done"
    #: The right server has answered: it is full or busy, or the call is wrong.
    MEANT = "meant"

    @property
    def distrusted(self) -> bool:
        """Return whether the connection may be the fault, and with it all connections made before the failure."""
        return self not in (Kind.MEANT, Kind.FORGOTTEN, Kind.MOVING)

    @property
    def repeated(self) -> bool:
        """Return whether the call may be made once more: on a new connection, if this one is distrusted."""
        return self in (Kind.LOST, Kind.LATE, Kind.ELSEWHERE, Kind.FORGOTTEN)


# redis-py turns some words into classes and removes them from the text; in a script's error the word stays.
_ELSEWHERE = re.compile(r"\b(READONLY|MASTERDOWN|LOADING|NOREPLICAS|UNBLOCKED|NOAUTH|MOVED|CLUSTERDOWN)\b")
_ELSEWHERE_CLASSES = (ReadOnlyError, MasterDownError, BusyLoadingError, MovedError, ClusterDownError)
_MOVED = re.compile(r"MOVED \d+ ")
_MOVING = re.compile(r"\b(TRYAGAIN|ASK)\b")
# The last alternative is the wording of Redis 7.0, inside a script.
_FORBIDDEN = re.compile(r"\bNOPERM\b|ACL failure|The user executing the script can't")
_INSIDE = re.compile(r"(in|running) script|user_script")
_PASSING = re.compile(r"\b(OOM|BUSY|MISCONF)\b")
_PASSING_CLASSES = (OutOfMemoryError,)
_NO_REPLICAS = (
    " It has fewer replicas than min-replicas-to-write asks for, and nothing was done. Start them again, or set a "
    "lower min-replicas-to-write."
)
_OF_CLUSTER = re.compile(r"\b(MOVED|ASK|CROSSSLOT)\b")
_OF_CLUSTER_CLASSES = (AskError, ClusterCrossSlotError)


def kind_of(error: RedisError) -> Kind:
    """Return the kind of a failed call."""
    text = str(error)
    if isinstance(error, _ELSEWHERE_CLASSES):
        return Kind.ELSEWHERE
    if isinstance(error, (AskError, TryAgainError)):
        return Kind.MOVING
    if isinstance(error, NoScriptError):
        return Kind.FORGOTTEN
    if isinstance(error, redis.TimeoutError):
        return Kind.LATE
    if isinstance(error, redis.ConnectionError):
        return Kind.LOST
    if isinstance(error, NoPermissionError) or _FORBIDDEN.search(text):
        return Kind.HALF_DONE if _INSIDE.search(text) else Kind.ELSEWHERE
    if _MOVING.match(text):
        return Kind.MOVING
    return Kind.ELSEWHERE if _ELSEWHERE.search(text) else Kind.MEANT


def names_master(error: RedisError) -> bool:
    """Return whether a node of a Redis Cluster has named the one that serves the slot of the call."""
    return isinstance(error, MovedError) or bool(_MOVED.match(str(error)))


def is_foreign_key(reply: Any) -> bool:
    """Return whether a reply says that a key holds another type: something foreign, or a newer edition's list."""
    return isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply)


def is_unreachable(error: GroupFifoError) -> bool:
    """Return whether a call failed for a reason that holds for every other call now."""
    return isinstance(error, GateUnavailable) and not error.answered


def wrap_error(name: str, error: RedisError, shown: str, in_cluster: bool = False) -> GroupFifoError:
    """Turn an error of Redis into one of ours.

    Args:
        name: Of the call.
        error: The error of the call.
        shown: The server's URL without its password.
        in_cluster: True when the URL says that it is a Redis Cluster.
    """
    text = str(error)
    if isinstance(error, NoClusterError):
        return UnsupportedServer(
            f"The server at {shown} is no node of a Redis Cluster ({text}): write redis:// or rediss:// in "
            "groupfifo_url, or name nodes that run with cluster-enabled yes."
        )
    if not in_cluster and (isinstance(error, _OF_CLUSTER_CLASSES) or _OF_CLUSTER.match(text)):
        return UnsupportedServer(
            f"The server at {shown} is a node of a Redis Cluster: set groupfifo_url to "
            "redis+cluster://host:port,host:port (rediss+cluster:// with TLS). A broker that is a Redis Cluster does "
            "not work with Celery: use another Redis, or RabbitMQ."
        )
    if isinstance(error, TooOldError):
        return UnsupportedServer(
            f"The gate's server at {shown} is Redis {text}, and 6.2 or newer, or Valkey, is needed: update it, or set "
            "groupfifo_url to another one."
        )
    if isinstance(error, InvalidResponse):
        return UnsupportedServer(f"The server at {shown} is not Redis ('{name}'): {text}")
    if isinstance(error, NoPermissionError) or _FORBIDDEN.search(text):
        return ScriptRefused(
            f"Redis at {shown} refused '{name}': {text}. Allow the user EVALSHA, SCRIPT LOAD and the gate's keys."
        )
    passing = (
        not isinstance(error, (ResponseError, DataError))
        or isinstance(error, _PASSING_CLASSES)
        or kind_of(error) in (Kind.ELSEWHERE, Kind.MOVING, Kind.FORGOTTEN)
        or _PASSING.search(text)
    )
    if passing:
        remedy = _NO_REPLICAS if "NOREPLICAS" in text else ""
        unavailable = GateUnavailable(f"The gate's Redis at {shown} can't be used right now ('{name}'): {text}{remedy}")
        unavailable.answered = isinstance(error, ResponseError) and not kind_of(error).distrusted
        return unavailable
    if is_foreign_key(error):
        return GroupFifoError(
            f"'{name}' found a key of another type at {shown}: something else uses the gate's "
            f"names. Give the gate its own groupfifo_namespace or database. ({text})"
        )
    return GroupFifoError(f"Redis at {shown} could not run '{name}': {text}")
