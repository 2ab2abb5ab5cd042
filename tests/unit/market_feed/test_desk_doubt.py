"""A doubt about one price stays a doubt about one price: bars, other instruments and other venues go on."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import FeedBars, FeedMarks, Message, PriceTrustChanged, TradePrinted
from libs.common.timeframe import MILLISECOND, MINUTE, SECOND
from services.market_feed.desk import DOUBT_WAIT, Desk, Want
from services.market_feed.record import FeedRecord
from tests.unit.market_feed.tape import BTC, CADENCE, ETH, bar, quote, trade
from tests.unit.market_feed.test_desk import GRACE, TEN, bars_in, desk_at, record_at, whole

ENDS = TEN + 2 * MINUTE


class Room:
    """A desk in its second minute, whose trades are told with their ids, and whatever it says."""

    def __init__(self, *instruments: str, desk: Desk | None = None, record: FeedRecord | None = None):
        self.record = record or record_at(TEN, *instruments)
        self.desk = desk or desk_at(TEN, *instruments, record=self.record)
        self.ids = dict.fromkeys(instruments, 1)
        self.said: list[Message] = []
        if desk is None and record is None:
            for instrument in instruments:
                whole(self.desk, instrument)
            self.hear(TEN + MINUTE)

    def trade(self, px: float, ts: int, instrument: str = BTC, qty: float = 1.0) -> None:
        """The next trade of an instrument."""
        self.ids[instrument] += 1
        self.desk.trade(trade(self.ids[instrument], ts, px, qty, instrument), ts)

    def hear(self, now: int) -> list[Message]:
        """Time passes, and the desk says what it has to say."""
        self.desk.look(now)
        told = self.desk.say(now)
        for message in told:
            self.record.hear(message)
        self.said += told
        return told

    def bars(self) -> list[FeedBars]:
        """All bars said so far."""
        return bars_in(self.said)


def test_a_spike_is_in_no_bar_and_its_minute_still_closes() -> None:
    """The venue's own bar has it as its low; ours has not, and asks nobody."""
    room = Room(BTC)
    room.trade(100.1, TEN + MINUTE)
    room.trade(80.0, TEN + MINUTE + SECOND, qty=5.0)
    room.trade(100.2, TEN + MINUTE + 2 * SECOND)
    room.trade(100.3, ENDS)
    assert room.desk.wants(ENDS) == []
    (said,) = bars_in(room.hear(ENDS))
    (one,) = said.bars
    assert (one.low, one.high, one.close, one.volume) == (100.1, 100.2, 100.2, 2.0)


def test_a_held_print_that_is_believed_later_is_in_its_minutes_bar() -> None:
    """A step in the last second of a minute is believed in the first of the next: its prints are in the minute they were made in."""
    room = Room(BTC)
    room.trade(100.1, TEN + MINUTE)
    room.trade(88.0, ENDS - 200 * MILLISECOND)
    room.trade(88.1, ENDS - 100 * MILLISECOND)
    room.hear(ENDS)
    assert len(room.bars()) == 1
    room.trade(88.2, ENDS + 100 * MILLISECOND)
    room.hear(ENDS + 200 * MILLISECOND)
    last = room.bars()[-1].bars[0]
    assert (last.ts_close, last.low, last.close, last.volume) == (ENDS, 88.0, 88.1, 3.0)


def test_a_minute_in_doubt_at_its_end_leaves_within_the_wait() -> None:
    """One misprint and silence: the minute is asked for five seconds later, leaves without the misprint, and the socket is believed."""
    room = Room(BTC)
    room.trade(100.1, TEN + MINUTE)
    room.trade(80.0, ENDS - SECOND, qty=2.0)
    late = ENDS + GRACE + DOUBT_WAIT
    assert room.desk.wants(late - 1) == []
    assert room.desk.wants(late) == [Want(BTC, TEN + MINUTE, ENDS)]
    said = msgspec.structs.replace(bar(TEN + MINUTE, px=100.1, volume=3.0), low=80.0, close=80.0)
    assert room.desk.repair(BTC, [said], ENDS).agrees
    last = bars_in(room.hear(late))[-1].bars[0]
    assert (last.low, last.close, last.volume) == (100.1, 100.1, 1.0)


