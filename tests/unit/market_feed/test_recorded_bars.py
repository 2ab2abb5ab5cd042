"""Real frames of August 2024 through reader, filter and desk: the bars are those that plain arithmetic makes of the trades."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from libs.common.messages import Bar, FeedBars, FeedMarks, QuoteChanged, TradePrinted
from libs.common.timeframe import MILLISECOND, bar_open
from services.market_feed.adapters.binance_frames import BinanceFrames
from services.market_feed.adapters.reader import Link
from services.market_feed.desk import Desk
from services.market_feed.record import FeedRecord
from tests.unit.market_feed.tape import BTC, CADENCE, ETH, live

DATA = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[4] / "shared" / "data")) / "binance_spot_raw"
FILES = {BTC: "btcusdt", ETH: "ethusdt"}
GRACE = 500 * MILLISECOND
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded frames in {DATA} (BULKHEAD_DATA_DIR)")


def lines() -> Iterator[tuple[int, bytes]]:
    """Every frame of both instruments with the instant the recorder's clock showed, in that order."""
    found = []
    for name in FILES.values():
        for path in sorted(DATA.glob(f"{name}_*.gz")):
            with gzip.open(path, "rb") as file:
                found += [(int(at), frame) for at, _, frame in (line.partition(b" ") for line in file)]
    return iter(sorted(found, key=lambda each: each[0]))


def independent_bars() -> dict[tuple[str, int], dict[str, Decimal]]:
    """One-minute bars from the trades alone, in decimals, ordered by the venue's own trade ids."""
    trades: dict[str, list[dict[str, str]]] = {BTC: [], ETH: []}
    for _, frame in lines():
        if b"@trade" in frame:
            told = json.loads(frame)
            trades[BTC if told["stream"].startswith("btc") else ETH].append(told["data"])
    bars: dict[tuple[str, int], dict[str, Decimal]] = {}
    for instrument, prints in trades.items():
        for each in sorted(prints, key=lambda each: int(each["t"])):
            opens = int(each["T"]) // 60_000 * 60_000 * MILLISECOND
            px, qty = Decimal(each["p"]), Decimal(each["q"])
            bar = bars.setdefault((instrument, opens), {"open": px, "high": px, "low": px, "volume": Decimal(0)})
            bar["high"], bar["low"] = max(bar["high"], px), min(bar["low"], px)
            bar["close"], bar["volume"] = px, bar["volume"] + qty
    return bars


class Feed:
    """A reader's frames into a desk, on the recorder's clock: 1.25 s behind the exchange's."""

    def __init__(self) -> None:
        self.now = 0
        self.desk: Desk | None = None
        self.bars: list[Bar] = []
        self.marks = 0
        self.rejected: Counter[str] = Counter()

    def begin(self, now: int) -> None:
        """The feed goes LIVE at `now`; the minute of its start is never whole."""
        record = FeedRecord()
        record.hear(live(now))
        self.desk = Desk("binance", (BTC, ETH), CADENCE, GRACE, record=record)
        self.desk.begin(record)

    def trade(self, trade: TradePrinted) -> None:
        assert self.desk is not None
        heard = self.desk.trade(trade, self.now)
        self.rejected.update(each.reason for each in heard.rejected)

    def quote(self, quote: QuoteChanged) -> None:
        assert self.desk is not None
        self.rejected.update(each.reason for each in self.desk.quote(quote, self.now).rejected)

    def refused(self, reason: str, instrument: str, frame: str) -> None:
        self.rejected[reason] += 1

    def connected(self, link: Link) -> None:
        raise AssertionError("nothing connects here")

    def say(self) -> None:
        """What is to be said now; the minute of the start, which no REST gives here, is repaired as one without trades."""
        assert self.desk is not None
        for want in self.desk.wants(self.now):
            self.desk.repair(want.instrument, [], want.until)
        for message in self.desk.say(self.now):
            if isinstance(message, FeedBars):
                self.bars += [bar for bar in message.bars if bar.timeframe == "1m"]
            self.marks += isinstance(message, FeedMarks)


def test_recorded_bars_equal_an_independent_computation() -> None:
    """Every whole minute of both instruments, open to volume, to the last digit; nothing is rejected; clock skew included."""
    feed = Feed()
    frames = BinanceFrames(
        "binance", (BTC, ETH), feed, on_answer=bool, on_leaving=lambda: None, on_liar=lambda instrument: None
    )
    last_said = 0
    for at, line in lines():
        feed.now = at
        if feed.desk is None:
            feed.begin(at)
        if b"@trade" in line or b"@bookTicker" in line:
            frames.take(line[line.index(b'"data":') + 7 : line.rindex(b"}")], at)
        if at - last_said >= 10 * MILLISECOND:
            last_said = at
            feed.say()
    began = bar_open(feed.bars[0].ts_open, "1m")
    whole = [bar for bar in feed.bars if bar.ts_open > began]
    expected = independent_bars()
    assert len(whole) >= 2 * 9
    for bar in whole:
        wanted = expected[bar.instrument, bar.ts_open]
        told = {name: Decimal(repr(getattr(bar, name))) for name in wanted}
        assert told == wanted, bar
    assert feed.rejected == Counter()
    assert feed.marks > 1_000
