"""Whatever a venue sends: an event and a metric each, never a crash, never a decision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.messages import FeedMarks, PrintRejected
from libs.common.timeframe import MILLISECOND, MINUTE, SECOND
from services.exchange_sim.faults import SocketFault
from tests.e2e.feed_bench import INSTRUMENTS, Feed, Log, Venue, settled
from tests.e2e.test_market_feed import READERS, begun

BTC = INSTRUMENTS[0]
ODD = "NO_OBJECT", "UNREADABLE", "UNKNOWN_FRAME"


def trade_frame(venue: Venue, **changed: Any) -> str:
    """The venue's next trade, with some fields changed; None takes a field away, a `factor` moves the price."""
    last = venue.server.exchange.last_trades[BTC]
    ms, factor = last.ts // MILLISECOND, changed.pop("factor", 1.0)
    frame = {
        "e": "trade",
        "E": ms,
        "s": "BTCUSDT",
        "t": last.trade_id + 1,
        "p": f"{last.px * factor:.2f}",
        "q": "1.00000000",
        "T": ms,
        "m": True,
        "M": True,
    }
    return msgspec.json.encode({k: v for k, v in (frame | changed).items() if v is not None}).decode()


async def refusal(venue: Venue, log: Log, feed: Feed, text: str) -> PrintRejected:
    """What is told of a frame that the venue sends on the socket of the trades."""
    before = len(rejections(log))
    venue.server.faults.add(SocketFault(kind="inject", stream="btcusdt@trade", text=text))
    await settled(lambda: len(rejections(log)) > before, f"a refusal of {text[:60]}", feed)
    (told,) = rejections(log)[before:]
    sample = {"venue": "binance", "reason": told.reason, "instrument": told.instrument}
    assert (feed.context.registry.get_sample_value("bulkhead_feed_odd_frames_total", sample) or 0.0) >= 1.0
    return told


def rejections(log: Log) -> list[PrintRejected]:
    return [each for each in log.market if isinstance(each, PrintRejected)]


@READERS
async def test_no_bad_frame_becomes_a_price_or_an_end(tmp_path: Path, reader: str) -> None:
    """Numbers that are none, fields that are missing, another symbol, another unit, HTML: told, counted, and the bars are right."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        feed = Feed(venue, log, feed_reader=reader)
        await begun(feed, log)
        await venue.advance(start + 10 * SECOND)
        await settled(lambda: log.marks() == venue.quotes(), "quotes", feed)
        marks, statuses = len(log.of(FeedMarks)), list(log.statuses)
        good = trade_frame(venue)
        cases: list[tuple[str, tuple[str, ...]]] = [
            (trade_frame(venue, p="NaN"), ("BAD_PRICE", *ODD)),
            (good.replace('"p":"', '"p":NaN,"x":"'), ODD),
            (trade_frame(venue, p="Infinity"), ("BAD_PRICE", *ODD)),
            (trade_frame(venue, p="0.00"), ("BAD_PRICE",)),
            (trade_frame(venue, p="-44000.00"), ("BAD_PRICE",)),
            (trade_frame(venue, p="forty"), ("BAD_PRICE", *ODD)),
            (trade_frame(venue, p=None), ("BAD_PRICE",)),
            (trade_frame(venue, q="0"), ("BAD_QUANTITY",)),
            (trade_frame(venue, q="-1"), ("BAD_QUANTITY",)),
            (trade_frame(venue, q=None), ("BAD_QUANTITY",)),
            (trade_frame(venue, t=None), ("BAD_ID",)),
            (trade_frame(venue, T=None, E=None), ("BAD_TIME",)),
            (trade_frame(venue, T=17, E=17), ("BAD_TIME",)),
            (trade_frame(venue, s="DOGEUSDT"), ("WRONG_SYMBOL",)),
            (trade_frame(venue, s=None), ("WRONG_SYMBOL", *ODD)),
            (trade_frame(venue, factor=10.0), ("UNIT",)),
            ("<html><body>502 Bad Gateway</body></html>", ODD),
            (good[:40], ODD),
            ("[]", ODD),
            ("null", ODD),
            ("42", ODD),
            ("", ODD),
        ]
        for text, reasons in cases:
            told = await refusal(venue, log, feed, text)
            assert told.reason in reasons, text
            assert told.instrument in (BTC, "unknown")
        assert {mark.trust for each in log.of(FeedMarks)[marks:] for mark in each.marks} <= {"UNIT"}
        assert log.statuses == statuses
        await venue.advance(start + 2 * MINUTE)
        await settled(lambda: len(log.bars) == 2, "two minutes", feed)
        own = await feed.rest.history(BTC, "1m", start, start + 2 * MINUTE)
        last = log.of(FeedMarks)[-1]
        assert not feed.task.done()
        await feed.close()
    assert [each.bars[0] for each in log.bars] == own
    assert {mark.trust for mark in last.marks if mark.instrument == BTC} <= {"TRUSTED"}
    prices = [mark.last_px for each in log.of(FeedMarks) for mark in each.marks if mark.instrument == BTC]
    assert max(prices) / min(prices) < 1.05


@READERS
async def test_a_trade_from_the_future_closes_no_minute(tmp_path: Path, reader: str) -> None:
    """A stamp an hour ahead would prove sixty minutes over that have not begun."""
    async with Venue(tmp_path, sim_mode="free", sim_speed=10) as venue:
        log = Log()
        feed = Feed(venue, log, feed_reader=reader)
        await begun(feed, log)
        await settled(lambda: bool(log.bars), "a first minute", feed)
        ahead = venue.clock.now() // MILLISECOND + 3_600_000
        told = await refusal(venue, log, feed, trade_frame(venue, T=ahead, E=ahead))
        assert (told.reason, told.instrument) == ("FROM_THE_FUTURE", BTC)
        count = len(log.bars)
        await settled(lambda: len(log.bars) > count, "the next minute", feed)
        assert log.bars[-1].end_ts <= venue.clock.now() + SECOND
        await feed.close()


@pytest.mark.parametrize("text", ["<html>", "[1, 2", '{"symbols": 7}'])
async def test_a_backup_venue_that_talks_nonsense_hurts_nobody(tmp_path: Path, text: str) -> None:
    """Kraken sends frames nobody understands: told as Kraken's, while Binance goes on speaking."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        feed = Feed(venue, log, feed_venues=("binance", "kraken"))
        await begun(feed, log)
        await settled(lambda: feed.adapter.lines["kraken"].are_up, "kraken", feed)
        venue.server.faults.add(SocketFault(kind="inject", venue="kraken", text=text))
        if text.startswith("{"):  # understood by nobody, and by ccxt without a word: nothing to refuse
            await venue.advance(start + MINUTE)
        else:
            await settled(lambda: any(each.venue == "kraken" for each in rejections(log)), "a refusal", feed)
        await venue.advance(start + 2 * MINUTE)
        await settled(lambda: len(log.bars) >= 2, "two minutes", feed)
        assert log.statuses == ["LIVE"]
        await feed.close()
