"""An app, and how its gate would be reached; nothing is connected."""

from __future__ import annotations

from typing import Any

from celery import Celery

from celery_groupfifo.gate.server import RedisServer, bounded
from celery_groupfifo.gate.servers import gate_server
from celery_groupfifo.settings import read_settings


def app_with(broker: str, backend: str | None = None, **conf: Any) -> Celery:
    app = Celery("connect", broker=broker, backend=backend)
    app.conf.update(conf)
    return app


def server_of(app: Celery) -> RedisServer:
    return gate_server(app, read_settings(app.conf))


def options_of(app: Celery) -> dict[str, Any]:
    """Options of a connection to the gate, as redis-py gets them."""
    return bounded(server_of(app).options, 5.0, "me")
