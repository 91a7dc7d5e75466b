"""Brokers that are not the gate's Redis: a RabbitMQ of the session's own, and kombu's filesystem transport."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


BINARIES = Path("/usr/lib/rabbitmq/bin")


@pytest.fixture(scope="session")
def rabbitmq_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A node of its own: own name, ports and data, on the loopback only."""
    home = tmp_path_factory.mktemp("rabbitmq")
    port, dist, epmd = (_free_port() for _ in range(3))
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
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        subprocess.run([BINARIES / "rabbitmqctl", "shutdown"], env=env, check=False, capture_output=True)
        server.terminate()
        server.wait(30)
        if epmd_binary := shutil.which("epmd"):
            subprocess.run([epmd_binary, "-kill"], env=env, check=False, capture_output=True)
