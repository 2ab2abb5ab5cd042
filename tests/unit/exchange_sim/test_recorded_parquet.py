"""A Parquet recording as a market: what the feed had heard is heard again, once, from one venue, between two generated markets."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from libs.common.messages import Message
from libs.common.timeframe import MILLISECOND, MINUTE, SECOND
from libs.runtime.adapter import LogEntry
from libs.runtime.recording_writer import RecordingWriter
from services.exchange_sim.market import Event, Quote, Trade, klines
from services.exchange_sim.recorded import RecordedMarket, RecordingError
from services.exchange_sim.server import ExchangeServer
from services.exchange_sim.settings import Settings
from tests.market_tape import NOON, published, quote, tape, trade
from tests.unit.cli.test_importing import agg_trade, imported, write


def record(folder: Path, messages: list[Message]) -> Path:
    writer = RecordingWriter(folder, "MARKET", "2026-01-05T00:00:00Z", 1)
    for seq, (subject, payload) in enumerate(published(messages), start=writer.last_seq + 1):
        writer.add(LogEntry(seq, subject, payload))
    writer.commit()
    return folder


def events(folder: Path, count: int) -> list[Event]:
    market = RecordedMarket(folder, 7)
    return list(islice(market.events((market.starts_at, 0)), count))


def prints(folder: Path, count: int) -> list[tuple[int, float]]:
    """The trades among the first events."""
    return [(each.trade_id, each.px) for each in events(folder, count) if isinstance(each, Trade)]


def test_quotes_are_timed_by_the_trades_around_them(tmp_path: Path) -> None:
    """A quote knows only when it was received; the trade before it says how late that is. A venue's own time is taken as it is."""
    late = 3 * MILLISECOND
    told = [
        quote(NOON + late),
        trade(1, NOON + SECOND),
        quote(NOON + 2 * SECOND + late),
        quote(NOON + 3 * SECOND, ts_init=NOON + 3 * SECOND + 40 * MILLISECOND),
        trade(2, NOON + SECOND // 2),
    ]
    found = events(record(tmp_path / "rec", told), len(told))
    assert [each.ts - NOON for each in found] == [0, SECOND, 2 * SECOND, 3 * SECOND, 3 * SECOND]
    assert [type(each).__name__ for each in found] == ["Quote", "Trade", "Quote", "Quote", "Trade"]
    assert found[4].ts_trade == NOON + SECOND // 2, "it stands in the bar it belongs to"


def test_what_the_feed_said_twice_is_played_once(tmp_path: Path) -> None:
    """A feed that was killed publishes some trades again; bars would count them twice."""
    first = [trade(number, NOON + number * SECOND) for number in range(1, 6)]
    folder = record(tmp_path / "rec", [*first, *first[2:], trade(6, NOON + 6 * SECOND)])
    market = RecordedMarket(folder, 7)
    stream = market.events((market.starts_at, 0))
    assert [each.trade_id for each in islice(stream, 12) if isinstance(each, Trade)] == [1, 2, 3, 4, 5, 6]
    ((_, bar),) = klines(market.histories["BTC-USDT"], "1m", NOON, None, 1, NOON + 7 * SECOND)
    assert (bar.trade_count, bar.lots) == (6, 300_000)


def test_one_venue_of_several_is_played(tmp_path: Path) -> None:
    """Two venues of one instrument are two markets: binance is played, or else the first by name; ids that do not count are places."""
    elsewhere = [trade(n, NOON + n * SECOND, venue="kucoin", trade_id=f"6f{n}ab", px=61_000.0) for n in range(3)]
    mine = [trade(n, NOON + n * SECOND) for n in range(3)]
    both = record(tmp_path / "both", [each for pair in zip(elsewhere, mine, strict=True) for each in pair])
    assert prints(both, 6) == [(0, 60_000.01), (1, 60_000.01), (2, 60_000.01)]
    assert prints(record(tmp_path / "other", elsewhere), 6) == [(1, 61_000.0), (2, 61_000.0), (3, 61_000.0)]


def test_history_joins_on_both_ends(tmp_path: Path) -> None:
    """Before the first trade and behind the last event a generated market goes on from the recorded prices and numbers."""
    told = tape(300)
    market = RecordedMarket(record(tmp_path / "rec", told), 7)
    found = list(islice(market.events((market.starts_at, 0)), 900))
    last = [each for each in found[:300] if isinstance(each, Trade) and each.instrument == "BTC-USDT"][-1]
    after = next(each for each in found[300:] if isinstance(each, Trade) and each.instrument == "BTC-USDT")
    assert after.trade_id == last.trade_id + 1
    assert after.px == pytest.approx(last.px, rel=0.002)
    updates = [each.update_id for each in found if isinstance(each, Quote) and each.instrument == "BTC-USDT"]
    assert updates == sorted(updates)
    fresh = RecordedMarket(tmp_path / "rec", 7)
    rows = klines(fresh.histories["BTC-USDT"], "1m", None, None, 50, fresh.starts_at)
    assert len(rows) == 49, "and the minute in progress, in which nothing has been played"
    assert rows[-1][1].close == pytest.approx(60_000, rel=0.001)


def test_a_restart_inside_the_recording_goes_on_behind_the_position(tmp_path: Path) -> None:
    """The same keys every time, so nothing is played twice; a recording that has grown is another market."""
    folder = record(tmp_path / "rec", tape(100))
    whole = events(folder, 100)
    again = list(islice(RecordedMarket(folder, 7).events((whole[39].ts, whole[39].rank)), 60))
    assert again == whole[40:]
    identity = RecordedMarket(folder, 7).identity
    assert RecordedMarket(folder, 7).identity == identity
    record(folder, tape(10))
    assert RecordedMarket(folder, 7).identity != identity


def test_imported_trades_bring_quotes_of_their_own(tmp_path: Path) -> None:
    """Binance publishes no quotes: each trade is met by one tick of a book, so that services have a bid and an offer to work with."""
    rows = [agg_trade(n, NOON + n * SECOND, px=f"9400{n}.50", maker=str(n % 2 == 0)) for n in range(4)]
    imported(tmp_path / "data", write(tmp_path / "BTCUSDT-aggTrades-2026-01-05.csv", rows))
    found = events(tmp_path / "data", 8)
    assert [type(each).__name__ for each in found] == ["Quote", "Trade"] * 4
    for book, printed in zip(found[::2], found[1::2], strict=True):
        assert (book.bid_px if printed.is_sell else book.ask_px) == printed.px
        assert book.ask_px - book.bid_px == pytest.approx(0.01)
    assert [each.update_id for each in found[::2]] == [1, 2, 3, 4]


@pytest.mark.parametrize("messages", [[quote(NOON)], []], ids=["quotes", "nothing"])
def test_a_recording_without_trades_is_refused(tmp_path: Path, messages: list[Message]) -> None:
    """A venue that never traded has no prices to begin with."""
    with pytest.raises(RecordingError, match="no trades in this dataset"):
        RecordedMarket(record(tmp_path / "rec", messages), 7)


async def test_the_venue_shows_a_book_around_recorded_quotes(tmp_path: Path) -> None:
    """No depth was recorded, so the book is drawn around the best prices, which are those of the recording."""
    record(tmp_path / "rec", tape(300, begins=NOON))
    server = ExchangeServer(Settings(home=tmp_path / "home", sim_mode="step", sim_data=tmp_path / "rec"))
    await server.start()
    try:
        server.exchange.clock.step_to(NOON + 10 * SECOND)
        server.exchange.catch_up()
        book = server.hub.current_book("BTC-USDT").shown(5)
        best = server.exchange.quotes["BTC-USDT"]
        assert (float(book["bids"][0][0]), float(book["asks"][0][0])) == (best.bid_px, best.ask_px)
        assert len(book["bids"]) == 5
        assert server.exchange.clock.now_ns() < NOON + MINUTE
    finally:
        await server.stop()
