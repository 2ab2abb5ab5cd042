"""What leaves the feed is what the venue printed, whatever was lost on the way."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import Bar, FeedBars, FeedMarks, Message, TradePrinted
from libs.common.timeframe import HOUR, MILLISECOND, MINUTE, SECOND, bar_open
from libs.trading.bars import BarBuilder
from services.market_feed.desk import Desk, Heard, Want
from services.market_feed.record import FeedRecord
from services.market_feed.tape import Verdict
from tests.unit.market_feed.tape import BTC, CADENCE, ETH, T0, bar, history, live, mark, marks, quote, trade

GRACE = 500 * MILLISECOND
TEN = T0 + 10 * HOUR


def record_at(boundary: int, *instruments: str) -> FeedRecord:
    """A feed that went LIVE at `boundary`, with a minute of history of each instrument."""
    record = FeedRecord()
    record.hear(live(boundary))
    for instrument in instruments:
        record.hear(history(bar(boundary - MINUTE, instrument=instrument), instrument=instrument))
    record.hear(marks(*(mark(instrument, boundary) for instrument in instruments)))
    return record


def desk_at(boundary: int, *instruments: str, record: FeedRecord | None = None) -> Desk:
    record = record or record_at(boundary, *instruments)
    desk = Desk("binance", instruments, CADENCE, GRACE, record=record)
    desk.begin(record)
    return desk


def bars_in(said: list[Message]) -> list[FeedBars]:
    return [message for message in said if isinstance(message, FeedBars)]


def whole(desk: Desk, instrument: str = BTC, minute: int = TEN, trade_id: int = 1) -> None:
    """Let the minute before `minute` be repaired and trades be known from `minute` on."""
    desk.repair(instrument, [bar(minute - MINUTE, instrument=instrument)], minute)
    desk.trade(trade(trade_id, minute, instrument=instrument), minute)
    desk.repair(instrument, [bar(minute, instrument=instrument)], minute + MINUTE)


def test_before_it_begins_trades_are_prices_only() -> None:
    """While history is being read, marks leave and no bar does."""
    desk = Desk("binance", (BTC,), CADENCE, GRACE, record=record_at(TEN, BTC))
    assert desk.trade(trade(1, TEN), TEN) == Heard()
    desk.quote(quote(99.0, 101.0), TEN)
    (said,) = desk.say(TEN)
    assert isinstance(said, FeedMarks)
    assert [mark.last_px for mark in said.marks] == [100.0]
    assert (desk.ready_until, desk.is_ready, desk.wants(TEN + HOUR)) == (0, False, [])


def test_the_minute_of_the_start_comes_from_the_venue() -> None:
    """What was before the first trade we saw is not ours to say: that minute is wanted once it is over."""
    desk = desk_at(TEN, BTC)
    assert desk.trade(trade(7, TEN + 20 * SECOND), TEN + 20 * SECOND) == Heard()
    assert desk.wants(TEN + MINUTE - 1) == []
    assert desk.wants(TEN + MINUTE) == [Want(BTC, TEN, TEN + MINUTE)]
    assert desk.repair(BTC, [bar(TEN, px=95.0)], TEN + MINUTE).agrees
    (said,) = bars_in(desk.say(TEN + MINUTE))
    assert (said.end_ts, said.bars) == (TEN + MINUTE, (bar(TEN, px=95.0),))


def test_a_later_trade_closes_a_minute_without_asking() -> None:
    """Consecutive ids across the boundary prove the minute: nothing is wanted, the bar leaves at once."""
    desk = desk_at(TEN, BTC)
    whole(desk)
    assert desk.trade(trade(2, TEN + MINUTE, px=100.4), TEN + MINUTE) == Heard()
    assert desk.trade(trade(3, TEN + 90 * SECOND, px=99.95), TEN + 90 * SECOND) == Heard()
    bars_in(desk.say(TEN + 90 * SECOND))
    desk.trade(trade(4, TEN + 2 * MINUTE), TEN + 2 * MINUTE)
    assert (desk.is_ready, desk.wants(TEN + 2 * MINUTE + GRACE)) == (True, [])
    (said,) = bars_in(desk.say(TEN + 2 * MINUTE))
    (one,) = said.bars
    assert (one.open, one.high, one.low, one.close, one.volume) == (100.4, 100.4, 99.95, 99.95, 2.0)


def test_the_id_of_a_batch_follows_from_its_instant() -> None:
    """Told again after a crash it is the same event, and its own story."""
    first, again = desk_at(TEN, BTC), desk_at(TEN, BTC)
    for desk in (first, again):
        desk.repair(BTC, [bar(TEN)], TEN + MINUTE)
    (one,), (other,) = bars_in(first.say(TEN + MINUTE)), bars_in(again.say(TEN + HOUR))
    assert one.id == other.id == one.correlation_id
    assert (one.ts_event, one.ts_init, other.ts_init) == (TEN + MINUTE, TEN + MINUTE, TEN + HOUR)


def test_all_instruments_close_together() -> None:
    """One instrument's bar waits for the other's."""
    desk = desk_at(TEN, BTC, ETH)
    desk.repair(BTC, [bar(TEN)], TEN + MINUTE)
    assert bars_in(desk.say(TEN + MINUTE)) == []
    assert desk.wants(TEN + MINUTE) == [Want(ETH, TEN, TEN + MINUTE)]
    desk.repair(ETH, [bar(TEN, instrument=ETH)], TEN + MINUTE)
    (said,) = bars_in(desk.say(TEN + MINUTE))
    assert [each.instrument for each in said.bars] == [BTC, ETH]


def test_the_longest_timeframe_comes_first() -> None:
    """At a quarter's end, both quarters stand before both minutes."""
    desk = desk_at(TEN, BTC, ETH)
    for instrument in (BTC, ETH):
        desk.repair(instrument, [bar(TEN, instrument=instrument)], TEN + 15 * MINUTE)
    last = bars_in(desk.say(TEN + 15 * MINUTE))[-1]
    assert [(each.timeframe, each.instrument) for each in last.bars] == [
        ("15m", BTC),
        ("15m", ETH),
        ("1m", BTC),
        ("1m", ETH),
    ]


