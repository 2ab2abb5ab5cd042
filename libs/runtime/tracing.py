"""Trace ids and spans of events. Ids are derived, never drawn, so every process and every replay names the same span alike.

A story (`correlation_id`) is a trace. Appending a message is the span `publish <type>`, whose id follows from the message's id;
handling it is `process <type>`, one for each service, below the publish span it answers to:

    publish FeedBars ─▶ process FeedBars (agent-trend) ─▶ publish AgentSignals ─▶ process AgentSignals (portfolio) ─▶ ...

Messages carry the publish span as W3C `traceparent` in their headers. Where a message belongs to another story than its input
(a fill belongs to the story of its intent), its span has no parent but a link. Attributes name the story, never payloads.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import ALL, Message
from libs.runtime.adapter import LogEntry
from libs.runtime.spans import Span, SpanContext

if TYPE_CHECKING:
    from libs.runtime.otlp import SpanSink

CLOSE_S_MAX = 2.0
REMEMBERED_INPUTS = 4096
SUBJECT_CHARS_MAX = 200

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_KINDS: dict[str, type[Message]] = {str(kind.__struct_config__.tag): kind for kind in ALL}


class _Head(msgspec.Struct):
    """As much of a message as a span needs."""

    type: str
    id: str = ""
    correlation_id: str = ""
    producer: str = ""


def trace_id_of(correlation_id: str) -> str:
    """The W3C trace id (32 hex characters) of a story."""
    return hashlib.blake2b(correlation_id.encode(), digest_size=16).hexdigest()


def span_id_of(*parts: str) -> str:
    """The W3C span id (16 hex characters) that follows from `parts`; that of appending a message from its id alone."""
    return derive_id("span", *parts)[:16]


def context_of(message_id: str, correlation_id: str) -> SpanContext:
    """The publish span of a message."""
    return SpanContext(trace_id_of(correlation_id or message_id), span_id_of(message_id))


def traceparent(message: Message) -> str:
    """The W3C context of the span that publishes `message`, for its headers."""
    context = context_of(message.id, message.correlation_id)
    return f"00-{context.trace_id}-{context.span_id}-01"


def context_from(header: str) -> SpanContext | None:
    """The span a `traceparent` header names; None for one that is not valid."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return None
    return SpanContext(match[1], match[2])


class Tracer:
    """The spans of one service. Without an endpoint it does nothing; with one it never blocks and never fails its caller."""

    def __init__(self, service: str, endpoint: str = ""):
        self.service = service
        self._handled: OrderedDict[str, SpanContext] = OrderedDict()
        self._sink: SpanSink | None = None
        if endpoint:
            from libs.runtime.otlp import SpanSink  # half a second of imports that most processes do not need

            self._sink = SpanSink(service, endpoint)

    def processed(self, entry: LogEntry, seconds: float = 0.0, header: str = "", *, is_poison: bool = False) -> str:
        """The input `entry` has been handled, which took `seconds`; `header` is its `traceparent`, if it had one. Returns its trace ("": none is kept).

        Of a poison event nothing is shown that its writer could have put into it.
        """
        if self._sink is None:
            return ""
        head, name, template = _poison(entry) if is_poison else _described(entry)
        parent = context_from(header) or context_of(head.id, head.correlation_id)
        context = SpanContext(parent.trace_id, span_id_of(head.id, self.service))
        self._remember(head.id, context)
        self._emit(f"process {name}", "CONSUMER", context, parent, None, seconds, _facts(head, template, entry.seq))
        return context.trace_id

    def published(self, message: Message, seq: int, seconds: float = 0.0) -> str:
        """`message` is in the log at `seq`; the append took `seconds`. Returns its trace ("": none is kept)."""
        if self._sink is None:
            return ""
        context = context_of(message.id, message.correlation_id)
        cause = self._handled.get(message.causation_id)
        parent = cause if cause is not None and cause.trace_id == context.trace_id else None
        link = cause if parent is None else None
        kind = type(message)
        head = _Head(kind.__name__, message.id, message.correlation_id)
        facts = _facts(head, f"{message.producer}.{kind.suffix}", seq)
        self._emit(f"publish {kind.__name__}", "PRODUCER", context, parent, link, seconds, facts)
        return context.trace_id

    async def close(self) -> None:
        """Send what is left, within `CLOSE_S_MAX`; what a dead collector does not take by then is lost."""
        sink, self._sink = self._sink, None
        if sink is not None:
            closing = threading.Thread(target=sink.close, name="close tracing", daemon=True)
            closing.start()
            await asyncio.to_thread(closing.join, CLOSE_S_MAX)

    # --- inside -----------------------------------------------------------------------------------------------

    def _remember(self, message_id: str, context: SpanContext) -> None:
        self._handled[message_id] = context
        while len(self._handled) > REMEMBERED_INPUTS:
            self._handled.popitem(last=False)

    def _emit(
        self,
        name: str,
        kind: str,
        context: SpanContext,
        parent: SpanContext | None,
        link: SpanContext | None,
        seconds: float,
        attributes: dict[str, str | int],
    ) -> None:
        ended_at = time.time_ns()
        span = Span(
            name=name,
            kind=kind,
            context=context,
            parent=parent,
            link=link,
            began_at=ended_at - int(seconds * 1e9),
            ended_at=ended_at,
            attributes=attributes,
        )
        if self._sink is not None:
            self._sink.send(span)


def _described(entry: LogEntry) -> tuple[_Head, str, str]:
    """The head of a message, its type's name and its subject's template; a poison event is called so, by core's id for it."""
    try:
        head = msgspec.json.decode(entry.payload, type=_Head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        head = _Head("")
    kind = _KINDS.get(head.type)
    if kind is None:
        return _poison(entry)
    return head, kind.__name__, f"{head.producer}.{kind.suffix}"[:SUBJECT_CHARS_MAX]


def _poison(entry: LogEntry) -> tuple[_Head, str, str]:
    poison_id = derive_id("poison", entry.seq, hashlib.blake2b(entry.payload).hexdigest())
    return _Head("", poison_id), "poison", f"{entry.subject.partition('.')[0]}.>"


def _facts(head: _Head, template: str, seq: int) -> dict[str, str | int]:
    """Attributes by the names of OpenTelemetry's messaging conventions, where there is one."""
    return {
        "messaging.system": "nats",
        "messaging.destination.template": template,
        "messaging.message.id": head.id[:64],
        "messaging.message.conversation_id": (head.correlation_id or head.id)[:64],
        "bulkhead.seq": seq,
    }
