"""Binance Spot through ccxt: requests out, typed answers back, the user stream in.

ccxt signs, sends and keeps connections; it neither rounds our amounts nor interprets answers about money: requests carry exactly
the strings that were decided, and answers are read from the raw fields. Whatever goes wrong becomes an answer; nothing is raised.

    wire          one request, its deadline, its share of the budget, what was heard     (of any venue)
    classify      what a failure proves          frames       raw answers as facts
    ordering      orders and pairs               questions    look-ups and the account
    replacing     an order in another's place    order_form   an order as it is told
    venue_check   key, clock, fees, listings     clock_drift  whose time requests are signed with
    user_stream   what the venue tells by itself gauges       what Prometheus is shown

Another venue overrides what differs (`kraken_venue`, `kucoin_venue`); which one there is, `venues` decides.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ccxt.pro
import msgspec

from libs.common.messages import Answer, OrderAnswered, PairAnswered, ReplaceAnswered, VenueChecked
from libs.runtime.adapter import AdapterContext
from libs.runtime.ccxt_budget import spend_from
from libs.runtime.core import Asked
from libs.runtime.tracing import trace_id_of
from libs.trading.binance_ccxt import ccxt_config, follow_clock
from services.order_executor.adapters.classify import outcome_of
from services.order_executor.adapters.clock_drift import ClockDrift
from services.order_executor.adapters.frames import symbol_of
from services.order_executor.adapters.gauges import ExecutionSeries, VenueLine
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.ordering import Ordering
from services.order_executor.adapters.questions import Questions
from services.order_executor.adapters.user_stream import CONNECT_S_MAX, UserStream
from services.order_executor.adapters.venue_check import VenueCheck
from services.order_executor.adapters.wire import Judge, Wire
from services.order_executor.requests import (
    NEVER_SENT,
    CancelOrder,
    CancelPair,
    CheckVenue,
    LookUpOrder,
    ReadAccount,
    ReplaceOrder,
    SubmitOrder,
    SubmitPair,
)
from services.order_executor.settings import Settings

VENUE = "binance"
"""Whose budget, when the settings name nobody."""


class Parts(msgspec.Struct, frozen=True):
    """What carries requests out, and what listens; each answers as the one at Binance does."""

    ordering: Any
    questions: Any
    check: Any
    stream: UserStream


class CcxtVenue:
    """The venue adapter of the order executor."""

    judge: Judge = staticmethod(outcome_of)
    """What a failed request proves."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._config = self.config(settings)
        self._venue = settings.exec_venue or VENUE
        self._context: AdapterContext
        self._wire: Wire | None = None
        self._drift: ClockDrift
        self._stream: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()

    async def open(self, context: AdapterContext) -> None:
        """Start reading the user stream. A venue that is down is no reason not to start."""
        self._context = context
        self._drift = drift = self.clock(context)
        self._wire = wire = self.wire(context, drift)
        self._parts = parts = self.parts(wire, context, drift)
        self._series = ExecutionSeries(context.registry, context.state, self._settings.instruments, self._line)
        drift.start(wire)
        self._stream = asyncio.create_task(parts.stream.run(), name="user stream")
        self._opened.set()

    async def close(self) -> None:
        """Stop reading and disconnect."""
        if self._stream is not None:
            self._stream.cancel()
            await asyncio.gather(self._stream, return_exceptions=True)
        if self._wire is not None:
            await self._drift.stop()
            await self._wire.close()

    async def check_once(self, context: AdapterContext) -> VenueChecked:
        """What the venue says of key, clock, fees and instruments, instead of `open`: without a stream, and closed again."""
        self._context = context
        self._drift = drift = self.clock(context)
        self._wire = wire = self.wire(context, drift)
        try:
            drift.start(wire)
            request = CheckVenue(valid_until=context.clock.now(), instruments=self._settings.instruments)
            found: VenueChecked = await self.parts(wire, context, drift).check.check("probe", request)
            return found
        finally:
            await self.close()

    async def perform(self, asked: Asked) -> Answer:
        """Carry out one request (the shell may ask while it is still opening us).

        Raises:
            TypeError: the machine asked for something this venue cannot do (a defect).
        """
        await self._opened.wait()
        began = time.monotonic()
        match asked.request:
            case SubmitOrder() as request:
                answer: Answer = await self._parts.ordering.submit(asked.request_id, request)
                self._count(answer, began, asked)
            case SubmitPair() as request:
                answer = await self._parts.ordering.submit_pair(asked.request_id, request)
                self._count(answer, began, asked)
            case ReplaceOrder() as request:
                answer = await self._parts.ordering.replace(asked.request_id, request)
                self._count(answer, began, asked)
            case CancelOrder() as request:
                answer = await self._parts.ordering.cancel(asked.request_id, request)
            case CancelPair() as request:
                answer = await self._parts.ordering.cancel_pair(asked.request_id, request)
            case LookUpOrder() as request:
                answer = await self._parts.questions.look_up(asked.request_id, request)
            case ReadAccount() as request:
                answer = await self._parts.questions.read_account(asked.request_id, request)
            case CheckVenue() as request:
                answer = await self._parts.check.check(asked.request_id, request)
            case request:
                raise TypeError(f"the venue cannot {type(request).__name__}")
        now = self._context.clock.now()
        return msgspec.structs.replace(answer, ts_event=now, ts_init=now)

    def _line(self) -> VenueLine:
        return VenueLine(self._venue, self._parts.stream.is_connected, self._drift.offset_s)

    def _count(self, answer: Answer, began: float, asked: Asked) -> None:
        assert isinstance(answer, OrderAnswered | PairAnswered | ReplaceAnswered)
        outcome = NEVER_SENT if answer.code == NEVER_SENT else answer.outcome
        trace_id = trace_id_of(asked.correlation_id) if self._settings.otlp_endpoint else ""
        self._series.submitted(outcome, time.monotonic() - began, trace_id)

    @staticmethod
    def config(settings: Settings) -> dict[str, Any]:
        """How ccxt is made: nothing of its own pace, nothing repeated."""
        config = ccxt_config(settings.exec_venue_url, *settings.credentials())
        options = {**config["options"], "recvWindow": settings.exec_recv_window_ms, "maxRetriesOnFailure": 0}
        return {**config, "enableRateLimit": False, "timeout": settings.exec_deadline_ms, "options": options}

    def clock(self, context: AdapterContext) -> ClockDrift:
        """Whose time requests are signed with."""
        return ClockDrift(context)

    def wire(self, context: AdapterContext, drift: ClockDrift) -> Wire:
        """What every request goes through."""
        return Wire(
            self.client(),
            self._venue,
            context,
            self._settings.exec_deadline_ms,
            judge=self.judge,
            ready=drift.settled,
            heed=drift.heed,
        )

    def parts(self, wire: Wire, context: AdapterContext, drift: ClockDrift) -> Parts:
        """What carries the requests out, and what listens."""
        names = OrderNames()
        symbols = {symbol_of(name): name for name in self._settings.instruments}
        return Parts(
            ordering=Ordering(wire, context, names),
            questions=Questions(wire, names),
            check=VenueCheck(wire, drift),
            stream=UserStream(self.stream_client, symbols, context, drift.doubt),
        )

    def client(self) -> Any:
        """A ccxt client that stamps requests with the venue's time."""
        exchange = ccxt.pro.binance(self._config)
        follow_clock(exchange, self._drift.now_ns)
        return exchange

    def stream_client(self) -> Any:
        """For the user stream: its few REST calls wait like orders, for without it fills are heard late."""
        exchange = self.client()
        spend_from(self._context.budget, exchange, self._venue, lane="orders", deadline_s=CONNECT_S_MAX)
        return exchange
