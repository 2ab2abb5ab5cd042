"""What a venue's own count proves, and what it does not."""

from __future__ import annotations

import pytest

from libs.common.timeframe import MINUTE, SECOND
from services.market_feed.tape import Settled, Tape, Verdict
from tests.unit.market_feed.tape import BTC, T0, bar, trade


def tape(*, counts: bool = True) -> Tape:
    return Tape(BTC, "binance", since=T0, seed=[bar(T0 - MINUTE)], counts=counts)


def told(one: Tape, trade_id: int, ts: int, qty: float = 1.0, *, believed: bool = True) -> Verdict:
    print_ = trade(trade_id, ts, qty=qty)
    verdict = one.note(print_)
    if verdict is not Verdict.DUPLICATE:
        (one.fold if believed else one.set_aside)(print_)
    return verdict


def test_a_step_of_one_proves_that_nothing_was_lost() -> None:
    """Only the minute of the first trade of all is in doubt: what was before it nobody saw."""
    one = tape()
    verdicts = [told(one, 7 + n, T0 + n * 20 * SECOND) for n in range(6)]
    assert verdicts == [Verdict.FOLLOWS] * 6
    assert [one.looks_whole(T0 + n * MINUTE) for n in range(2)] == [False, True]


def test_a_hole_damages_every_minute_it_may_lie_in() -> None:
    """Ids are missing between the first and the third minute: all three are to be asked for, the fourth is not."""
    one = tape()
    told(one, 1, T0)
    one.settle(T0, bar(T0), (), is_known=True, is_late=False)
    told(one, 2, T0 + MINUTE)
    assert told(one, 9, T0 + 3 * MINUTE) is Verdict.HOLE_BEFORE
    told(one, 10, T0 + 4 * MINUTE)
    assert [one.looks_whole(T0 + n * MINUTE) for n in range(1, 5)] == [False, False, False, True]


@pytest.mark.parametrize(("trade_id", "ts"), [(5, T0 + SECOND), (4, T0 + SECOND), (5, T0)])
def test_what_was_told_is_not_told_again(trade_id: int, ts: int) -> None:
    """The same id, or an older one that is not later."""
    one = tape()
    told(one, 5, T0 + SECOND)
    assert told(one, trade_id, ts) is Verdict.DUPLICATE
    assert one.builder.volume_of(T0) == 1.0


def test_one_absurd_id_does_not_end_the_count() -> None:
    """A misprinted id of twenty digits: what follows it is a new count, and the minute gets the venue's own bar."""
    one = tape()
    told(one, 1, T0)
    assert told(one, 10**19, T0 + SECOND) is Verdict.HOLE_BEFORE
    assert told(one, 2, T0 + 2 * SECOND) is Verdict.HOLE_BEFORE
    assert told(one, 3, T0 + 3 * SECOND) is Verdict.FOLLOWS
    assert not one.looks_whole(T0)


def test_a_venue_that_does_not_count_proves_nothing() -> None:
    """Every minute with a trade is damaged, and no hole is worth a word."""
    one = tape(counts=False)
    assert [told(one, trade_id, T0 + trade_id * SECOND) for trade_id in (3, 8, 70)] == [Verdict.FOLLOWS] * 3
    assert not one.looks_whole(T0 + MINUTE)


def proven(one: Tape) -> None:
    """Its first minute is settled, ids go on in the second."""
    told(one, 1, T0)
    one.settle(T0, bar(T0), (), is_known=True, is_late=False)
    one.close_until(T0 + MINUTE)
    told(one, 2, T0 + MINUTE, qty=2.0)


def test_volume_set_aside_is_no_loss() -> None:
    """The venue's bar contains the misprint, ours does not: ours leaves, and the socket has lost nothing."""
    one = tape()
    proven(one)
    told(one, 3, T0 + MINUTE + 1, qty=0.5, believed=False)
    assert (
        one.settle(T0 + MINUTE, bar(T0 + MINUTE, px=80.0, volume=2.5), (), is_known=True, is_late=False)
        is Settled.AGREES
    )
    (closing,) = one.close_until(T0 + 2 * MINUTE)
    assert (closing.bars[0].close, closing.bars[0].volume) == (100.0, 2.0)


def test_volume_that_is_held_is_no_loss_either() -> None:
    """A doubt at the minute's end: what is held counts as seen."""
    one = tape()
    proven(one)
    held = trade(3, T0 + MINUTE + 1, qty=0.5)
    one.note(held)
    assert (
        one.settle(T0 + MINUTE, bar(T0 + MINUTE, volume=2.5), (held,), is_known=True, is_late=False) is Settled.AGREES
    )


def test_volume_nobody_can_account_for_is_a_loss() -> None:
    """Ids are whole, the venue's volume is larger: its bar leaves, and its socket loses trades without a trace."""
    one = tape()
    proven(one)
    assert (
        one.settle(T0 + MINUTE, bar(T0 + MINUTE, px=101.0, volume=7.0), (), is_known=True, is_late=False)
        is Settled.LOST_TRADES
    )
    (closing,) = one.close_until(T0 + 2 * MINUTE)
    assert (closing.bars[0].close, closing.bars[0].volume) == (101.0, 7.0)


def test_a_bar_nobody_may_believe_does_not_replace_ours() -> None:
    """Where our count is whole, a refused bar changes nothing."""
    one = tape()
    proven(one)
    assert one.settle(T0 + MINUTE, None, (), is_known=False, is_late=False) is Settled.AGREES
    (closing,) = one.close_until(T0 + 2 * MINUTE)
    assert closing.bars[0].volume == 2.0


def test_what_was_set_aside_is_forgotten_with_its_minute() -> None:
    """Nothing grows with the days: also not by misprints of minutes that have left."""
    one = tape()
    proven(one)
    for n in range(50):
        told(one, 3 + n, T0 + MINUTE + n * SECOND, believed=False)
        one.set_aside(trade(3 + n, T0 + n))
    one.settle(T0 + MINUTE, None, (), is_known=False, is_late=False)
    one.close_until(T0 + 2 * MINUTE)
    assert one._aside == {}


def test_rest_that_is_behind_its_own_stream_throws_nothing_away() -> None:
    """REST has not heard of a trade we have: the minute waits for it; if it never catches up, the gap is marked."""
    one = tape()
    one.note(trade(1, T0))
    one.fold(trade(1, T0))
    one.settle(T0, bar(T0), (), is_known=True, is_late=False)
    one.note(trade(2, T0 + MINUTE, qty=3.0))
    one.fold(trade(2, T0 + MINUTE, qty=3.0))
    behind = bar(T0 + MINUTE, volume=1.0)
    assert one.settle(T0 + MINUTE, behind, (), is_known=True, is_late=False) is Settled.REST_IS_BEHIND
    assert not one.builder.is_proven(T0 + MINUTE)
    assert one.settle(T0 + MINUTE, None, (), is_known=True, is_late=True) is Settled.LOST_TRADES
    (closing,) = [each for each in one.close_until(T0 + 2 * MINUTE) if each.end_ts == T0 + 2 * MINUTE]
    assert closing.bars[0].synthetic
