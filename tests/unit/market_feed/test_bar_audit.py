"""What a venue says of a bar later is compared with what it said when the bar left."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.messages import Bar, FeedBars
from libs.common.timeframe import HOUR, MINUTE
from services.market_feed.adapters.bar_audit import WAITING_MAX, BarAudit, Due
from tests.unit.market_feed.tape import BTC, T0, bar

TEN = T0 + 10 * HOUR


def left(*bars: Bar) -> FeedBars:
    return FeedBars(end_ts=bars[-1].ts_close, bars=bars)


async def quarter(audit: BarAudit, since: int = TEN, volume: float = 1.0) -> Due:
    for n in range(15):
        audit.hear(left(bar(since + n * MINUTE, volume=volume)))
    return await audit.next_due()


async def test_a_quarter_is_compared_once_it_has_closed() -> None:
    """All its minutes at once, none twice."""
    audit = BarAudit()
    first, second = await quarter(audit), await quarter(audit, TEN + 15 * MINUTE)
    assert (first.since, first.until, len(first.said[BTC])) == (TEN, TEN + 15 * MINUTE, 15)
    assert (second.since, len(second.said[BTC])) == (TEN + 15 * MINUTE, 15)


@pytest.mark.parametrize(
    "change", [{"close": 100.5, "high": 100.5}, {"volume": 2.0}, {"low": 99.0}, {"open": 99.5, "low": 99.5}]
)
async def test_any_number_that_changed_is_a_revision(change: dict[str, float]) -> None:
    """Prices and volume, to the last digit a venue prints."""
    due = await quarter(BarAudit())
    told = [bar(TEN), msgspec.structs.replace(bar(TEN + MINUTE), **change)]
    assert list(due.revised(BTC, "binance", told)) == [(bar(TEN + MINUTE), told[1])]


async def test_a_gap_that_the_venue_has_by_now_is_a_revision() -> None:
    """The minute left flat because nobody could serve it; now somebody can."""
    due = await quarter(BarAudit(), volume=0.0)
    assert list(due.revised(BTC, "binance", [bar(TEN, volume=0.0)])) == []
    assert len(list(due.revised(BTC, "binance", [bar(TEN, volume=3.0)]))) == 1


async def test_another_venue_revises_nothing() -> None:
    """Kraken's candles differ from Binance's by nature."""
    due = await quarter(BarAudit())
    assert list(due.revised(BTC, "kraken", [bar(TEN, px=101.0)])) == []


async def test_what_nobody_asks_for_does_not_pile_up() -> None:
    """While REST is away the newest quarters wait, the older ones are given up."""
    audit = BarAudit()
    for n in range(WAITING_MAX + 3):
        for minute in range(15):
            audit.hear(left(bar(TEN + (15 * n + minute) * MINUTE)))
    assert (await audit.next_due()).since == TEN + 3 * 15 * MINUTE