def test_a_crash_in_a_minute_that_comes_from_the_venue_is_no_flat_bar() -> None:
    """A hole in the ids and forty percent down: the venue's bar is confirmed by what is trusted now, not replaced by none."""
    room = Room(BTC)
    room.trade(100.1, TEN + MINUTE)
    room.ids[BTC] += 10
    for n in range(4):
        room.trade(60.0, TEN + MINUTE + (10 + n) * SECOND)
    said = msgspec.structs.replace(bar(TEN + MINUTE, px=100.1, volume=30.0), low=60.0, close=60.0)
    assert room.desk.repair(BTC, [said], ENDS).refused == ()
    assert bars_in(room.hear(ENDS))[-1].bars[0].close == 60.0


# --- compartments -------------------------------------------------------------------------------------------------


def test_one_instruments_unit_stalls_no_others_bars() -> None:
    """BTC is printed in another unit for minutes: its own minutes are flat, ETH's are what was traded, all leave on time."""
    room = Room(BTC, ETH)
    for n in range(1, 4):
        for second in range(0, 60, 5):
            ts = TEN + n * MINUTE + second * SECOND
            room.trade(10.0, ts, BTC)
            room.trade(100.0 + n / 10, ts, ETH)
        ends = TEN + (n + 1) * MINUTE
        for want in room.desk.wants(ends + GRACE):
            room.desk.repair(want.instrument, [bar(want.since, px=10.0, volume=12.0)], ends)
        room.hear(ends + GRACE)
    told = {(each.instrument, each.ts_open): each for message in room.bars() for each in message.bars}
    assert [told[ETH, TEN + n * MINUTE].close for n in range(1, 4)] == [100.1, 100.2, 100.3]
    assert [told[BTC, TEN + n * MINUTE].close for n in range(1, 4)] == [100.0, 100.0, 100.0]
    trusts = [(each.instrument, each.trust) for each in room.said if isinstance(each, PriceTrustChanged)]
    assert trusts == [(BTC, "UNIT")]


def test_one_instruments_quarantine_does_not_touch_the_others_price() -> None:
    """Marks tell BTC's doubt at once, and ETH as trusted as before."""
    room = Room(BTC, ETH)
    for instrument in (BTC, ETH):
        room.desk.quote(quote(99.99, 100.01, instrument), TEN + MINUTE)
    room.hear(TEN + MINUTE + SECOND)
    room.trade(80.0, TEN + MINUTE + 2 * SECOND, BTC)
    room.trade(100.1, TEN + MINUTE + 2 * SECOND, ETH)
    told = {
        each.instrument: each.trust
        for message in room.hear(TEN + MINUTE + 2 * SECOND)
        if isinstance(message, FeedMarks)
        for each in message.marks
    }
    assert told == {BTC: "QUARANTINED", ETH: "TRUSTED"}


def test_a_venue_that_flickers_between_units_floods_no_log() -> None:
    """A thousand turns between two looks are two changes in the log: what began them, and what they came to."""
    room = Room(BTC)
    for n in range(500):
        room.trade(1_000.0, TEN + MINUTE + 2 * n)
        room.trade(100.0, TEN + MINUTE + 2 * n + 1)
    room.trade(80.0, TEN + MINUTE + 1_000)
    told = [each for each in room.hear(TEN + MINUTE + SECOND) if isinstance(each, PriceTrustChanged)]
    assert [(each.before, each.trust) for each in told] == [("TRUSTED", "UNIT"), ("UNIT", "QUARANTINED")]


# --- another venue ------------------------------------------------------------------------------------------------


