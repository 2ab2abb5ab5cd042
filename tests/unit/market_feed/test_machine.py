"""The feed remembers what it said, and tells people when there is nothing good to say."""

from __future__ import annotations

import pytest

from libs.common.messages import AlertRaised, BarRevised, FeedBars, FeedStatus, PriceTrustChanged, Trust
from libs.common.timeframe import DAY, HOUR, MINUTE, bar_open
from services.market_feed.contract import CONTRACT
from services.market_feed.machine import MarketFeedMachine
from services.market_feed.record import FeedRecord
from tests.playbook import Playbook, like
from tests.unit.market_feed.tape import BTC, ETH, T0, bar, history, live, mark, marks, status

TEN = T0 + 10 * HOUR


def book() -> Playbook:
    return Playbook(MarketFeedMachine(MarketFeedMachine.Settings(venue="binance", instruments=(BTC, ETH))))


def record(playbook: Playbook) -> FeedRecord:
    return playbook.machine.state


def bars_until(end_ts: int, *instruments: str) -> FeedBars:
    return FeedBars(end_ts=end_ts, bars=tuple(bar(end_ts - MINUTE, instrument=each) for each in instruments))


def test_it_hears_what_it_must_remember() -> None:
    """The contract brings back the kinds the record is made of."""
    assert {"feed.bars", "feed.history.*.*", "feed.marks", "feed.status", "feed.trust.*"} <= set(CONTRACT.filters)


def test_bars_begin_at_the_minute_of_the_first_live() -> None:
    """A second start, or a DOWN before it, does not move the beginning."""
    playbook = book()
    playbook.tell(status("DOWN", T0, "UNREACHABLE")).expect(like(AlertRaised, code="FEED_DOWN"))
    assert record(playbook).boundary == 0
    playbook.tell(live(TEN + 7)).expect(like(AlertRaised, code="FEED_RECOVERED"))
    playbook.tell(live(TEN + 5 * MINUTE)).expect()
    assert record(playbook).boundary == TEN


def test_the_last_bars_said_move_the_boundary() -> None:
    """After a crash the feed goes on from the last instant it has said."""
    playbook = book()
    playbook.tell(live(TEN)).expect()
    playbook.tell(bars_until(TEN + MINUTE, BTC, ETH)).expect()
    assert (record(playbook).boundary, record(playbook).told) == (TEN + MINUTE, {BTC: TEN + MINUTE, ETH: TEN + MINUTE})


def test_history_is_asked_for_once() -> None:
    """What a series still lacks shrinks to nothing as its chunks are said."""
    playbook = book()
    playbook.tell(live(TEN + 1)).expect()
    assert record(playbook).history_begins(BTC, "1m", 500) == TEN - 500 * MINUTE
    playbook.tell(history(bar(TEN - 3 * MINUTE), bar(TEN - 2 * MINUTE))).expect()
    assert record(playbook).history_begins(BTC, "1m", 500) == TEN - MINUTE
    playbook.tell(history(bar(TEN - MINUTE))).expect()
    assert record(playbook).history_begins(BTC, "1m", 500) == TEN
    assert record(playbook).history_begins(ETH, "1m", 2) == TEN - 2 * MINUTE


def test_a_venue_without_history_is_not_asked_again() -> None:
    """An empty chunk says: there is none before the boundary."""
    playbook = book()
    playbook.tell(live(TEN)).expect()
    playbook.tell(history(timeframe="1d")).expect()
    assert record(playbook).history_begins(BTC, "1d", 500) == bar_open(TEN, "1d")


def test_an_instrument_that_was_away_gets_what_it_missed() -> None:
    """Bars went on without ETH for two minutes: these are its history when it returns."""
    playbook = book()
    playbook.tell(live(TEN)).expect()
    playbook.tell(bars_until(TEN + MINUTE, BTC, ETH)).expect()
    playbook.tell(bars_until(TEN + 2 * MINUTE, BTC)).expect()
    playbook.tell(bars_until(TEN + 3 * MINUTE, BTC)).expect()
    assert record(playbook).history_begins(ETH, "1m", 500) == TEN + MINUTE
    assert record(playbook).history_begins(BTC, "1m", 500) == TEN + 3 * MINUTE


