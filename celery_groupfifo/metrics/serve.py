"""The gate's metrics as text, once or over HTTP."""

from __future__ import annotations

from threading import Event

from celery import Celery
from prometheus_client import generate_latest, start_http_server
from prometheus_client.registry import CollectorRegistry

from celery_groupfifo.metrics.collector import register


def text(app: Celery) -> str:
    """Return the gate's metrics now, in Prometheus' text format.

    Args:
        app: The app of the gate.
    """
    registry = CollectorRegistry()
    register(app, registry)
    return generate_latest(registry).decode()


def serve(app: Celery, host: str = "127.0.0.1", port: int = 9808, until: Event | None = None) -> None:
    """Answer scrapes at `http://host:port/metrics` until the process is told to end.

    Args:
        app: The app whose gate is measured.
        host: To listen at; `0.0.0.0` for everybody: there is no password.
        port: To listen at.
        until: Ends the server when it is set.

    Raises:
        OSError: The address is taken, or is not an address of this machine.
    """
    registry = CollectorRegistry()
    register(app, registry)
    server, thread = start_http_server(port, host, registry)
    try:
        (until or Event()).wait()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