def mended(room: Room, now: int, px: float) -> None:
    """The venue that speaks is asked for what is wanted, and the desk says what it can."""
    for want in room.desk.wants(now):
        minutes = [
            bar(opens, px=px, volume=2.0, instrument=want.instrument) for opens in range(want.since, want.until, MINUTE)
        ]
        said = [msgspec.structs.replace(each, venue=room.desk.venue) for each in minutes]
        room.desk.repair(want.instrument, said, want.until)
    room.hear(now)


def test_another_venue_goes_on_without_hole_or_repeat() -> None:
    """Kraken speaks for minutes 3 to 7, KuCoin, which does not count its trades, to 11: every minute once, the quarter names all."""
    room = Room(BTC)
    for n in range(1, 16):
        opens = TEN + n * MINUTE
        if n == 3:
            room.desk.switch("kraken", room.record, counts_trades=True)
        if n == 8:
            room.desk.switch("kucoin", room.record, counts_trades=False)
        if n == 12:
            room.desk.switch("binance", room.record, counts_trades=True)
        room.trade(100.0 + n / 100, opens + SECOND)
        room.trade(100.0 + n / 100, opens + 59 * SECOND)
        mended(room, opens + MINUTE + GRACE, 100.0)
    minutes = [each for message in room.bars() for each in message.bars if each.timeframe == "1m"]
    assert [each.ts_open for each in minutes] == [TEN + n * MINUTE for n in range(16)]
    assert [each.venue for each in minutes] == ["binance"] * 3 + ["kraken"] * 5 + ["kucoin"] * 4 + ["binance"] * 4
    (quarter,) = [each for message in room.bars() for each in message.bars if each.timeframe == "15m"]
    assert (quarter.venue, quarter.ts_open) == ("binance+kraken+kucoin", TEN)


def test_a_venue_that_does_not_list_one_stalls_no_others_bars() -> None:
    """Kraken has no ETH: BTC's bars go on, and ETH's begin again when somebody who has it speaks."""
    room = Room(BTC, ETH)
    room.desk.switch("kraken", room.record, counts_trades=True, instruments=(BTC,))
    room.trade(100.0, TEN + MINUTE + SECOND)
    mended(room, TEN + 2 * MINUTE + GRACE, 100.0)
    assert [each.instrument for each in room.bars()[-1].bars] == [BTC]
    room.desk.switch("binance", room.record, counts_trades=True, instruments=(BTC, ETH))
    for instrument in (BTC, ETH):
        room.trade(100.0, TEN + 2 * MINUTE + SECOND, instrument)
    mended(room, TEN + 3 * MINUTE + GRACE, 100.0)
    assert [(each.instrument, each.ts_open) for each in room.bars()[-1].bars] == [
        (BTC, TEN + 2 * MINUTE),
        (ETH, TEN + 2 * MINUTE),
    ]


def test_what_was_held_of_the_venue_before_is_told_as_rejected() -> None:
    """Nothing disappears: nobody will ever know whether it was true."""
    room = Room(BTC)
    room.trade(80.0, TEN + MINUTE + SECOND)
    (rejection,) = room.desk.switch("kraken", room.record, counts_trades=True)
    assert isinstance(rejection.print, TradePrinted)
    assert (rejection.print.px, rejection.reason) == (80.0, "ANOTHER_VENUE")


def test_a_dislocated_venue_that_is_left_leaves_no_poison() -> None:
    """The next one's prints are judged by the middle of all, and the log says that the price is to be found again."""
    room = Room(BTC)
    px, now = 100.0, TEN + MINUTE
    for _ in range(40):
        px, now = px * 0.998, now + 250 * MILLISECOND
        for venue in ("kraken", "kucoin"):
            room.desk.opinion(venue, BTC, 100.0, now)
        room.trade(px, now)
        room.hear(now)
    room.desk.switch("kraken", room.record, counts_trades=True)
    told = [each for each in room.hear(now + SECOND) if isinstance(each, PriceTrustChanged)]
    assert [(each.before, each.trust, each.reason, each.protective_px) for each in told] == [
        ("DISLOCATED", "RESYNC", "ANOTHER_VENUE", 100.0)
    ]
    room.trade(100.1, now + SECOND)
    room.hear(now + 2 * SECOND)
    assert room.record.marks[BTC].protective_px == 100.1


