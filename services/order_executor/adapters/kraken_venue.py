"""Kraken Spot through ccxt, behind the same port as Binance (`ccxt_venue`): what differs is in these files.

kraken_wire       nonces, whose turn it is, deadlines     kraken_classify   what a refusal proves
kraken_ordering   orders; no pairs                        kraken_frames     raw answers as facts
kraken_questions  look-ups and the account                kraken_history    from when on executions are read
kraken_check      key, clock, fees, listings              kraken_stream     what Kraken tells by itself
"""

from __future__ import annotations

from typing import Any

import ccxt.pro

from libs.runtime.adapter import AdapterContext
from libs.runtime.ccxt_budget import spend_from
from libs.trading.public_ccxt import kraken_config
from services.order_executor.adapters.ccxt_venue import CcxtVenue, Parts
from services.order_executor.adapters.clock_drift import ClockDrift
from services.order_executor.adapters.kraken_check import KrakenCheck, KrakenDrift
from services.order_executor.adapters.kraken_history import ReadUpTo
from services.order_executor.adapters.kraken_ordering import KrakenOrdering
from services.order_executor.adapters.kraken_questions import KrakenQuestions
from services.order_executor.adapters.kraken_stream import KrakenStream
from services.order_executor.adapters.kraken_wire import BUDGET, KrakenWire, Nonces, Turns
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.user_stream import CONNECT_S_MAX
from services.order_executor.adapters.wire import Wire
from services.order_executor.settings import Settings

PRODUCTION_URL = "https://api.kraken.com"


class KrakenVenue(CcxtVenue):
    """The venue adapter of the order executor at Kraken."""

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self._nonces, self._turns = Nonces(), Turns()

    @staticmethod
    def config(settings: Settings) -> dict[str, Any]:
        """How ccxt is made: nothing of its own pace, nothing repeated."""
        url = settings.exec_venue_url.rstrip("/")
        config = kraken_config("" if url == PRODUCTION_URL else url)
        key, secret = settings.credentials()
        options = {**config["options"], "maxRetriesOnFailure": 0}
        own = {"apiKey": key, "secret": secret, "enableRateLimit": False, "timeout": settings.exec_deadline_ms}
        return {**config, **own, "options": options}

    def clock(self, context: AdapterContext) -> ClockDrift:
        """Whose time deadlines are told in."""
        return KrakenDrift(context)

    def wire(self, context: AdapterContext, drift: ClockDrift) -> KrakenWire:
        """What every request goes through: orders before questions."""
        return KrakenWire(
            self.client(),
            context,
            self._settings.exec_deadline_ms,
            turns=self._turns,
            window_ms=self._settings.exec_recv_window_ms,
            now_ns=drift.now_ns,
            ready=drift.settled,
            heed=drift.heed,
        )

    def parts(self, wire: Wire, context: AdapterContext, drift: ClockDrift) -> Parts:
        """What carries the requests out, and what listens."""
        assert isinstance(wire, KrakenWire)
        names = OrderNames()
        questions = KrakenQuestions(wire, names, ReadUpTo(context.state))
        return Parts(
            ordering=KrakenOrdering(wire, context, names, questions, drift),
            questions=questions,
            check=KrakenCheck(wire, drift),
            stream=KrakenStream(
                self.stream_client, self._settings.instruments, context, drift.doubt, names=names, turns=self._turns
            ),
        )

    def client(self) -> Any:
        """A ccxt client that takes its nonces from the one counter."""
        exchange = ccxt.pro.kraken(self._config)
        exchange.incrementing_nonce = self._nonces.next
        return exchange

    def stream_client(self) -> Any:
        """For the user stream: what it asks counts among the account's calls."""
        exchange = self.client()
        spend_from(self._context.budget, exchange, BUDGET, lane="orders", deadline_s=CONNECT_S_MAX)
        return exchange
