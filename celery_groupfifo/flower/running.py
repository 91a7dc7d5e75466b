"""The questions of our handlers to a running Flower: its options, its state of events, its Celery app, its users."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterator
from typing import Any

from flower.api import BaseApiHandler
from flower.views import BaseHandler

#: The base classes of a page's handler and of an API's.
PageHandler: Any = BaseHandler
ApiHandler: Any = BaseApiHandler


def celery_app(application: Any) -> Any:
    """Return the Celery app of this Flower."""
    return application.capp


def read_only(application: Any) -> bool:
    """Return whether Flower was started with --read-only."""
    return bool(getattr(application.options, "read_only", False))


def barred(handler: Any) -> str:
    """Return why no action of a page would be allowed; empty: they are, to whoever may see the page."""
    options = handler.application.options
    if options.basic_auth or options.auth or handler.unauthenticated_api:
        return ""
    return (
        "Actions need a login: start Flower with --basic_auth or --auth, or, where nobody else can reach it, with "
        "FLOWER_UNAUTHENTICATED_API=1."
    )


def autorefresh(application: Any) -> bool:
    """Return whether pages reload themselves (--auto-refresh)."""
    return bool(getattr(application.options, "auto_refresh", True))


def known_task(application: Any, task_id: str) -> Any:
    """Return Flower's record of a task; None when it has no page of it."""
    return application.events.state.tasks.get(task_id)


def workers(application: Any) -> Iterator[tuple[str, bool]]:
    """Yield the workers that Flower has heard of, and whether each is alive."""
    for name, worker in list(application.events.state.workers.items()):
        yield name, bool(worker.alive)


def user(handler: Any) -> str:
    """Return the user of a request: the name of OAuth, else of basic auth; without a login `anonymous`."""
    if isinstance(handler.current_user, str):
        return handler.current_user
    scheme, _, credentials = handler.request.headers.get("Authorization", "").partition(" ")
    if scheme != "Basic" or not handler.application.options.basic_auth:
        return "anonymous"
    try:
        return b64decode(credentials).decode().partition(":")[0]
    except (NotBase64, UnicodeDecodeError):
        return "anonymous"
