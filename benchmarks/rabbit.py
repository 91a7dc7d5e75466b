"""The RabbitMQ node for the benchmarks, where it is installed: own name, ports and data, on the loopback only."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import BenchmarkError

# Debian's wrappers in sbin ask for root; the programs behind them do not.
_PLACES = ("/usr/lib/rabbitmq/bin", "/usr/local/opt/rabbitmq/sbin", "/opt/homebrew/opt/rabbitmq/sbin")
_STARTS_WITHIN = 60


def _program(name: str) -> str | None:
    search = os.pathsep.join([*_PLACES, os.environ.get("PATH", "")])
    return shutil.which(name, path=search)


def installed() -> bool:
    """Return whether RabbitMQ can be started here."""
    return _program("rabbitmq-server") is not None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def rabbitmq(directory: Path) -> Iterator[str]:
    """Run a node in this block; yield its URL.

    Raises:
        BenchmarkError: It is not installed, or does not start.
    """
    server, control = _program("rabbitmq-server"), _program("rabbitmqctl")
    if server is None or control is None:
        raise BenchmarkError("rabbitmq-server is not installed.")
    home = directory / "rabbitmq"
    home.mkdir()
    port, distribution, mapper = (_free_port() for _ in range(3))
    environment = {
        **os.environ,
        "HOME": str(home),
        "RABBITMQ_NODENAME": f"groupfifo{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }

    def ask(*words: str) -> int:
        return subprocess.run(
            [control, *words], env=environment, capture_output=True, timeout=2 * _STARTS_WITHIN
        ).returncode

    with (home / "out").open("wb") as output:
        node = subprocess.Popen([server], env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        if ask("wait", str(home / "pid"), "--timeout", str(_STARTS_WITHIN)) != 0:
            raise BenchmarkError("rabbitmq-server did not start.")
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        ask("shutdown")
        node.terminate()
        node.wait(30)
        if mapper_control := shutil.which("epmd"):
            subprocess.run([mapper_control, "-kill"], env=environment, capture_output=True)
