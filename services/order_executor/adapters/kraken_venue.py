"""Kraken Spot through ccxt, behind the same port as Binance (`ccxt_venue`): what differs is in these files.

kraken_wire       nonces, whose turn it is, deadlines     kraken_classify   what a refusal proves
kraken_ordering   orders; no pairs                        kraken_frames     raw answers as facts
kraken_questions  look-ups and the account                kraken_history    from when on executions are read
kraken_check      key, clock, fees, listings              kraken_stream     what Kraken tells by itself
"""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt.pro

from libs.runtime.adapter import AdapterContext
from libs.runtime.ccxt_budget import spend_from
from libs.trading.public_ccxt import kraken_config
from services.order_executor.adapters.ccxt_venue import CcxtVenue
from services.order_executor.adapters.gauges import ExecutionSeries
from services.order_executor.adapters.kraken_check import KrakenCheck, KrakenDrift
from services.order_executor.adapters.kraken_history import ReadUpTo
from services.order_executor.adapters.kraken_ordering import KrakenOrdering
from services.order_executor.adapters.kraken_questions import KrakenQuestions
from services.order_executor.adapters.kraken_stream import KrakenStream
from services.order_executor.adapters.kraken_wire import BUDGET, KrakenWire, Nonces, Turns
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.user_stream import CONNECT_S_MAX
from services.order_executor.settings import Settings

PRODUCTION_URL = "https://api.kraken.com"


class KrakenVenue(CcxtVenue):
    """The venue adapter of the order executor at Kraken."""

    async def open(self, context: AdapterContext) -> None:
        """Start reading the user stream. A venue that is down is no reason not to start."""
        self._context = context
        self._nonces, self._drift = Nonces(), KrakenDrift(context)
        drift, names, turns = self._drift, OrderNames(), Turns()
        self._wire = wire = KrakenWire(
            self._client(),
            context,
            self._settings.exec_deadline_ms,
            turns=turns,
            window_ms=self._settings.exec_recv_window_ms,
            now_ns=drift.now_ns,
            ready=drift.settled,
            heed=drift.heed,
        )
        self._questions = questions = KrakenQuestions(wire, names, ReadUpTo(context.state))
        self._ordering = KrakenOrdering(wire, context, names, questions, drift)
        self._check = KrakenCheck(wire, drift)
        self._series = ExecutionSeries(context.registry, context.state, self._settings.instruments)
        drift.start(wire)
        stream = KrakenStream(
            self._stream_client, self._settings.instruments, context, drift.doubt, names=names, turns=turns
        )
        self._stream = asyncio.create_task(stream.run(), name="user stream")
        self._opened.set()

    def _client(self) -> Any:
        exchange = ccxt.pro.kraken(self._config)
        exchange.incrementing_nonce = self._nonces.next
        return exchange

    def _stream_client(self) -> Any:
        exchange = self._client()
        spend_from(self._context.budget, exchange, BUDGET, lane="orders", deadline_s=CONNECT_S_MAX)
        return exchange

    def _made_config(self, settings: Settings) -> dict[str, Any]:
        url = settings.exec_venue_url.rstrip("/")
        config = kraken_config("" if url == PRODUCTION_URL else url)
        key, secret = settings.credentials()
        options = {**config["options"], "maxRetriesOnFailure": 0}
        own = {"apiKey": key, "secret": secret, "enableRateLimit": False, "timeout": settings.exec_deadline_ms}
        return {**config, **own, "options": options}
