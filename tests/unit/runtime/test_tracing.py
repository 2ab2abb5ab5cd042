"""Spans of events, with derived ids, in the hands of a real OTLP/HTTP collector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from libs.common.codec import encode
from libs.common.messages import AgentSignals, FeedBars, Message, OrderDenied
from libs.common.subjects import subject_of
from libs.runtime import logs, otlp
from libs.runtime.adapter import LogEntry
from libs.runtime.tracing import (
    REMEMBERED_INPUTS,
    Tracer,
    context_from,
    context_of,
    span_id_of,
    trace_id_of,
    traceparent,
)
from tests.otlp_receiver import OtlpReceiver
from tests.unit.runtime.conftest import LogOutput

BARS = FeedBars(id="b1", correlation_id="story", producer="feed", end_ts=60, bars=())
SIGNALS = AgentSignals(
    id="s1", correlation_id="story", causation_id="b1", producer="agent.trend", agent_id="trend", end_ts=60, signals=()
)


class Raising(SpanExporter):
    """An exporter whose client library raises."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("from deep inside")

    def shutdown(self) -> None:
        """Nothing to close."""


def entry(seq: int, message: Message) -> LogEntry:
    return LogEntry(seq, subject_of(message), encode(message))


@pytest.fixture
async def collector() -> AsyncIterator[OtlpReceiver]:
    collector = OtlpReceiver()
    await collector.start()
    yield collector
    await collector.stop()


@given(story=st.text(min_size=1), message_id=st.text(min_size=1))
def test_ids_are_derived_and_valid(story: str, message_id: str) -> None:
    """Two processes that see the same message name the same span, in valid W3C form."""
    message = FeedBars(id=message_id, correlation_id=story, producer="feed", end_ts=60, bars=())
    header = traceparent(message)
    assert header == f"00-{trace_id_of(story)}-{span_id_of(message_id)}-01"
    assert context_from(header) == context_of(message_id, story)


def test_a_message_without_a_story_begins_one() -> None:
    """The first message of a story is the story's name."""
    message = FeedBars(id="b1", producer="feed", end_ts=60, bars=())
    assert context_from(traceparent(message)) == context_of("b1", "b1")


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01", f"01-{'1' * 32}-{'1' * 16}-01"],
)
def test_a_header_that_is_no_context_is_not_believed(header: str) -> None:
    """Zero ids and unknown versions name no span."""
    assert context_from(header) is None


async def test_a_story_is_one_tree_across_services(collector: OtlpReceiver) -> None:
    """Bar, signal and their handling hang below each other though two processes sent them, and no payload leaves."""
    trend, portfolio = Tracer("agent-trend", collector.endpoint), Tracer("portfolio", collector.endpoint + "/v1/traces")
    trend.processed(entry(7, BARS), 0.25)
    trend.published(SIGNALS, 8, 0.5)
    portfolio.processed(entry(8, SIGNALS), header=traceparent(SIGNALS))
    await trend.close()
    await portfolio.close()
    process_bars, publish, process = (
        collector.raw[name] for name in ("process FeedBars", "publish AgentSignals", "process AgentSignals")
    )
    assert {span.trace_id.hex() for span in (process_bars, publish, process)} == {trace_id_of("story")}
    assert process_bars.parent_span_id.hex() == span_id_of("b1")
    assert publish.parent_span_id == process_bars.span_id
    assert publish.span_id.hex() == span_id_of("s1")
    assert process.parent_span_id == publish.span_id
    assert process_bars.end_time_unix_nano - process_bars.start_time_unix_nano == 250_000_000
    attributes = {item.key: item.value for item in publish.attributes}
    assert attributes["messaging.destination.template"].string_value == "agent.trend.signals"
    assert attributes["messaging.message.conversation_id"].string_value == "story"
    assert attributes["bulkhead.seq"].int_value == 8
    assert collector.services == {"agent-trend", "portfolio"}
    assert b"end_ts" not in collector.bodies


