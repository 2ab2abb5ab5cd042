"""The log as it grows, read by the observer, through every death of the server; and what it says, for people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import (
    AccountRead,
    AlertRaised,
    ExecutionReport,
    FeedMarks,
    Message,
    OrderAnswered,
    OrderLookedUp,
    OrderSubmitting,
    Reconciled,
    VenueReported,
)
from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus, BusError
from libs.runtime.nats_config import GUEST_API, OBSERVER_USER, connect_options
from libs.runtime.ordered_pull import OrderedPull
from libs.runtime.stopping import cancelled
from libs.runtime.streams import TRADING
from tests.nats_stack import NatsStack

M = TypeVar("M", bound=Message)
STORY_LINES = 120


class LogTail:
    """Everything in the log, as soon as it is there. `heard` is called with each event, before anybody else can react."""

    def __init__(self, nats: NatsStack):
        self._nats = nats
        self.entries: list[LogEntry] = []
        self.told: list[Message] = []
        self.heard: Callable[[Message], None] = lambda _: None
        self._task = asyncio.create_task(self._follow(), name="log tail")

    async def close(self) -> None:
        """Stop reading."""
        await cancelled(self._task)

    def said(self, kind: type[M], since: int = 0) -> list[M]:
        """Every event of a kind behind the first `since` entries."""
        return [each for each in self.told[since:] if isinstance(each, kind)]

    @property
    def alerts(self) -> list[str]:
        """The codes of all alerts, in order."""
        return [each.code for each in self.said(AlertRaised)]

    def story(self) -> str:
        """What the executor said, and what it was asked to do, one line each."""
        lines = [
            f"{entry.seq:5} {_line(message)}"
            for entry, message in zip(self.entries, self.told, strict=True)
            if not isinstance(message, FeedMarks)
        ]
        return "\n".join(lines[-STORY_LINES:])

    async def _follow(self) -> None:
        while True:
            bus: Bus | None = None
            try:
                options = connect_options(self._nats.home, OBSERVER_USER, self._nats.url)
                bus = await Bus.connect(options, TRADING, api=GUEST_API, on_error=lambda _: None)
                pull = OrderedPull(bus, "observer", len(self.entries) + 1)
                while True:
                    pulled = await pull.next()
                    if pulled is not None:
                        self._take(pulled.entry)
            except BusError:
                await asyncio.sleep(0.05)
            finally:
                if bus is not None:
                    await bus.close()

    def _take(self, entry: LogEntry) -> None:
        assert entry.seq == len(self.entries) + 1, f"the log has a hole before {entry.seq}"
        try:
            message = decode_from(entry.subject, entry.payload)
        except BadEvent:
            message = Message()
        self.entries.append(entry)
        self.told.append(message)
        self.heard(message)


def _line(message: Message) -> str:
    at = f"{message.ts_init / 1e9 % 1000:8.3f} {type(message).__name__:20}"
    match message:
        case OrderSubmitting():
            return f"{at} {message.role} {message.side} {message.order_qty} {message.ord_type} {message.cl_ord_id[:6]}"
        case ExecutionReport():
            said = f"{message.role} {message.cl_ord_id[:6]} {message.exec_type} {message.ord_status}"
            return f"{at} {said} cum {message.cum_qty}/{message.order_qty} {message.reason}"
        case OrderAnswered():
            return f"{at} {message.request_id[:13]} {message.outcome} {message.code} {message.detail}"
        case OrderLookedUp():
            return f"{at} {message.request_id[:13]} {message.outcome} {message.detail}"
        case VenueReported():
            shown = message.order
            return f"{at} {shown.cl_ord_id[:6] if shown else ''} {shown.ord_status if shown else ''} {'fill' if message.fill else ''}"
        case AccountRead():
            return f"{at} ok={message.ok} {len(message.open_orders)} open, {len(message.fills)} fills {message.detail}"
        case Reconciled():
            return f"{at} clean={message.clean} {'; '.join(message.mismatches)}"
        case AlertRaised():
            return f"{at} {message.severity} {message.code}: {message.text}"
        case _:
            named = getattr(message, "name", "") or getattr(message, "reason", "") or getattr(message, "request_id", "")
            return f"{at} {named}"
