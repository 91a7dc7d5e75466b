"""A RabbitMQ node, where it is installed: with a name, ports and data of its own, on the loopback only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.testing.children import free_port

# Debian's wrappers in sbin ask for root; the programs behind them do not.
_PLACES = ("/usr/lib/rabbitmq/bin", "/usr/local/opt/rabbitmq/sbin", "/opt/homebrew/opt/rabbitmq/sbin")
_STARTS_WITHIN = 60


class RabbitMQError(GroupFifoError):
    """RabbitMQ is not installed, does not start, or refuses a command; the message says which."""


@dataclass(frozen=True)
class Node:
    """A node that is up.

    Attributes:
        url: Its address, for `broker_url`.
        environment: Variables of the commands that control it.
    """

    url: str
    environment: dict[str, str]

    def control(self, *words: str) -> str:
        """Run a command of rabbitmqctl, and return its output.

        Raises:
            RabbitMQError: It failed.
        """
        done = _control(self.environment, *words)
        if done.returncode != 0:
            raise RabbitMQError(f"rabbitmqctl {' '.join(words)} failed: {done.stderr.strip()}")
        return done.stdout.strip()


def installed() -> bool:
    """Return whether RabbitMQ can be started here."""
    return None not in (_program("rabbitmq-server"), _program("rabbitmqctl"))


@contextmanager
def start(directory: Path) -> Iterator[Node]:
    """Run a node in this block.

    Args:
        directory: For its data and logs.

    Raises:
        RabbitMQError: It is not installed, or does not start.
    """
    server = _program("rabbitmq-server")
    if server is None or not installed():
        raise RabbitMQError("rabbitmq-server is not installed.")
    home = directory / "rabbitmq"
    home.mkdir()
    port = free_port()
    node = Node(f"amqp://guest:guest@127.0.0.1:{port}//", _environment(home, port))
    with (home / "out").open("wb") as output:
        process = subprocess.Popen([server], env=node.environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        node.control("wait", str(home / "pid"), "--timeout", str(_STARTS_WITHIN))
        yield node
    finally:
        _control(node.environment, "shutdown")
        process.terminate()
        process.wait(30)
        if mapper := shutil.which("epmd"):
            subprocess.run([mapper, "-kill"], env=node.environment, capture_output=True)


def _environment(home: Path, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(home),
        "RABBITMQ_NODENAME": f"groupfifo{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def _control(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(_program("rabbitmqctl")), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * _STARTS_WITHIN)


def _program(name: str) -> str | None:
    search = os.pathsep.join([*_PLACES, os.environ.get("PATH", "")])
    return shutil.which(name, path=search)
