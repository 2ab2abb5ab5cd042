"""Prices enter the log often enough to act on, seldom enough to keep."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages import Trust
from libs.common.timeframe import MILLISECOND, SECOND
from services.market_feed.marks import MarkBoard
from tests.unit.market_feed.tape import BTC, CADENCE, ETH, T0

MS = MILLISECOND


def board_of(*instruments: str) -> MarkBoard:
    """A board whose prices are all believed."""
    board = MarkBoard("binance", instruments, CADENCE)
    for instrument in instruments:
        board.believe(instrument, "TRUSTED", 1.0)
    return board


def board_told_at_t0() -> MarkBoard:
    board = board_of(BTC, ETH)
    for instrument, px in ((BTC, 60_000.0), (ETH, 3_000.0)):
        board.quote(instrument, px, px + 1, T0)
        board.last(instrument, px, T0)
    board.take(T0)
    return board


def test_the_first_message_leaves_at_once() -> None:
    """Nobody knows any price yet, so nothing is worth waiting for."""
    board = board_of(BTC, ETH)
    assert board.is_due(T0)
    board.quote(BTC, 1.0, 2.0, T0)
    board.last(BTC, 1.5, T0)
    said = board.take(T0)
    assert [(mark.instrument, mark.bid_px, mark.ask_px, mark.last_px, mark.ts) for mark in said.marks] == [
        (BTC, 1.0, 2.0, 1.5, T0)
    ]
    assert (said.as_of, said.ts_event, said.ts_init, said.alive) == (T0, T0, T0, (BTC,))


def test_half_a_price_is_not_told() -> None:
    """Without a last trade, or without a quote, there is no mark, and the instrument is not alive."""
    board = board_of(BTC, ETH)
    board.quote(BTC, 1.0, 2.0, T0)
    board.last(ETH, 1.0, T0)
    said = board.take(T0)
    assert (said.marks, said.alive) == ((), ())


def test_a_small_move_waits_for_the_interval() -> None:
    """Half a basis point leaves 250 ms after the last message, and only the instrument that moved."""
    board = board_told_at_t0()
    board.quote(BTC, 60_003.0, 60_004.0, T0 + 10 * MS)
    assert not board.is_due(T0 + 249 * MS)
    assert board.is_due(T0 + 250 * MS)
    assert [mark.instrument for mark in board.take(T0 + 250 * MS).marks] == [BTC]


def test_a_jump_leaves_at_once_but_never_within_the_gap() -> None:
    """Above five basis points 50 ms are enough."""
    board = board_told_at_t0()
    board.quote(BTC, 60_040.0, 60_041.0, T0 + 10 * MS)
    assert not board.is_due(T0 + 49 * MS)
    assert board.is_due(T0 + 50 * MS)


def test_a_move_of_exactly_the_limit_is_no_jump() -> None:
    """Five basis points are not above five basis points."""
    board = board_told_at_t0()
    board.quote(ETH, 3_000.0 + 1.5, 3_001.0 + 1.5, T0)
    assert not board.is_due(T0 + 50 * MS)


def test_a_price_that_returned_is_no_news() -> None:
    """What equals the last told price is not told again; the heartbeat goes on."""
    board = board_told_at_t0()
    board.quote(BTC, 60_003.0, 60_004.0, T0 + 10 * MS)
    board.quote(BTC, 60_000.0, 60_001.0, T0 + 20 * MS)
    assert not board.is_due(T0 + 999 * MS)
    assert board.is_due(T0 + SECOND)
    said = board.take(T0 + SECOND)
    assert (said.marks, said.alive) == ((), (BTC, ETH))


def test_quiet_is_alive_silent_is_not() -> None:
    """Any frame within the window proves life; time goes on without one."""
    board = board_told_at_t0()
    board.seen(ETH, T0 + 4 * SECOND)
    assert board.take(T0 + 6 * SECOND).alive == (ETH,)
    assert board.take(T0 + 60 * SECOND).alive == ()


def test_a_frame_without_a_new_price_is_news_where_time_stands_still() -> None:
    """In lock-step no heartbeat comes: the proof of life itself is worth a message."""
    board = board_told_at_t0()
    assert not board.has_news
    board.last(BTC, 60_000.0, T0)
    assert board.has_news
    board.take(T0)
    assert not board.has_news


def test_a_clock_set_back_does_not_silence_the_feed() -> None:
    """A message from the future does not hold back those of now."""
    board = board_told_at_t0()
    assert board.is_due(T0 - SECOND)


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(59_900, 60_100)), min_size=1, max_size=60))
def test_messages_keep_their_distance_and_tell_every_last_price(moves: list[tuple[int, float]]) -> None:
    """However prices move, two messages are 50 ms apart, and after an interval of quiet the log has the newest price."""
    board, now, said = board_told_at_t0(), T0, [T0]
    px = told = 60_000.0
    for wait_ms, px in [*moves, (250, moves[-1][1])]:
        now += wait_ms * MS
        board.quote(BTC, px, px + 1, now)
        if board.is_due(now):
            for mark in board.take(now).marks:
                told = mark.bid_px
            said.append(now)
    assert all(later - earlier >= 50 * MS for earlier, later in pairwise(said))
    assert told == px


@pytest.mark.parametrize("trust", ["QUARANTINED", "UNIT", "DISLOCATED", "RESYNC"])
def test_a_change_of_trust_leaves_at_once(trust: Trust) -> None:
    """Not a hundredth of a basis point moved: whoever buys must know all the same, only the gap is kept."""
    board = board_told_at_t0()
    board.believe(BTC, trust, 60_000.0)
    board.take(T0)
    board.believe(BTC, "TRUSTED", 60_000.0)
    assert not board.is_due(T0 + 49 * MS)
    assert board.is_due(T0 + 50 * MS)
    (told,) = board.take(T0 + 50 * MS).marks
    assert (told.instrument, told.trust) == (BTC, "TRUSTED")


def test_a_protective_price_that_jumps_leaves_at_once() -> None:
    """The quote stands still, the stops' price does not."""
    board = board_told_at_t0()
    board.believe(BTC, "TRUSTED", 60_000.0)
    board.take(T0)
    board.believe(BTC, "TRUSTED", 60_000.0 * 0.999)
    assert board.is_due(T0 + 50 * MS)
    assert board.take(T0 + 50 * MS).marks[0].protective_px == 59_940.0


def test_a_change_of_trust_of_one_tells_nothing_of_the_other() -> None:
    """Only the instrument in doubt is told; the other one's pending move waits no longer for that, and leaves with it."""
    board = board_told_at_t0()
    board.believe(BTC, "QUARANTINED", 1.0)
    assert [each.instrument for each in board.take(T0 + 50 * MS).marks] == [BTC]
