"""A seeded market for the simulation: prices every few seconds, as quotes and trades for the venue and marks and bars for the feed."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from random import Random

from libs.common.ids import derive_id
from libs.common.messages import (
    Answer,
    Bar,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    InstrumentSpec,
    Mark,
)
from libs.common.timeframe import MINUTE, SECOND
from libs.runtime.core import Asked
from libs.runtime.simulate import Node
from libs.runtime.simulated_log import Scheduler
from libs.trading.venue import SpotVenue, VenueUpdate

PRICE_EVERY = 5 * SECOND
HISTORY_BARS = 300
HALF_SPREAD = 0.0001


def spec(instrument: str) -> InstrumentSpec:
    """Trading rules like Binance's for a major pair."""
    base, quote = instrument.split("-")
    return InstrumentSpec(
        instrument=instrument,
        base=base,
        quote=quote,
        px_tick=Decimal("0.01"),
        qty_step=Decimal("0.00001"),
        qty_min=Decimal("0.00001"),
        notional_min=Decimal(5),
        taker_fee=Decimal("0.001"),
        maker_fee=Decimal("0.001"),
    )


class PricePath:
    """Prices of one instrument every `PRICE_EVERY`, with trends long enough to be entered and left."""

    def __init__(self, seed: str, start: int, count: int, px: float):
        random = Random(seed)
        self.start = start
        self.px: list[float] = []
        drift = 0.0
        for index in range(count):
            if index % 240 == 0:
                drift = random.choice((-1, 1)) * random.uniform(0.2, 1.0) * 1e-4
            shock = random.gauss(0, 2.5e-4)
            if random.random() < 2e-4:
                shock += random.choice((-1, 1)) * random.uniform(0.01, 0.04)
            px *= math.exp(drift + shock)
            self.px.append(round(px, 2))

    def gap(self, ts: int, factor: float) -> None:
        """From the first price after `ts` on, everything costs `factor` times as much."""
        first = (ts - self.start) // PRICE_EVERY + 1
        self.px[first:] = [round(px * factor, 2) for px in self.px[first:]]

    def at(self, ts: int) -> float:
        """The price in force at `ts`."""
        return self.px[min(max(0, (ts - self.start) // PRICE_EVERY), len(self.px) - 1)]

    def bar(self, instrument: str, ts_open: int) -> Bar:
        """The minute that opens at `ts_open`."""
        first = (ts_open - self.start) // PRICE_EVERY
        prices = self.px[first : first + MINUTE // PRICE_EVERY]
        return Bar(
            instrument=instrument,
            venue="sim",
            timeframe="1m",
            ts_open=ts_open,
            ts_close=ts_open + MINUTE,
            open=prices[0],
            high=max(prices),
            low=min(prices),
            close=prices[-1],
            volume=float(len(prices)),
        )


class FeedEdge:
    """The feed's world: tells prices to the venue, and marks and bars to the feed, which may be dead at the time."""

    def __init__(
        self,
        scheduler: Scheduler,
        venue: SpotVenue,
        on_update: Callable[[list[VenueUpdate]], None],
        instruments: tuple[str, ...],
        seed: int,
        end: int,
    ):
        self._scheduler = scheduler
        self._venue = venue
        self._on_update = on_update
        self._instruments = instruments
        self._node: Node | None = None
        self._life = 0
        start = scheduler.now - HISTORY_BARS * MINUTE
        count = (end - start) // PRICE_EVERY + 1
        self.paths = {each: PricePath(f"{seed}:{each}", start, count, 100.0) for each in instruments}
        scheduler.at(scheduler.now, self._move)

    def px(self, instrument: str) -> float:
        """The price now."""
        return self.paths[instrument].at(self._scheduler.now)

    def opened(self, node: Node) -> None:
        """Go on where the log ends: status, history once, the bars that were missed, then live."""
        self._life += 1
        self._node = node
        now = self._scheduler.now
        specs = tuple(spec(each) for each in self._instruments)
        node.emit(
            FeedStatus(
                venue="sim", state="LIVE", via="SOCKETS", reason="", health={}, specs=specs, ts_event=now, ts_init=now
            )
        )
        if not node.state().history:
            for instrument in self._instruments:
                first = self.paths[instrument].start
                bars = tuple(
                    self.paths[instrument].bar(instrument, first + index * MINUTE) for index in range(HISTORY_BARS)
                )
                node.emit(FeedHistory(instrument=instrument, timeframe="1m", bars=bars, ts_event=now, ts_init=now))
        self._tell(self._life)

    def closed(self) -> None:
        """The feed is dead; the market goes on."""
        self._life += 1
        self._node = None

    def perform(self, asked: Asked, reply: Callable[[Answer], None]) -> None:
        """The feed asks nothing."""
        raise AssertionError("the feed asks nothing")

    def _move(self) -> None:
        now = self._scheduler.now
        for instrument in self._instruments:
            px = self.px(instrument)
            bid, ask = round(px * (1 - HALF_SPREAD), 2), round(px * (1 + HALF_SPREAD), 2)
            self._on_update(self._venue.on_quote(instrument, bid, 1_000.0, ask, 1_000.0, now))
            self._on_update(self._venue.on_trade(instrument, px, 10.0, now))
        self._scheduler.at(now + PRICE_EVERY, self._move)

    def _tell(self, life: int) -> None:
        node = self._node
        if node is None or life != self._life:
            return
        now = self._scheduler.now
        if node.is_quiet:
            self._tell_bars(node, now)
        marks = tuple(
            Mark(
                instrument=each,
                bid_px=round(self.px(each) * (1 - HALF_SPREAD), 2),
                ask_px=round(self.px(each) * (1 + HALF_SPREAD), 2),
                last_px=self.px(each),
                protective_px=self.px(each),
                trust="TRUSTED",
                ts=now,
            )
            for each in self._instruments
        )
        node.emit(FeedMarks(venue="sim", as_of=now, marks=marks, alive=self._instruments, ts_event=now, ts_init=now))
        self._scheduler.at(now + PRICE_EVERY, lambda: self._tell(life))

    def _tell_bars(self, node: Node, now: int) -> None:
        """Every minute that has closed since the last one in the log; one at a time, so that none is told twice."""
        record = node.state()
        end_ts = max(record.end_ts, record.since) + MINUTE
        if record.since and end_ts <= now:
            bars = tuple(self.paths[each].bar(each, end_ts - MINUTE) for each in self._instruments)
            node.emit(
                FeedBars(
                    id=derive_id("feed.bars", "sim", end_ts), end_ts=end_ts, bars=bars, ts_event=end_ts, ts_init=now
                )
            )