def test_the_children_of_running_bars_are_kept_and_no_others() -> None:
    """At 10:20 the running quarter needs five minutes, the hour one quarter, the four hours two hours, and so on up."""
    playbook = book()
    ends = TEN + 20 * MINUTE
    playbook.tell(live(ends)).expect()
    playbook.tell(history(*(bar(ends - n * MINUTE) for n in range(40, 0, -1)))).expect()
    for timeframe, step, count in (("15m", 15 * MINUTE, 8), ("1h", HOUR, 8), ("4h", 4 * HOUR, 9), ("1d", DAY, 9)):
        last = bar_open(ends, timeframe)
        told = [bar(last - n * step, timeframe=timeframe) for n in range(count, 0, -1)]
        playbook.tell(history(*told, timeframe=timeframe)).expect()
    kept = {tf: [b.ts_open for b in record(playbook).bars[BTC] if b.timeframe == tf] for tf in ("1m", "15m", "1h")}
    assert kept == {
        "1m": [ends - n * MINUTE for n in range(5, 0, -1)],
        "15m": [TEN],
        "1h": [TEN - 2 * HOUR, TEN - HOUR],
    }
    assert sum(b.timeframe == "4h" for b in record(playbook).bars[BTC]) == 2
    assert [b.ts_open for b in record(playbook).bars[BTC] if b.timeframe == "1d"] == [
        T0 - n * DAY for n in (4, 3, 2, 1)
    ]


def test_the_last_minute_is_kept_for_its_price() -> None:
    """On a quarter's boundary no minute is running, but a gap would still be filled at the last price."""
    playbook = book()
    playbook.tell(live(TEN)).expect()
    playbook.tell(history(bar(TEN - 2 * MINUTE), bar(TEN - MINUTE))).expect()
    assert [b.ts_open for b in record(playbook).bars[BTC]] == [TEN - MINUTE]


# --- people -------------------------------------------------------------------------------------------------------


def spoke(venue: str = "binance", state: str = "LIVE", via: str = "SOCKETS") -> FeedStatus:
    return FeedStatus(venue=venue, state=state, via=via, reason="TEST", health={}, specs=(), ts_event=T0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "code", "severity"),
    [
        (spoke(state="DOWN"), "FEED_DOWN", "page"),
        (spoke(state="STALE"), "FEED_STALE", "ticket"),
        (spoke("kraken"), "FEED_FAILOVER", "ticket"),
        (spoke(via="POLLING"), "FEED_POLLING", "ticket"),
    ],
)
def test_trouble_is_told_and_so_is_its_end(said: FeedStatus, code: str, severity: str) -> None:
    """Nobody finds out from a quiet market that there are no prices; and an alert that never ends is soon ignored."""
    playbook = book()
    playbook.tell(spoke()).expect()
    playbook.tell(said).expect(like(AlertRaised, code=code, severity=severity))
    playbook.tell(spoke()).expect(like(AlertRaised, code="FEED_RECOVERED", severity="note"))
    playbook.tell(spoke()).expect()


@pytest.mark.parametrize(
    ("trust", "codes"),
    [
        ("UNIT", ["PRICE_UNIT"]),
        ("DISLOCATED", ["PRICE_DISLOCATED"]),
        ("QUARANTINED", []),
        ("RESYNC", []),
        ("TRUSTED", []),
    ],
)
def test_a_doubt_that_does_not_settle_by_itself_is_told(trust: Trust, codes: list[str]) -> None:
    """Seconds of quarantine are the filter's daily work; a changed unit needs a person."""
    change = PriceTrustChanged(
        venue="binance",
        instrument=BTC,
        before="TRUSTED" if trust != "TRUSTED" else "QUARANTINED",
        trust=trust,
        reason="TEST",
        trusted_px=100.0,
        protective_px=100.0,
        suspect_px=1000.0,
        band=0.005,
    )
    book().tell(change).expect(*(like(AlertRaised, code=code, instrument=BTC) for code in codes))


def test_a_doubt_and_its_protective_price_outlive_the_process() -> None:
    """What the next life of the feed judges by is what the log says last."""
    playbook = book()
    playbook.tell(marks(mark(BTC, T0))).expect()
    playbook.tell(
        PriceTrustChanged(
            venue="binance",
            instrument=BTC,
            before="TRUSTED",
            trust="QUARANTINED",
            reason="OUTSIDE_BAND",
            trusted_px=100.0,
            protective_px=88.0,
            suspect_px=88.0,
            band=0.005,
        )
    ).expect()
    known = record(playbook).marks[BTC]
    assert (known.last_px, known.trust, known.protective_px) == (100.0, "QUARANTINED", 88.0)


def test_a_revised_bar_is_noted() -> None:
    """The bar that left stays; that the venue has changed its mind is worth knowing."""
    revised = BarRevised(instrument=BTC, said=bar(T0), now_said=bar(T0, px=101.0))
    book().tell(revised).expect(like(AlertRaised, code="BAR_REVISED", severity="note"))
