"""LIVE, STALE and DOWN are told apart by what the sockets do, not by how time is told."""

from __future__ import annotations

from libs.common.timeframe import MINUTE, SECOND
from services.market_feed.liveness import Liveness, Silence

TENTH = SECOND // 10


def look(liveness: Liveness, times: int = 1, *, heard: bool = True, connected: bool = True, moved: int = TENTH) -> str:
    state = ""
    for _ in range(times):
        state, _reason = liveness.look(heard=heard, connected=connected, moved_ns=moved, passed_ns=TENTH)
    return state


def new() -> Liveness:
    return Liveness(stale_after=10 * SECOND, down_after=2 * SECOND)


def test_frames_are_life() -> None:
    """As long as frames come it is LIVE."""
    assert look(new(), 1000) == "LIVE"


def test_ten_silent_seconds_are_stale_and_one_frame_ends_it() -> None:
    """Connected but silent: the prices we have are old."""
    liveness = new()
    assert look(liveness, 99, heard=False) == "LIVE"
    assert look(liveness, heard=False) == "STALE"
    assert look(liveness) == "LIVE"


def test_two_seconds_disconnected_are_down() -> None:
    """A quick reconnection is not worth a word, a long one is."""
    liveness = new()
    assert look(liveness, 19, heard=False, connected=False) == "LIVE"
    assert look(liveness, heard=False, connected=False) == "DOWN"
    assert look(liveness, heard=False) == "LIVE"


def test_a_clock_that_stands_still_makes_nobody_silent() -> None:
    """Between two steps of a lock-step run nothing can be heard, however long it takes."""
    assert look(new(), 10_000, heard=False, moved=0) == "LIVE"


def test_a_step_of_a_minute_is_not_a_minute_of_silence() -> None:
    """The clock jumps before the frames arrive; only jump after jump without a frame is silence."""
    liveness = new()
    assert look(liveness, heard=False, moved=MINUTE) == "LIVE"
    assert look(liveness, 9, heard=False, moved=MINUTE) == "STALE"


def test_a_clock_set_back_does_not_count() -> None:
    """Silence never shrinks by a clock, only by a frame."""
    silence = Silence()
    silence.look(heard=False, moved_ns=SECOND)
    assert silence.look(heard=False, moved_ns=-MINUTE) == SECOND