async def test_another_story_is_linked_not_nested(collector: OtlpReceiver) -> None:
    """An output that belongs to another story keeps its own trace and points at what caused it."""
    tracer = Tracer("risk-gate", collector.endpoint)
    tracer.processed(entry(7, BARS))
    denied = OrderDenied(
        id="d1",
        correlation_id="another",
        causation_id="b1",
        producer="risk",
        intent_id="i",
        instrument="BTC-USDT",
        side="BUY",
        order_qty=Decimal("0.123456789"),
        reasons=("STALE",),
        checks=(),
    )
    tracer.published(denied, 9)
    tracer.published(SIGNALS, 10)
    await tracer.close()
    span = collector.raw["publish OrderDenied"]
    assert span.trace_id.hex() == trace_id_of("another")
    assert span.parent_span_id == b""
    (link,) = span.links
    assert (link.trace_id.hex(), link.span_id.hex()) == (trace_id_of("story"), span_id_of("b1", "risk-gate"))
    template = {item.key: item.value.string_value for item in span.attributes}["messaging.destination.template"]
    assert template == "risk.denied.{instrument}"
    assert b"0.123456789" not in collector.bodies


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"type": "unknown.v9"}', b'{"type": 3}', b"\xff"])
async def test_a_poison_event_is_a_span_too(collector: OtlpReceiver, payload: bytes) -> None:
    """What cannot be decoded was still handled; its span is named so and shows nothing of it."""
    tracer = Tracer("ledger", collector.endpoint)
    tracer.processed(LogEntry(3, "feed.marks", payload))
    await tracer.close()
    assert list(collector.raw) == ["process poison"]


async def test_a_dead_collector_is_told_once_and_costs_nothing_else(
    collector: OtlpReceiver, log_output: LogOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losing the collector is one line, its return another; the service is never held up."""
    monkeypatch.setattr(otlp, "EVERY_MS", 20)
    logs.configure("ledger", "info", log_output)
    collector.status = 400
    tracer = Tracer("ledger", collector.endpoint)
    for seq in range(1, 4):
        before = collector.requests
        tracer.published(SIGNALS, seq)
        await collector.until(lambda before=before: collector.requests > before)
    collector.status = 200
    tracer.published(SIGNALS, 9)
    await collector.until(lambda: collector.raw)
    await tracer.close()
    assert [event["event"] for event in log_output.events] == ["traces_not_accepted", "traces_accepted_again"]


async def test_closing_is_bounded_when_nobody_listens() -> None:
    """A collector that is not there does not keep a process from leaving, however many spans wait."""
    tracer = Tracer("ledger", "http://127.0.0.1:1")
    for seq in range(3000):
        tracer.published(SIGNALS, seq)
    async with asyncio.timeout(8):
        await tracer.close()
    tracer.published(SIGNALS, 1)
    assert tracer._sink is None


async def test_without_an_endpoint_nothing_is_done() -> None:
    """No endpoint, no SDK, no memory: not even the payload is looked at."""
    tracer = Tracer("ledger")
    tracer.processed(LogEntry(1, "feed.marks", b"not looked at"))
    tracer.published(SIGNALS, 2)
    await tracer.close()
    assert not tracer._handled


async def test_memory_of_inputs_is_bounded(collector: OtlpReceiver) -> None:
    """Parents are remembered for as long as an output may still come, not for ever."""
    tracer = Tracer("ledger", collector.endpoint)
    for seq in range(REMEMBERED_INPUTS + 10):
        tracer._remember(f"m{seq}", context_of("a", "b"))
    await tracer.close()
    assert len(tracer._handled) == REMEMBERED_INPUTS


def test_an_exporter_that_raises_is_a_lost_collector(log_output: LogOutput) -> None:
    """Whatever a client library throws, it costs spans and one line."""
    logs.configure("ledger", "info", log_output)
    telling = otlp._Telling(Raising(), "http://collector")
    assert telling.export([]) is telling.export([]) is SpanExportResult.FAILURE
    (event,) = log_output.events
    assert (event["event"], event["reason"]) == ("traces_not_accepted", "RuntimeError")
