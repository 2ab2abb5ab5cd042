"""The feed on a real venue server through unmodified ccxt: whatever happens to processes and wires, the same bars leave."""

from __future__ import annotations

import os
import random
from itertools import pairwise
from pathlib import Path

import pytest

from libs.common.messages import (
    BarRevised,
    FeedMarks,
    FeedStatus,
    PriceTrustChanged,
    PrintRejected,
    QuoteChanged,
    TradePrinted,
)
from libs.common.timeframe import MILLISECOND, MINUTE, SECOND, TIMEFRAMES, bar_open
from services.exchange_sim.faults import SocketFault
from services.market_feed.adapters.rest import UnknownInstrument
from tests.e2e.feed_bench import INSTRUMENTS, Feed, Log, Venue, settled

DATA = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[3] / "shared" / "data")) / "binance_spot_raw"
BTC = INSTRUMENTS[0]


async def begun(feed: Feed, log: Log) -> None:
    """The feed has declared itself and published its history."""
    await settled(lambda: len(log.history) >= len(INSTRUMENTS) * len(TIMEFRAMES), "history", feed)


READERS = pytest.mark.parametrize("reader", ["native", "ccxt"])


async def lock_step(
    folder: Path, minutes: int, chance: random.Random | None, reader: str
) -> tuple[Log, dict[str, int]]:
    """Step a market minute by minute; with `chance`, the feed is killed and its wires are cut between any two moments."""
    done = {"kills": 0, "cuts": 0}
    async with Venue(folder, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        feed = Feed(venue, log, feed_reader=reader)

        async def maybe_something_happens() -> None:
            nonlocal feed
            what = chance.random() if chance else 1.0
            if what < 0.25:
                await feed.kill()
                feed = Feed(venue, log, feed_reader=reader)
                done["kills"] += 1
            elif what < 0.5:
                done["cuts"] += venue.wire.cut(sockets_only=True, every=chance.choice((1, 2)) if chance else 1)

        for minute in range(1, minutes + 1):
            end = start + minute * MINUTE
            await maybe_something_happens()
            await venue.advance(end - MILLISECOND)
            await maybe_something_happens()
            await settled(lambda: log.marks() == venue.quotes(), f"marks before minute {minute}", feed)
            await maybe_something_happens()
            await venue.advance(end)
            await maybe_something_happens()
            await settled(lambda end=end: bool(log.bars) and log.bars[-1].end_ts == end, f"bars of {minute}", feed)  # type: ignore[misc]
        await feed.close()
    return log, done


@READERS
async def test_kills_and_cut_wires_change_no_bar(tmp_path: Path, reader: str) -> None:
    """A feed that is killed and cut off at random moments says the same history and the same bars as an undisturbed one."""
    minutes = 16
    undisturbed, _ = await lock_step(tmp_path / "a", minutes, None, reader)
    disturbed, done = await lock_step(tmp_path / "b", minutes, random.Random(11), reader)
    assert done["kills"] >= 5
    assert done["cuts"] >= 5
    assert disturbed.bars == undisturbed.bars
    assert disturbed.history == undisturbed.history
    assert [each.end_ts for each in disturbed.bars] == [
        undisturbed.machine.state.since + n * MINUTE for n in range(1, minutes + 1)
    ]
    assert set(undisturbed.statuses) | set(disturbed.statuses) == {"LIVE"}
    assert undisturbed.statuses == ["LIVE"]


async def test_an_undisturbed_hour_of_messages(tmp_path: Path) -> None:
    """Specs, prices, history, then bars that equal the venue's own, each after the marks of its instant."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        feed = Feed(venue, log)
        await begun(feed, log)
        await venue.advance(start + 61 * MINUTE)
        await settled(lambda: bool(log.bars) and log.bars[-1].end_ts == start + 61 * MINUTE, "an hour", feed)
        rest = feed.rest
        for instrument in INSTRUMENTS:
            for timeframe in ("1m", "15m", "1h"):
                said = [b for m in log.bars for b in m.bars if (b.instrument, b.timeframe) == (instrument, timeframe)]
                own = await rest.history(instrument, timeframe, start, bar_open(start + 61 * MINUTE, timeframe))
                assert said == own
        await feed.close()
    trust = log.of(PriceTrustChanged)
    assert [(each.before, each.trust, each.reason) for each in trust] == [("RESYNC", "TRUSTED", "CONSENSUS")] * 2
    kinds = [type(message) for message in log.messages if message not in trust]
    assert kinds[0] is FeedStatus
    assert kinds[1] is FeedMarks
    first = log.of(FeedStatus)[0]
    assert [spec.instrument for spec in first.specs] == list(INSTRUMENTS)
    assert all(spec.px_tick > 0 and spec.qty_step > 0 and spec.taker_fee >= 0 for spec in first.specs)
    assert {(each.instrument, each.timeframe): len(each.bars) for each in log.history} == {
        (instrument, timeframe): 5 if timeframe == "1w" else 40
        for instrument in INSTRUMENTS
        for timeframe in TIMEFRAMES
    }
    for each in log.history:
        assert all(older.ts_close == newer.ts_open for older, newer in pairwise(each.bars))
        assert each.bars[-1].ts_close == bar_open(start, each.timeframe)
    assert [b.timeframe for b in log.bars[59].bars][:4] == ["1h", "1h", "15m", "15m"]
    ids = [int(each.trade_id) for each in log.market if isinstance(each, TradePrinted) and each.instrument == BTC]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert any(isinstance(each, QuoteChanged) for each in log.market)


async def test_an_outage_of_the_feed_is_made_up_for(tmp_path: Path) -> None:
    """Twenty minutes without a feed: after its return the log has every instant once, in order."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        feed = Feed(venue, log)
        await begun(feed, log)
        await venue.advance(start + 2 * MINUTE)
        await settled(lambda: len(log.bars) == 2, "two minutes", feed)
        await feed.close()
        await venue.advance(start + 22 * MINUTE + 30 * SECOND)
        feed = Feed(venue, log)
        await settled(lambda: len(log.bars) == 22, "twenty more", feed)
        await venue.advance(start + 23 * MINUTE)
        await settled(lambda: len(log.bars) == 23, "and on", feed)
        await feed.close()
    assert [each.end_ts for each in log.bars] == [start + n * MINUTE for n in range(1, 24)]
    assert len(log.history) == len(INSTRUMENTS) * len(TIMEFRAMES)
    assert log.bars[14].bars[0].timeframe == "15m"


@READERS
async def test_a_stream_that_falls_silent_is_found_out(tmp_path: Path, reader: str) -> None:
    """The venue answers pings but sends no trades: the bars are right by REST, and the socket is renewed."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        feed = Feed(venue, log, feed_grace_ms=0, feed_reader=reader)
        await begun(feed, log)
        await venue.advance(start + MINUTE)
        await settled(lambda: len(log.bars) == 1, "a first minute", feed)
        (socket,) = venue.sockets_of("btcusdt@trade")
        venue.server.hub.unsubscribe(socket, "btcusdt@trade")
        await venue.advance(start + 3 * MINUTE)
        await settled(lambda: len(log.bars) == 3, "the silent minutes", feed)
        await settled(lambda: venue.sockets_of("btcusdt@trade") not in ([], [socket]), "a new socket", feed)
        own = await feed.rest.history(BTC, "1m", start, start + 3 * MINUTE)
        await feed.close()
    assert [each.bars[0] for each in log.bars] == own


async def test_a_bar_that_the_venue_tells_otherwise_later_is_an_event(tmp_path: Path) -> None:
    """One trade came with another quantity than REST knows: the bar that left stays, and the difference is told."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        feed = Feed(venue, log)
        await begun(feed, log)
        await venue.advance(start + MINUTE)
        await settled(lambda: len(log.bars) == 1, "a first minute", feed)
        venue.server.faults.add(SocketFault(kind="mangle", stream="btcusdt@trade", field="q", value="0.00001", times=1))
        await venue.advance(start + 16 * MINUTE)
        await settled(lambda: bool(log.of(BarRevised)), "a revision", feed)
        (revised,) = log.of(BarRevised)
        own = await feed.rest.history(BTC, "1m", revised.said.ts_open, revised.said.ts_close)
        await feed.close()
    assert [revised.now_said] == own
    assert revised.said.volume < revised.now_said.volume
    assert revised.said in [bar for each in log.bars for bar in each.bars]


async def test_silence_is_stale_and_reconnection_ends_it(tmp_path: Path) -> None:
    """No frame on any socket while time goes on: STALE, new connections, LIVE."""
    async with Venue(tmp_path, sim_mode="free", sim_speed=10) as venue:
        log = Log()
        feed = Feed(venue, log)
        await begun(feed, log)
        for stream in [f"{symbol}@{kind}" for symbol in ("btcusdt", "ethusdt") for kind in ("trade", "bookTicker")]:
            for socket in venue.sockets_of(stream):
                venue.server.hub.unsubscribe(socket, stream)
        await settled(lambda: log.statuses == ["LIVE", "STALE", "LIVE"], "STALE, then LIVE", feed)
        await feed.close()
    assert log.of(FeedStatus)[1].reason == "SILENT"


@READERS
async def test_a_frame_that_would_kill_ccxts_receive_loop_costs_nothing(tmp_path: Path, reader: str) -> None:
    """ccxt alone dies silently of a truncated frame: behind the guard it is one refused frame, the connection stays."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        feed = Feed(venue, log, feed_reader=reader)
        await begun(feed, log)
        (socket,) = venue.sockets_of("btcusdt@trade")
        socket.send('{"e":"trade","s":"BTCUS')
        await settled(lambda: feed.adapter.tally.counts["UNREADABLE"] == 1, "a refused frame", feed)
        assert venue.sockets_of("btcusdt@trade") == [socket]
        await venue.advance(start + 2 * MINUTE)
        await settled(lambda: len(log.bars) == 2, "two minutes", feed)
        await feed.close()


@READERS
async def test_frames_nobody_may_believe_are_told_and_counted(tmp_path: Path, reader: str) -> None:
    """A crossed book, a trade without price and a repeated trade are no prices; the refusals are events with their reason."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        feed = Feed(venue, log, feed_reader=reader)
        await begun(feed, log)
        await venue.advance(start + 30 * SECOND)
        await settled(lambda: log.marks() == venue.quotes(), "quotes", feed)
        last = venue.server.exchange.last_trades[BTC]
        (trades,), (quotes,) = venue.sockets_of("btcusdt@trade"), venue.sockets_of("btcusdt@bookTicker")
        ms = last.ts // MILLISECOND
        seen = [each for each in log.market if not isinstance(each, PrintRejected)]
        trades.send(f'{{"e":"trade","E":{ms},"s":"BTCUSDT","t":{last.trade_id + 1},"q":"1.0","T":{ms},"m":false}}')
        trades.send(
            f'{{"e":"trade","E":{ms},"s":"BTCUSDT","t":{last.trade_id},"p":"{last.px}","q":"1.0","T":{ms},"m":true}}'
        )
        u = 2**50
        quotes.send(f'{{"u":{u},"s":"BTCUSDT","b":"90000.0","B":"1.0","a":"10.0","A":"1.0"}}')
        counts = feed.adapter.tally.counts
        await settled(lambda: {"BAD_PRICE", "DUPLICATE", "CROSSED_BOOK"} <= set(counts), "counts", feed)
        crossed = {"venue": "binance", "reason": "CROSSED_BOOK", "instrument": BTC}
        assert feed.context.registry.get_sample_value("bulkhead_feed_odd_frames_total", crossed) == 1.0
        assert [each for each in log.market if not isinstance(each, PrintRejected)] == seen
        told = [each for each in log.market if isinstance(each, PrintRejected)]
        assert {(each.kind, each.reason, each.instrument) for each in told} == {
            ("FRAME", "BAD_PRICE", BTC),
            ("FRAME", "CROSSED_BOOK", BTC),
        }
        assert all('"s":"BTCUSDT"' in each.frame or "'s': 'BTCUSDT'" in each.frame for each in told)
        assert log.marks() == venue.quotes()
        await feed.close()


async def test_a_venue_that_is_away_is_down_until_it_returns(tmp_path: Path) -> None:
    """At the start and in the middle: DOWN, then LIVE, and the minutes in between are not lost."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        await venue.leave()
        feed = Feed(venue, log, feed_down_ms_max=200)
        await settled(lambda: log.statuses == ["DOWN"], "DOWN", feed)
        await venue.return_()
        await settled(lambda: log.statuses == ["DOWN", "LIVE"], "LIVE", feed)
        await begun(feed, log)
        await venue.advance(start + MINUTE)
        await settled(lambda: len(log.bars) == 1, "a first minute", feed)
        await venue.leave()
        await settled(lambda: log.statuses[-1] == "DOWN", "DOWN again", feed)
        await venue.return_()
        await venue.advance(start + 3 * MINUTE)
        await settled(lambda: log.statuses[-1] == "LIVE", "LIVE again", feed)
        await settled(lambda: len(log.bars) == 3, "the minutes in between", feed)
        await feed.close()
    assert log.of(FeedStatus)[0].specs == ()
    assert log.of(FeedStatus)[0].reason == "UNREACHABLE"
    assert log.of(FeedStatus)[2].reason == "DISCONNECTED"


async def test_an_instrument_that_is_delisted_holds_up_no_other(tmp_path: Path) -> None:
    """The venue serves no bars of it any more: its minutes leave as marked gaps, the others' as they were."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log, start = Log(), venue.clock.now()
        feed = Feed(venue, log, feed_left_behind_ms=300)
        await begun(feed, log)
        await venue.advance(start + MINUTE)
        await settled(lambda: len(log.bars) == 1, "a first minute", feed)
        venue.server.faults.add(SocketFault(kind="freeze", stream="ethusdt@trade", sticky=True))
        del venue.server.exchange.market.histories[INSTRUMENTS[1]]
        await venue.advance(start + 3 * MINUTE)
        await settled(lambda: len(log.bars) == 3, "two more", feed)
        own = await feed.rest.history(BTC, "1m", start, start + 3 * MINUTE)
        assert feed.adapter.tally.counts["LEFT_BEHIND"] >= 1
        await feed.close()
    assert [each.bars[0] for each in log.bars] == own
    assert [each.bars[1].synthetic for each in log.bars] == [False, True, True]


async def test_an_instrument_the_venue_does_not_list_ends_the_feed(tmp_path: Path) -> None:
    """The error names it and the variable to correct."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        feed = Feed(venue, Log(), instruments=(BTC, "DOGE-USDT"))
        with pytest.raises(ExceptionGroup) as caught:
            await feed.task
        (error,) = caught.value.exceptions
        assert isinstance(error, UnknownInstrument)
        assert "DOGE-USDT" in str(error)
        assert "BULKHEAD_INSTRUMENTS" in str(error)


async def test_a_feed_closed_before_it_began_never_begins(tmp_path: Path) -> None:
    """A stop that comes between creation and start is a stop."""
    async with Venue(tmp_path, sim_mode="step") as venue:
        log = Log()
        feed = Feed(venue, log)
        await feed.close()
    assert log.messages == []


@READERS
async def test_time_that_runs(tmp_path: Path, reader: str) -> None:
    """At sixty times wall time, with a kill and a cut: every minute once, marks never closer than their gap."""
    async with Venue(tmp_path, sim_mode="free", sim_speed=60) as venue:
        log = Log()
        feed = Feed(venue, log, feed_reader=reader)
        await settled(lambda: len(log.bars) >= 2, "two minutes", feed)
        venue.wire.cut(sockets_only=True)
        await settled(lambda: len(log.bars) >= 3, "a third", feed)
        await feed.kill()
        feed = Feed(venue, log, feed_reader=reader)
        await settled(lambda: len(log.bars) >= 5, "two more", feed)
        ends = [each.end_ts for each in log.bars]
        own = await feed.rest.history(BTC, "1m", ends[0] - MINUTE, ends[-1])
        await feed.close()
    assert all(later - earlier == MINUTE for earlier, later in pairwise(ends))
    assert log.minutes_of(BTC) == own
    assert all(set(each.alive) <= set(INSTRUMENTS) for each in log.of(FeedMarks))


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded frames in {DATA} (BULKHEAD_DATA_DIR)")
async def test_recorded_frames_give_the_venues_bars(tmp_path: Path) -> None:
    """Two minutes of August 2024, BTC and ETH, as they were sent; the venue stands still while a slow machine reads."""
    async with Venue(tmp_path, sim_mode="step", sim_data=DATA) as venue:
        log = Log()
        feed = Feed(venue, log)
        await begun(feed, log)
        first = bar_open(venue.clock.now(), "1m") + MINUTE
        for minute in range(3):
            await venue.advance(first + minute * MINUTE)
        await settled(lambda: len(log.bars) >= 2, "two recorded minutes", feed)
        for instrument in INSTRUMENTS:
            said = log.minutes_of(instrument)
            own = await feed.rest.history(instrument, "1m", said[0].ts_open, said[-1].ts_close)
            assert len(said) >= 2
            assert said == own
        await feed.close()
