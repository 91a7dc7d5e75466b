"""A Sentinel with a password and TLS, named by the broker, the result backend, or the gate's own URL."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.testing.children import dying_with_us, free_port
from tests.support.tls_server import Certificates, binary, certificates, tls_server
from tests.support.waiting import until
from tests.support.world import make_entry

pytestmark = pytest.mark.tls

PASSWORD, THEIRS, MASTER = "secret", "theirs", "main"
CONFIGURATION = """\
port 0
tls-port {port}
bind 127.0.0.1
dir {folder}
tls-replication yes
tls-ca-cert-file {made.ca}
tls-cert-file {made.crt}
tls-key-file {made.key}
requirepass {theirs}
sentinel monitor {master} 127.0.0.1 {target} 1
sentinel auth-pass {master} {password}
"""


@dataclass(frozen=True)
class Guarded:
    """A master and one sentinel, both by TLS, each with a password.

    Attributes:
        made: Their certificates, and the client's.
        port: The sentinel's.
    """

    made: Certificates
    port: int

    @property
    def tls(self) -> dict[str, Any]:
        """Return the connection options of a client."""
        made = self.made
        return {"ssl_ca_certs": str(made.ca), "ssl_certfile": str(made.crt), "ssl_keyfile": str(made.key)}

    @property
    def url(self) -> str:
        return f"sentinel://:{PASSWORD}@127.0.0.1:{self.port}/2"

    @property
    def options(self) -> dict[str, Any]:
        return {"master_name": MASTER, "sentinel_kwargs": {"password": THEIRS, "ssl": True, **self.tls}}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    made = certificates(folder)
    with tls_server(made) as (server, target):
        with redis.Redis.from_url(server.url) as client:
            client.config_set("requirepass", PASSWORD)
        with _sentinel(folder, made, target) as port:
            yield Guarded(made, port)


@contextmanager
def _sentinel(folder: Path, made: Certificates, target: int) -> Iterator[int]:
    port = free_port()
    told = {"folder": folder, "made": made, "target": target, "theirs": THEIRS, "master": MASTER, "password": PASSWORD}
    (folder / "conf").write_text(CONFIGURATION.format(port=port, **told))
    command = dying_with_us([binary(), str(folder / "conf"), "--sentinel"])
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        until(lambda: b"+monitor" in (folder / "log").read_bytes(), lambda: (folder / "log").read_text())
        yield port
    finally:
        process.terminate()
        process.wait(20)


def works(app: Celery, id: str) -> bool:
    gate = build_gate(app)
    try:
        return gate.park(make_entry(gate, id, id), gate.number())
    finally:
        gate.store.close()


def test_the_brokers(guarded: Guarded) -> None:
    app = Celery("broker", broker=guarded.url, set_as_current=False)
    app.conf.update(broker_transport_options=guarded.options, broker_use_ssl=guarded.tls)
    assert works(app, "broker")
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1)  # it is the way that kombu goes, too


def test_the_result_backends(guarded: Guarded) -> None:
    app = Celery("backend", broker="memory://", backend=guarded.url, set_as_current=False)
    options = {**guarded.options, "global_keyprefix": "app1:"}
    app.conf.update(result_backend_transport_options=options)
    app.conf.redis_backend_use_ssl = {**guarded.tls, "ssl_cert_reqs": "required"}
    assert works(app, "backend")
    app.backend.store_result("id", 1, "SUCCESS")


def test_its_own(guarded: Guarded) -> None:
    app = Celery("own", broker="memory://", set_as_current=False)
    app.conf.update(groupfifo_url=f"{guarded.url}?{guarded.made.query}", broker_transport_options=guarded.options)
    assert works(app, "own")


def test_without_the_sentinels_password_it_is_said(guarded: Guarded) -> None:
    app = Celery("wrong", broker=guarded.url, set_as_current=False)
    options = {"master_name": MASTER, "sentinel_kwargs": {"ssl": True, **guarded.tls}}
    app.conf.update(broker_transport_options=options, broker_use_ssl=guarded.tls)
    gate = build_gate(app)
    with pytest.raises(
        GateUnavailable, match=r"No sentinel names a master for 'main'\. Authentication required"
    ) as caught:
        gate.park(make_entry(gate, "a", "a"), gate.number())
    assert PASSWORD not in str(caught.value)
