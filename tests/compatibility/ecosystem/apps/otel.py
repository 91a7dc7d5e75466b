"""With opentelemetry-instrumentation-celery: its spans go into the notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery.signals import worker_process_init
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from tests.compatibility.ecosystem.apps.base import fallible_tasks, make_app, note


class Notes(SpanExporter):
    """Writes down instead of sending."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            note(
                span=span.name,
                kind=span.kind.name,
                id=span.context.span_id,
                trace=span.context.trace_id,
                parent=span.parent.span_id if span.parent else None,
                status=span.status.status_code.name,
                attributes=dict(span.attributes or {}),
            )
        return SpanExportResult.SUCCESS


def _trace(**_: Any) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Notes()))
    trace.set_tracer_provider(provider)
    CeleryInstrumentor().instrument()


worker_process_init.connect(_trace, weak=False)
app = make_app("otel")
ordered, plain = fallible_tasks(app, __name__)


def send() -> None:
    """Send each task once well and once to fail."""
    _trace()
    results = [task.delay("a", fails) for task in (ordered, plain) for fails in (False, True)]
    for result in results:
        result.get(timeout=60, propagate=False)
