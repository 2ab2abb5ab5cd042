"""Prints for the price filter's tests: calm and wild markets, crashes, and what lies among them."""

from __future__ import annotations

import math
import random

from libs.common.messages import QuoteChanged, TradePrinted
from libs.common.timeframe import MILLISECOND, SECOND
from services.market_feed.doubt import SanityLimits
from services.market_feed.sanity import Judgement, PriceFilter
from tests.unit.market_feed.tape import BTC, T0

YEAR_S = 31_536_000.0


class Market:
    """One instrument's prints into one filter, with an own clock; whatever it judges is kept."""

    def __init__(self, belief: PriceFilter | None = None, px: float = 100.0):
        self.filter = belief or PriceFilter(SanityLimits())
        self.now = T0
        self.trade_id = 0
        self.believed: list[TradePrinted | QuoteChanged] = []
        self.rejected: list[str] = []
        if belief is None:
            self.trade(px)
            self.trade(px, after_ms=10)

    def trade(self, px: float, qty: float = 10.0, after_ms: float = 100.0) -> Judgement:
        """A trade, so many milliseconds after whatever was before."""
        self.wait(after_ms)
        self.trade_id += 1
        return self._keep(self.filter.trade(trade_at(self.now, self.trade_id, px, qty), self.now))

    def quote(self, bid_px: float, ask_px: float, after_ms: float = 100.0, qty: float = 10.0) -> Judgement:
        """A quote, likewise."""
        self.wait(after_ms)
        quote = QuoteChanged(
            venue="binance",
            instrument=BTC,
            bid_px=bid_px,
            bid_qty=qty,
            ask_px=ask_px,
            ask_qty=qty,
            ts_event=self.now,
            ts_init=self.now,
        )
        return self._keep(self.filter.quote(quote, self.now))

    def wait(self, ms: float) -> None:
        """Time passes, looked at four times a second."""
        until = self.now + int(ms * MILLISECOND)
        while self.now < until:
            self.now = min(until, self.now + 250 * MILLISECOND)
            self._keep(self.filter.look(self.now))

    def _keep(self, judgement: Judgement) -> Judgement:
        self.believed += judgement.believed
        self.rejected += [each.reason for each in judgement.rejected]
        return judgement

    @property
    def reasons(self) -> list[str]:
        """Why trust changed, in order."""
        return [each.reason for each in self.filter.changes]


def trade_at(now: int, trade_id: int, px: float, qty: float = 10.0) -> TradePrinted:
    """A trade of the tests' instrument."""
    return TradePrinted(
        venue="binance",
        instrument=BTC,
        trade_id=str(trade_id),
        px=px,
        qty=qty,
        aggressor_side="",
        ts_event=now,
        ts_init=now,
    )


def t3(chance: random.Random) -> float:
    """Student's t with three degrees of freedom, scaled to variance 1: fat tails, as returns have them."""
    chi2 = sum(chance.gauss(0.0, 1.0) ** 2 for _ in range(3))
    return chance.gauss(0.0, 1.0) / math.sqrt(chi2 / 3) / math.sqrt(3.0)


def ticks(seed: int, count: int, vol_year: float = 0.7, px: float = 100.0) -> list[tuple[float, float]]:
    """`count` trades as (milliseconds after the last, price): Poisson arrivals, five a second, t3 returns."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        wait_s = chance.expovariate(5.0)
        px *= math.exp(vol_year * math.sqrt(max(wait_s, 1e-4) / YEAR_S) * t3(chance))
        made.append((wait_s * 1000.0, px))
    return made


SECOND_MS = SECOND / MILLISECOND