# --- killed -------------------------------------------------------------------------------------------------------


def reborn(record: FeedRecord, *instruments: str) -> Room:
    """The feed was killed; what it said is all that is known."""
    again = msgspec.json.decode(msgspec.json.encode(record), type=FeedRecord)
    desk = Desk("binance", instruments, CADENCE, GRACE, record=again)
    desk.begin(again)
    return Room(*instruments, desk=desk, record=again)


def test_killed_in_quarantine_it_goes_on_in_quarantine() -> None:
    """The misprint before the kill does not become the price after it, and a print at the old price ends the doubt."""
    room = Room(BTC)
    room.desk.quote(quote(99.99, 100.01), TEN + MINUTE)
    room.trade(80.0, TEN + MINUTE + SECOND)
    room.hear(TEN + MINUTE + SECOND)
    again = reborn(room.record, BTC)
    again.ids[BTC] = room.ids[BTC]
    now = TEN + MINUTE + 3 * SECOND
    again.trade(80.0, now)
    again.hear(now)
    assert again.record.marks[BTC].trust == "QUARANTINED"
    assert again.record.marks[BTC].protective_px == 100.0
    again.trade(100.1, now + SECOND)
    (told,) = [each for each in again.hear(now + SECOND) if isinstance(each, PriceTrustChanged)]
    assert (told.before, told.trust, told.reason) == ("QUARANTINED", "TRUSTED", "SPIKE")


def test_a_crash_while_it_was_dead_reaches_the_stops() -> None:
    """Killed in quarantine by the first print of a crash: three prints of the next life are enough."""
    room = Room(BTC)
    room.desk.quote(quote(99.99, 100.01), TEN + MINUTE)
    room.trade(88.0, TEN + MINUTE + SECOND)
    room.hear(TEN + MINUTE + SECOND)
    again = reborn(room.record, BTC)
    again.ids[BTC] = room.ids[BTC]
    for n in range(3):
        again.trade(80.0, TEN + MINUTE + 3 * SECOND + n * 150 * MILLISECOND)
    again.hear(TEN + MINUTE + 4 * SECOND)
    assert (again.record.marks[BTC].trust, again.record.marks[BTC].protective_px) == ("TRUSTED", 80.0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_misprints_kills_and_switches_change_no_bar(seed: int) -> None:
    """The same honest trades with misprints among them, kills and changes of venue: every minute once, its prices those of honest trades."""
    chance = random.Random(seed)
    room = Room(BTC)
    honest: dict[int, list[float]] = {}
    for second in range(60, 16 * 60):
        ts = TEN + second * SECOND
        px = 100.0 + chance.uniform(-0.1, 0.1)
        honest.setdefault(ts - ts % MINUTE, []).append(px)
        if chance.random() < 0.05:
            room.trade(px * chance.choice((0.6, 0.9, 1.2, 10.0)), ts - SECOND // 2)
        room.trade(px, ts)
        if chance.random() < 0.004:
            ids = room.ids
            room = reborn(room.record, BTC)
            room.ids = ids
        if chance.random() < 0.004:
            room.desk.switch(chance.choice(("binance", "kraken")), room.record, counts_trades=True)
        opens = ts - ts % MINUTE - MINUTE
        for want in room.desk.wants(ts):
            prices = honest.get(opens, [100.0])
            edges = {"open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1]}
            said = msgspec.structs.replace(bar(opens), **edges)
            room.desk.repair(want.instrument, [said], opens + MINUTE)
        for message in bars_in(room.hear(ts)):
            for each in message.bars:
                if each.timeframe == "1m" and each.ts_open >= TEN + MINUTE:
                    prices = honest.pop(each.ts_open)
                    assert (each.open, each.high, each.low, each.close) == (
                        prices[0],
                        max(prices),
                        min(prices),
                        prices[-1],
                    )
    assert list(honest) == [TEN + 15 * MINUTE]
