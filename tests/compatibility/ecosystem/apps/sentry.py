"""With sentry-sdk: its envelopes go into the notes."""

from __future__ import annotations

from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.transport import Transport

from tests.compatibility.ecosystem.apps.base import fallible_tasks, make_app, note


class Notes(Transport):
    """Writes down instead of sending."""

    def capture_envelope(self, envelope: Envelope) -> None:
        for item in envelope.items:
            if item.headers.get("type") in ("event", "transaction"):
                note(sentry=item.headers["type"], **(item.payload.json or {}))


sentry_sdk.init(
    dsn="http://key@127.0.0.1:1/1", transport=Notes, traces_sample_rate=1.0, integrations=[CeleryIntegration()]
)
app = make_app("sentry")
ordered, plain = fallible_tasks(app, __name__)


def _send(task: Any, fails: bool) -> None:
    with sentry_sdk.start_transaction(op="test", name=f"{task.name} {fails}"):
        result = task.delay("a", fails)
    result.get(timeout=60, propagate=False)


def send() -> None:
    """Send each task in a transaction of its own."""
    for task in (ordered, plain):
        for fails in (False, True):
            _send(task, fails)
    sentry_sdk.flush()
