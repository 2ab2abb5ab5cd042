"""LIVE, STALE and DOWN are told apart by what the sockets do, not by how time is told."""

from __future__ import annotations

from libs.common.timeframe import MINUTE, SECOND
from services.market_feed.liveness import LinkWatch, Liveness, Silence

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


# --- one connection -----------------------------------------------------------------------------------------------


class Watched:
    """A connection of which nothing comes but what a test says."""

    def __init__(self) -> None:
        self.watch = LinkWatch(silent_after=10 * SECOND, deaf_after=25 * SECOND)
        self.epoch, self.frames, self.signs = 1, 0, 0

    def look(
        self, seconds: float, *, frames: int = 0, signs: int = 0, is_up: bool = True, moves: bool = True
    ) -> list[str]:
        """Ten looks a second; at the first, so many frames and signs have come. Returns the reasons to renew, in turn."""
        self.frames, self.signs, reasons = self.frames + frames, self.signs + signs, []
        for _ in range(round(seconds * 10)):
            reason = self.watch.look(
                is_up=is_up,
                epoch=self.epoch,
                frames=self.frames,
                signs=self.signs,
                moved_ns=TENTH if moves else 0,
                passed_ns=TENTH,
            )
            reasons += [reason] if reason else []
        return reasons


def test_a_connection_that_delivers_is_kept() -> None:
    """A frame every nine seconds is enough."""
    watched = Watched()
    assert [watched.look(9, frames=1) for _ in range(10)] == [[]] * 10


def test_pongs_without_frames_are_silence() -> None:
    """The other end lives, its stream does not: renewed, and given as long again before the next time."""
    watched = Watched()
    told = [watched.look(1, signs=1) for _ in range(26)]
    assert [place for place, reasons in enumerate(told, 1) if reasons] == [11, 21]
    assert {reason for reasons in told for reason in reasons} == {"SILENT"}


def test_a_connection_that_answers_no_ping_is_deaf() -> None:
    """Where the clock stands nothing can be silent, but a network can be dead all the same."""
    watched = Watched()
    assert watched.look(0.1, moves=False) == []
    assert watched.look(24.9, moves=False) == []
    assert watched.look(0.1, moves=False) == ["DEAF"]
    assert watched.look(24.9, moves=False) == []


def test_a_new_connection_begins_anew() -> None:
    """What the one before did not say is not held against it."""
    watched = Watched()
    watched.look(9.5, frames=1)
    watched.epoch += 1
    assert watched.look(10) == []
    assert watched.look(0.1) == ["SILENT"]


def test_one_that_is_down_is_left_to_its_reader() -> None:
    """It reconnects by itself; a second command would only throw the new connection away."""
    assert Watched().look(120, is_up=False) == []