def test_marks_leave_before_the_bars_of_their_instant() -> None:
    """Whoever acts on a bar knows the newest price."""
    desk = desk_at(TEN, BTC)
    desk.quote(quote(99.0, 101.0), TEN)
    desk.trade(trade(1, TEN), TEN)
    desk.say(TEN)
    desk.quote(quote(99.5, 100.5), TEN + 1)
    desk.repair(BTC, [bar(TEN)], TEN + MINUTE)
    assert [type(message) for message in desk.say(TEN + 1)] == [FeedMarks, FeedBars]


def test_a_clock_that_stands_lets_the_prices_out() -> None:
    """In lock-step no interval ever passes; what is new leaves when nothing more comes."""
    desk = desk_at(TEN, BTC)
    desk.quote(quote(99.0, 101.0), TEN)
    desk.trade(trade(1, TEN), TEN)
    desk.say(TEN)
    desk.quote(quote(99.5, 101.0), TEN)
    assert desk.say(TEN) == []
    assert [type(message) for message in desk.say(TEN, is_still=True)] == [FeedMarks]
    assert desk.say(TEN, is_still=True) == []


def test_a_silent_minute_is_asked_for_after_the_grace() -> None:
    """A socket that says nothing proves nothing; where the clock stands there is no grace to wait for."""
    desk = desk_at(TEN, BTC)
    whole(desk)
    bars_in(desk.say(TEN + MINUTE))
    desk.trade(trade(2, TEN + MINUTE), TEN + MINUTE)
    ends = TEN + 2 * MINUTE
    assert desk.wants(ends + GRACE - 1) == []
    assert desk.wants(ends, is_still=True) == [Want(BTC, TEN + MINUTE, ends)]
    assert desk.wants(ends + GRACE) == [Want(BTC, TEN + MINUTE, ends)]


def test_a_silent_socket_that_lost_trades_is_found_out() -> None:
    """The venue knows of more volume than we saw: its bar leaves, and the socket is not to be trusted."""
    desk = desk_at(TEN, BTC)
    whole(desk)
    desk.trade(trade(2, TEN + MINUTE), TEN + MINUTE)
    assert desk.repair(BTC, [bar(TEN + MINUTE, volume=1.0)], TEN + 2 * MINUTE).agrees
    desk.trade(trade(3, TEN + 2 * MINUTE), TEN + 2 * MINUTE)
    assert not desk.repair(BTC, [bar(TEN + 2 * MINUTE, volume=8.0)], TEN + 3 * MINUTE).agrees
    assert [each.bars[0].volume for each in bars_in(desk.say(TEN + 3 * MINUTE))] == [1.0, 1.0, 8.0]


