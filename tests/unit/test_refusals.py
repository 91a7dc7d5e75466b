"""An error of Redis says something of the connection it came on, in the words of every version."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from redis._parsers.base import BaseParser

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, ScriptRefused, UnsupportedServer
from celery_groupfifo.gate.refusals import Kind, is_unreachable, kind_of, names_master, wrap_error

SHOWN = "redis://shop:6379/0"
#: As Redis 6.2 tells what a command inside a script has raised, and as the scripts tell what they have caught.
INSIDE = (
    "ERR Error running script (call to f_0a): @user_script:12: -{}",
    "ERR user_script:12: {} script: 0a, on @user_script:12.",
)
READONLY = "READONLY You can't write against a read only replica."
PERMISSION = "this user has no permissions to run the 'evalsha' command or its subcommand"


def parsed(line: str) -> redis.RedisError:
    """The error that redis-py makes of a line of the server."""
    error = BaseParser.parse_error(line)
    assert isinstance(error, redis.RedisError)
    return error


@pytest.mark.parametrize(
    "line",
    [
        READONLY,
        *(inside.format(READONLY) for inside in INSIDE),
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "NOREPLICAS Not enough good replicas to write.",
        INSIDE[0].format("NOREPLICAS Not enough good replicas to write."),
        "LOADING Redis is loading the dataset in memory",
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        f"NOPERM {PERMISSION}",
        "NOPERM this user has no permissions to run the 'script|load' command",
    ],
)
def test_another_server_may_do_it(line: str) -> None:
    error = parsed(line)
    assert kind_of(error) is Kind.ELSEWHERE and kind_of(error).distrusted and kind_of(error).repeated
    assert isinstance(wrap_error("park", error, SHOWN), ScriptRefused if "NOPERM" in line else GateUnavailable)


@pytest.mark.parametrize("line", ["MOVED 866 10.0.0.7:7001", "CLUSTERDOWN Hash slot not served"])
@pytest.mark.parametrize("read", [parsed, redis.ResponseError], ids=["redis-py", "raw"])
def test_another_node_may_serve_it(line: str, read: Callable[[str], redis.RedisError]) -> None:
    """Our own readers of answers leave the text as it came."""
    error = read(line)
    assert kind_of(error) is Kind.ELSEWHERE and kind_of(error).distrusted and kind_of(error).repeated
    wrapped = wrap_error("park", error, SHOWN, in_cluster=True)
    assert isinstance(wrapped, GateUnavailable) and is_unreachable(wrapped)
    assert names_master(error) == line.startswith("MOVED")


@pytest.mark.parametrize("line", ["ASK 866 10.0.0.7:7001", "TRYAGAIN Multiple keys request during rehashing of slot"])
@pytest.mark.parametrize("read", [parsed, redis.ResponseError], ids=["redis-py", "raw"])
def test_a_slot_on_its_way_is_waited_for(line: str, read: Callable[[str], redis.RedisError]) -> None:
    error = read(line)
    assert kind_of(error) is Kind.MOVING and not kind_of(error).distrusted and not names_master(error)
    wrapped = wrap_error("park", error, SHOWN, in_cluster=True)
    assert isinstance(wrapped, GateUnavailable) and not is_unreachable(wrapped), "other slots are served"


@pytest.mark.parametrize(
    "line",
    [
        "MOVED 866 10.0.0.7:7001",
        "ASK 866 10.0.0.7:7001",
        "CROSSSLOT Keys in request don't hash to the same slot",
    ],
)
@pytest.mark.parametrize("read", [parsed, redis.ResponseError], ids=["redis-py", "raw"])
def test_a_cluster_that_the_url_does_not_name(line: str, read: Callable[[str], redis.RedisError]) -> None:
    wrapped = wrap_error("park", read(line), SHOWN)
    assert isinstance(wrapped, UnsupportedServer) and "set groupfifo_url to redis+cluster://" in str(wrapped)


@pytest.mark.parametrize("line", ["NOAUTH Authentication required.", "WRONGPASS invalid username-password pair"])
def test_a_new_connection_authenticates_anew(line: str) -> None:
    error = parsed(line)
    assert kind_of(error).distrusted and kind_of(error).repeated
    assert isinstance(wrap_error("park", error, SHOWN), GateUnavailable)


@pytest.mark.parametrize(
    "line",
    [
        "ERR Error running script (call to f_0a): @user_script: 12: -NOPERM " + PERMISSION,
        "NOPERM ACL failure in script: User gate has no permissions to access a key",
        INSIDE[1].format("ERR The user executing the script can't run this command or subcommand"),
    ],
)
def test_a_script_that_was_forbidden_half_way_is_not_repeated(line: str) -> None:
    error = parsed(line)
    assert kind_of(error) is Kind.HALF_DONE and kind_of(error).distrusted and not kind_of(error).repeated
    assert isinstance(wrap_error("park", error, SHOWN), ScriptRefused)


@pytest.mark.parametrize(
    "line",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        INSIDE[0].format("OOM command not allowed when used memory > 'maxmemory'."),
        "BUSY Redis is busy running a script.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    ],
)
def test_the_right_server_can_not_for_the_moment(line: str) -> None:
    error = parsed(line)
    assert kind_of(error) is Kind.MEANT and not kind_of(error).distrusted and not kind_of(error).repeated
    unavailable = wrap_error("park", error, SHOWN)
    assert isinstance(unavailable, GateUnavailable) and unavailable.answered


@pytest.mark.parametrize("line", ["ERR unknown command", "WRONGTYPE Operation against a key", "ERR a READONLYISH key"])
def test_the_call_is_wrong(line: str) -> None:
    error = parsed(line)
    assert kind_of(error) is Kind.MEANT
    assert type(wrap_error("park", error, SHOWN)) is GroupFifoError


def test_lost_and_late() -> None:
    lost = wrap_error("park", redis.ConnectionError("Connection closed by server."), SHOWN)
    assert isinstance(lost, GateUnavailable) and not lost.answered
    assert kind_of(redis.ConnectionError("Connection closed by server.")) is Kind.LOST
    assert kind_of(redis.TimeoutError("Timeout reading from shop:6379")) is Kind.LATE
    assert kind_of(parsed("ERR max number of clients reached")) is Kind.LOST
    assert {kind for kind in Kind if kind.repeated} == {Kind.LOST, Kind.LATE, Kind.ELSEWHERE, Kind.FORGOTTEN}


def test_a_flush_of_the_scripts_says_nothing_of_the_connection() -> None:
    error = parsed("NOSCRIPT No matching script. Please use EVAL.")
    assert kind_of(error) is Kind.FORGOTTEN and kind_of(error).repeated and not kind_of(error).distrusted
    unavailable = wrap_error("groups", error, SHOWN)
    assert isinstance(unavailable, GateUnavailable) and unavailable.answered


def test_what_redis_py_can_not_send_is_the_calls_own_fault() -> None:
    """A server that is away would be waited for, for ever, and all other calls with it."""
    error = redis.DataError("Invalid input of type: 'object'.")
    assert kind_of(error) is Kind.MEANT
    found = wrap_error("begin", error, SHOWN)
    assert not isinstance(found, GateUnavailable) and not is_unreachable(found)
