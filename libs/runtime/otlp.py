"""The way of spans to an OTLP/HTTP collector: batched, in a thread of its own, bounded; a dead collector costs spans only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from urllib.parse import urlsplit

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanKind, TraceFlags
from opentelemetry.trace import SpanContext as OtelContext

from libs.runtime.spans import Span, SpanContext

QUEUE_MAX = 4096
BATCH_MAX = 512
EVERY_MS = 1000
EXPORT_TIMEOUT_S = 2.0
TRACES_PATH = "/v1/traces"

_SCOPE = InstrumentationScope("bulkhead")
_log = structlog.get_logger(__name__)


class SpanSink:
    """Takes finished spans and sends them to `endpoint` (`http://host:4318`, or with a path of its own) as `service`."""

    def __init__(self, service: str, endpoint: str):
        logging.getLogger("opentelemetry").setLevel(
            logging.CRITICAL
        )  # says every failure again; `_Telling` says it once
        self._resource = Resource({"service.name": service, "service.namespace": "bulkhead"})
        self._exporter = _Telling(OTLPSpanExporter(endpoint=_with_path(endpoint), timeout=EXPORT_TIMEOUT_S), endpoint)
        self._queue = BatchSpanProcessor(
            self._exporter, max_queue_size=QUEUE_MAX, max_export_batch_size=BATCH_MAX, schedule_delay_millis=EVERY_MS
        )

    def send(self, span: Span) -> None:
        """Queue one span; returns at once, and when the queue is full the oldest is lost."""
        self._queue.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.context),
                parent=_context(span.parent) if span.parent else None,
                links=[Link(_context(span.link))] if span.link else [],
                kind=SpanKind[span.kind],
                attributes=span.attributes,
                resource=self._resource,
                instrumentation_scope=_SCOPE,
                start_time=span.began_at,
                end_time=span.ended_at,
            )
        )

    def close(self) -> None:
        """Send what is queued and stop; blocks for one failed attempt at most."""
        self._exporter.closing = True
        self._queue.shutdown()


class _Telling(SpanExporter):
    """An exporter that logs when the collector is lost and when it is back, and nothing in between."""

    def __init__(self, inner: SpanExporter, endpoint: str):
        self.closing = False
        self._inner = inner
        self._endpoint = endpoint
        self._works = True
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.closing and not self._works:
            return SpanExportResult.FAILURE
        try:
            result, reason = self._inner.export(spans), "refused or not reachable"
        except Exception as error:  # noqa: BLE001  whatever a client library raises, tracing must not end with it
            result, reason = SpanExportResult.FAILURE, type(error).__name__
        works = result is SpanExportResult.SUCCESS
        self._lost += 0 if works else len(spans)
        if works and not self._works:
            _log.info("traces_accepted_again", endpoint=self._endpoint, spans_lost=self._lost)
        elif not works and self._works:
            _log.warning("traces_not_accepted", endpoint=self._endpoint, reason=reason)
        self._works = works
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


def _with_path(endpoint: str) -> str:
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + TRACES_PATH


def _context(context: SpanContext) -> OtelContext:
    return OtelContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=False, trace_flags=TraceFlags(1))
