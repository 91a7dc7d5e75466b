"""The refusals of Redis, and what helps: a new connection, time, or a changed setting."""

from __future__ import annotations

import re
from enum import Enum

import redis
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    DataError,
    InvalidResponse,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, ScriptRefused, UnsupportedServer

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
    #: replicas, or does not know our user. Nothing was done.
    ELSEWHERE = "elsewhere"
    #: The right server has forgotten its scripts, in a flush of them: nothing was done. Whoever calls again loads them.
    FORGOTTEN = "forgotten"
    #: The user lacks a permission that the script needs. A part may be done.
    HALF_DONE = "half done"
    #: The right server has answered: it is full or busy, or the call is wrong.
    MEANT = "meant"

    @property
    def distrusted(self) -> bool:
        """Return whether the connection may be the fault, and with it all connections made before the failure."""
        return self not in (Kind.MEANT, Kind.FORGOTTEN)

    @property
    def repeated(self) -> bool:
        """Return whether the call may be made once more: on a new connection, if this one is distrusted."""
        return self in (Kind.LOST, Kind.LATE, Kind.ELSEWHERE, Kind.FORGOTTEN)


# redis-py turns some words into classes and removes them from the text; in a script's error the word stays.
_ELSEWHERE = re.compile(r"\b(READONLY|MASTERDOWN|LOADING|NOREPLICAS|UNBLOCKED|NOAUTH)\b")
_ELSEWHERE_CLASSES = (ReadOnlyError, MasterDownError, BusyLoadingError)
# The last alternative is the wording of Redis 7.0, inside a script.
_FORBIDDEN = re.compile(r"\bNOPERM\b|ACL failure|The user executing the script can't")
_INSIDE = re.compile(r"(in|running) script|user_script")
_PASSING = re.compile(r"\b(OOM|BUSY|MISCONF|CLUSTERDOWN|TRYAGAIN)\b")
_PASSING_CLASSES = (OutOfMemoryError, ClusterDownError, TryAgainError)


def kind_of(error: RedisError) -> Kind:
    """Return the kind of a failed call."""
    text = str(error)
    if isinstance(error, _ELSEWHERE_CLASSES):
        return Kind.ELSEWHERE
    if isinstance(error, NoScriptError):
        return Kind.FORGOTTEN
    if isinstance(error, redis.TimeoutError):
        return Kind.LATE
    if isinstance(error, redis.ConnectionError):
        return Kind.LOST
    if isinstance(error, NoPermissionError) or _FORBIDDEN.search(text):
        return Kind.HALF_DONE if _INSIDE.search(text) else Kind.ELSEWHERE
    return Kind.ELSEWHERE if _ELSEWHERE.search(text) else Kind.MEANT


def is_unreachable(error: GroupFifoError) -> bool:
    """Return whether a call failed for a reason that holds for every other call now."""
    return isinstance(error, GateUnavailable) and not error.answered


def wrap_error(name: str, error: RedisError, shown: str) -> GroupFifoError:
    """Turn an error of Redis into one of ours.

    Args:
        name: Of the call.
        error: The error of the call.
        shown: The server's URL without its password.
    """
    text = str(error)
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
        or kind_of(error) in (Kind.ELSEWHERE, Kind.FORGOTTEN)
        or _PASSING.search(text)
    )
    if passing:
        unavailable = GateUnavailable(f"The gate's Redis at {shown} can't be used right now ('{name}'): {text}")
        unavailable.answered = isinstance(error, ResponseError) and not kind_of(error).distrusted
        return unavailable
    if "WRONGTYPE" in text:
        return GroupFifoError(
            f"'{name}' found a key of another type at {shown}: something else uses the gate's "
            f"names. Give the gate its own groupfifo_namespace or database. ({text})"
        )
    return GroupFifoError(f"Redis at {shown} could not run '{name}': {text}")