def test_a_stream_that_never_told_a_trade_is_found_out() -> None:
    """The venue counts trades of a minute throughout which we heard quotes and no trade; the minute before proves nothing."""
    desk = desk_at(TEN, BTC)
    desk.quote(quote(99.0, 101.0), TEN + SECOND)
    assert desk.repair(BTC, [bar(TEN)], TEN + MINUTE).agrees
    assert desk.repair(BTC, [bar(TEN + MINUTE, volume=0.0)], TEN + 2 * MINUTE).agrees
    assert not desk.repair(BTC, [bar(TEN + 2 * MINUTE)], TEN + 3 * MINUTE).agrees


def test_a_trade_from_an_earlier_minute_damages_the_minutes_around_it() -> None:
    """By its id it belongs between its neighbours, whatever its time says: both their minutes are wanted."""
    desk = desk_at(TEN, BTC)
    whole(desk)
    desk.say(TEN + MINUTE)
    desk.trade(trade(2, TEN + MINUTE), TEN + MINUTE)
    assert desk.trade(trade(3, TEN - HOUR), TEN + MINUTE).verdict is Verdict.BACK_IN_TIME
    desk.trade(trade(4, TEN + 2 * MINUTE), TEN + 2 * MINUTE)
    desk.trade(trade(5, TEN + 3 * MINUTE), TEN + 3 * MINUTE)
    assert desk.wants(TEN + 3 * MINUTE) == [Want(BTC, TEN + MINUTE, TEN + 3 * MINUTE)]


def test_where_trades_are_not_counted_no_minute_proves_itself() -> None:
    """Neither the one a switch fell into, nor one in which nothing was heard: a later trade shows nothing about them."""
    record = record_at(TEN, BTC)
    desk = desk_at(TEN, BTC, record=record)
    desk.switch("kucoin", record, counts_trades=False)
    desk.trade(trade(7, TEN + MINUTE + SECOND), TEN + MINUTE + SECOND)
    desk.trade(trade(14, TEN + 3 * MINUTE), TEN + 3 * MINUTE)
    assert bars_in(desk.say(TEN + 3 * MINUTE)) == []
    assert desk.wants(TEN + 3 * MINUTE) == [Want(BTC, TEN, TEN + 3 * MINUTE)]


def test_a_proven_minute_is_not_repaired() -> None:
    """A page of the venue's bars may cover minutes we know ourselves; those stay."""
    desk = desk_at(TEN, BTC)
    whole(desk)
    desk.trade(trade(2, TEN + MINUTE), TEN + MINUTE)
    desk.trade(trade(3, TEN + 2 * MINUTE), TEN + 2 * MINUTE)
    desk.repair(BTC, [bar(TEN + MINUTE, px=1.0)], TEN + 2 * MINUTE)
    assert bars_in(desk.say(TEN + 2 * MINUTE))[1].bars[0].open == 100.0


def test_a_hole_in_the_ids_damages_the_minutes_around_it() -> None:
    """Ids 2 to 4 were lost somewhere between two minutes: both are wanted."""
    desk = desk_at(TEN, BTC)
    whole(desk)
    assert desk.trade(trade(5, TEN + MINUTE + 1), TEN + MINUTE + 1).verdict is Verdict.HOLE_BEFORE
    desk.trade(trade(6, TEN + 2 * MINUTE), TEN + 2 * MINUTE)
    assert desk.wants(TEN + 2 * MINUTE) == [Want(BTC, TEN + MINUTE, TEN + 2 * MINUTE)]


def test_a_duplicate_is_dropped_but_proves_life() -> None:
    """A venue that repeats itself after a reconnection is alive, and counts once."""
    desk = desk_at(TEN, BTC)
    whole(desk)
    desk.say(TEN)
    assert desk.trade(trade(1, TEN), TEN).verdict is Verdict.DUPLICATE
    assert desk.board.has_news


def test_a_venue_that_counts_anew_is_followed() -> None:
    """A lower id at a later time is a new count, not a duplicate for ever."""
    desk = desk_at(TEN, BTC)
    whole(desk, trade_id=1_000)
    assert desk.trade(trade(1, TEN + 70 * SECOND), TEN + 70 * SECOND).verdict is Verdict.HOLE_BEFORE
    assert desk.trade(trade(2, TEN + 71 * SECOND), TEN + 71 * SECOND) == Heard()


def test_a_late_trade_is_a_price_and_no_bar() -> None:
    """Its minute has left, from the venue's own bar, which had it."""
    desk = desk_at(TEN, BTC)
    whole(desk)
    bars_in(desk.say(TEN + MINUTE))
    assert desk.trade(trade(2, TEN + 59 * SECOND, px=100.2), TEN + MINUTE).late == 1
    assert desk.late == 1


