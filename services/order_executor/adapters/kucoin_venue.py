"""KuCoin Spot through ccxt, behind the same port as Binance: the parts that differ, and how they are put together.

kucoin_classify   what a failure proves          kucoin_frames   raw answers as facts
kucoin_ordering   orders and stops               kucoin_questions   look-ups and the account
kucoin_check      key, clock, fees, listings     kucoin_stream   what KuCoin tells by itself
"""

from __future__ import annotations

from typing import Any

import ccxt.pro

from libs.runtime.adapter import AdapterContext
from libs.trading.binance_ccxt import follow_clock
from libs.trading.public_ccxt import KUCOIN_URL, kucoin_config
from services.order_executor.adapters.ccxt_venue import CcxtVenue, Parts
from services.order_executor.adapters.clock_drift import ClockDrift
from services.order_executor.adapters.kucoin_check import KucoinCheck
from services.order_executor.adapters.kucoin_classify import outcome_of
from services.order_executor.adapters.kucoin_frames import data_of
from services.order_executor.adapters.kucoin_ordering import KucoinOrdering
from services.order_executor.adapters.kucoin_questions import KucoinQuestions
from services.order_executor.adapters.kucoin_stream import KucoinStream
from services.order_executor.adapters.names import OrderNames
from services.order_executor.adapters.wire import Wire
from services.order_executor.settings import Settings


class KucoinClock(ClockDrift):
    """Our clock as KuCoin's."""

    async def _shown(self, wire: Wire) -> tuple[int, int]:
        return data_of(await wire.send(wire.exchange.public_get_timestamp, {}), int), 0


class KucoinVenue(CcxtVenue):
    """The venue adapter of the order executor, for KuCoin."""

    judge = staticmethod(outcome_of)

    @staticmethod
    def config(settings: Settings) -> dict[str, Any]:
        """How ccxt is made: nothing of its own pace, nothing repeated."""
        url = settings.exec_venue_url.rstrip("/")
        config = kucoin_config("" if url == KUCOIN_URL else url)
        key, secret = settings.credentials()
        return {
            **config,
            "apiKey": key,
            "secret": secret,
            "password": settings.passphrase(),
            "enableRateLimit": False,
            "timeout": settings.exec_deadline_ms,
            "options": {**config["options"], "maxRetriesOnFailure": 0},
        }

    def clock(self, context: AdapterContext) -> ClockDrift:
        """Whose time requests are signed with."""
        return KucoinClock(context)

    def parts(self, wire: Wire, context: AdapterContext, drift: ClockDrift) -> Parts:
        """What carries the requests out, and what listens."""
        names = OrderNames()
        questions = KucoinQuestions(wire, context, names)
        return Parts(
            ordering=KucoinOrdering(wire, context, names, questions, drift),
            questions=questions,
            check=KucoinCheck(wire, drift),
            stream=KucoinStream(self.stream_client, self._settings.instruments, names, context, drift.doubt),
        )

    def client(self) -> Any:
        """A ccxt client that stamps requests with KuCoin's time."""
        exchange = ccxt.pro.kucoin(self._config)
        follow_clock(exchange, self._drift.now_ns)
        return exchange
