"""Brokers that are not the gate's Redis: a RabbitMQ of the session's own, and kombu's filesystem transport."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.ports import free_port

BINARIES = Path("/usr/lib/rabbitmq/bin")


class Node(NamedTuple):
    """A RabbitMQ, and the environment of the commands that control it."""

    url: str
    environment: dict[str, str]


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node of its own: own name, ports and data, on the loopback only."""
    home = tmp_path_factory.mktemp("rabbitmq")
    port, dist, epmd = (free_port() for _ in range(3))
    env = {
        **os.environ,
        "HOME": str(home),
        "RABBITMQ_NODENAME": f"groupfifo{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(dist),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    with (home / "out").open("wb") as out:
        server = subprocess.Popen([BINARIES / "rabbitmq-server"], env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        subprocess.run([BINARIES / "rabbitmqctl", "wait", home / "pid", "--timeout", "60"], env=env, check=True)
        yield Node(f"amqp://guest:guest@127.0.0.1:{port}//", env)
    finally:
        subprocess.run([BINARIES / "rabbitmqctl", "shutdown"], env=env, check=False, capture_output=True)
        server.terminate()
        server.wait(30)
        if epmd_binary := shutil.which("epmd"):
            subprocess.run([epmd_binary, "-kill"], env=env, check=False, capture_output=True)


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq: Node) -> str:
    """The URL of the node."""
    return rabbitmq.url


@pytest.fixture
def short_consumer_timeout(rabbitmq: Node) -> Iterator[None]:
    """The node closes a channel that has not acknowledged for two seconds: as a rule it takes 30 minutes."""

    def says(expression: str) -> str:
        command = [BINARIES / "rabbitmqctl", "eval", expression]
        done = subprocess.run(command, env=rabbitmq.environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    before = {
        name: says(f"application:get_env(rabbit, {name}).") for name in ("consumer_timeout", "channel_tick_interval")
    }
    says(
        "application:set_env(rabbit, consumer_timeout, 2000), application:set_env(rabbit, channel_tick_interval, 500)."
    )
    yield
    for name, value in before.items():
        number = value.removeprefix("{ok,").removesuffix("}")
        assert number.isdigit(), value
        says(f"application:set_env(rabbit, {name}, {number}).")