def test_an_outage_is_made_up_for_minute_by_minute() -> None:
    """Away for three minutes: three batches, in order, with the quarter that ended among them."""
    record = record_at(TEN, BTC)
    desk = desk_at(TEN, BTC, record=record)
    desk.repair(BTC, [bar(TEN + n * MINUTE) for n in range(13)], TEN + 13 * MINUTE)
    for message in desk.say(TEN + 13 * MINUTE):
        record.hear(message)
    again = desk_at(0, BTC, record=record)
    assert again.wants(TEN + 16 * MINUTE + 5) == [Want(BTC, TEN + 13 * MINUTE, TEN + 16 * MINUTE)]
    again.repair(BTC, [bar(TEN + n * MINUTE) for n in range(13, 16)], TEN + 16 * MINUTE)
    said = bars_in(again.say(TEN + 16 * MINUTE + 5))
    assert [each.end_ts for each in said] == [TEN + n * MINUTE for n in (14, 15, 16)]
    assert said[1].bars[0] == bar(TEN, volume=15.0, timeframe="15m")


# --- the same bars, whatever happens ------------------------------------------------------------------------------


def market(seed: int, minutes: int) -> list[TradePrinted]:
    """Both instruments' trades in order of time, from one minute before TEN on."""
    chance = random.Random(seed)
    prints = []
    for instrument in (BTC, ETH):
        instants = sorted(TEN - MINUTE + chance.randrange((minutes + 1) * MINUTE) for _ in range(minutes * 3))
        for count, ts in enumerate(instants):
            px, qty = round(chance.uniform(99.8, 100.2), 2), round(chance.uniform(0.001, 2), 3)
            prints.append(trade(count, ts, px, qty, instrument))
    return sorted(prints, key=lambda each: each.ts_event)


def venue_minutes(prints: list[TradePrinted], instrument: str, until: int) -> list[Bar]:
    """What the venue's REST says: its own minutes with trades, the open one included."""
    builder = BarBuilder(instrument, "binance", since=TEN - MINUTE)
    for each in prints:
        if each.instrument == instrument and each.ts_event < until:
            builder.trade(each.ts_event, each.px, each.qty)
    closings = builder.close_until(bar_open(until, "1m") + MINUTE)
    return [one for closing in closings for one in closing.bars if one.timeframe == "1m" and one.volume > 0]


def run(prints: list[TradePrinted], minutes: int, chance: random.Random | None) -> list[Message]:
    """Everything said; with `chance`, frames get lost or come twice, and the feed dies and returns."""
    record = record_at(TEN, BTC, ETH)
    desk, said, lost_until = desk_at(0, BTC, ETH, record=record), [], 0
    for now in range(TEN, TEN + minutes * MINUTE + 1, 5 * SECOND):
        if chance and chance.random() < 0.03:
            record = msgspec.json.decode(msgspec.json.encode(record), type=FeedRecord)
            desk, lost_until = desk_at(0, BTC, ETH, record=record), now + chance.randrange(3) * MINUTE
        for each in prints:
            if now - 5 * SECOND <= each.ts_event < now and now >= lost_until and not (chance and chance.random() < 0.1):
                for _ in range(2 if chance and chance.random() < 0.1 else 1):
                    desk.trade(each, now)
        if now >= lost_until:
            for want in desk.wants(now):
                desk.repair(want.instrument, venue_minutes(prints, want.instrument, now), want.until)
            for message in bars_in(desk.say(now)):
                record.hear(message)
                said.append(msgspec.structs.replace(message, ts_init=0))
    for want in desk.wants(now + GRACE):
        desk.repair(want.instrument, venue_minutes(prints, want.instrument, now), want.until)
    return said + [msgspec.structs.replace(message, ts_init=0) for message in bars_in(desk.say(now + GRACE))]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_losses_duplicates_and_crashes_change_no_bar(seed: int) -> None:
    """A feed that loses frames, hears some twice and dies now and then says the same bars as one that never did."""
    minutes = 33
    prints = market(seed, minutes)
    undisturbed = run(prints, minutes, None)
    assert run(prints, minutes, random.Random(seed)) == undisturbed
    assert [each.end_ts for each in undisturbed] == [TEN + n * MINUTE for n in range(1, minutes + 1)]
    assert sum(one.timeframe == "15m" for each in undisturbed for one in each.bars) == 4
