"""A span of a trace, as plain data: what tracing makes and OTLP sends."""

from __future__ import annotations

import msgspec


class SpanContext(msgspec.Struct, frozen=True):
    """Which span of which trace (hex)."""

    trace_id: str
    span_id: str


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A finished span: what happened, when (ns UTC, wall time), below which span, linked to which."""

    name: str
    kind: str
    context: SpanContext
    parent: SpanContext | None
    link: SpanContext | None
    began_at: int
    ended_at: int
    attributes: dict[str, str | int]
