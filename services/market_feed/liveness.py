"""Whether the venue can be believed: LIVE, STALE or DOWN, from what its sockets did. Pure: every instant is an argument.

Theory of operation. Silence is measured on the clock the feed lives on, and only while that clock moves, by at most
`STEP_NS_MAX` between two looks: a venue that stands still between two steps of a lock-step run is not silent, and one step of
a minute is not a minute of silence. Disconnection is measured in our own time, because only a network can do it; so is deafness:
a connection on which not even a pong comes is dead, however open it looks.

    nothing, not even pongs, for `deaf_after`      DEAF     renewed
    pongs, but no market frame for `silent_after`  SILENT   renewed (a quiet market is told apart by REST: adapters/line.py)
"""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.common.timeframe import SECOND

STEP_NS_MAX = SECOND
State = Literal["LIVE", "STALE", "DOWN"]


class Silence(msgspec.Struct):
    """How long (ns) one source has said nothing."""

    quiet_ns: int = 0

    def look(self, *, heard: bool, moved_ns: int) -> int:
        """Note what happened since the last look: whether a frame came, and by how much the clock moved."""
        self.quiet_ns = 0 if heard else self.quiet_ns + min(max(moved_ns, 0), STEP_NS_MAX)
        return self.quiet_ns


class LinkWatch:
    """Whether one connection delivers. Both limits in ns; silence on the feed's clock, deafness on our own."""

    def __init__(self, *, silent_after: int, deaf_after: int):
        self._silence = Silence()
        self._silent_after = silent_after
        self._deaf_after = deaf_after
        self._deaf_ns = 0
        self._seen = (0, 0, 0)

    def look(self, *, is_up: bool, epoch: int, frames: int, signs: int, moved_ns: int, passed_ns: int) -> str:
        """Why the connection must be renewed; "" if it need not. The counters only grow; one that is down renews itself."""
        before, self._seen = self._seen, (epoch, frames, signs)
        is_new = epoch != before[0] or not is_up
        quiet_ns = self._silence.look(heard=is_new or frames != before[1], moved_ns=moved_ns)
        self._deaf_ns = 0 if is_new or self._seen != before else self._deaf_ns + passed_ns
        reason = "DEAF" if self._deaf_ns >= self._deaf_after else "SILENT" if quiet_ns >= self._silent_after else ""
        if reason:
            self._silence, self._deaf_ns = Silence(), 0
        return reason


class Liveness:
    """The state of the venue as the feed declares it."""

    def __init__(self, *, stale_after: int, down_after: int):
        self._silence = Silence()
        self._stale_after = stale_after
        self._down_after = down_after
        self._away_ns = 0

    def look(self, *, heard: bool, connected: bool, moved_ns: int, passed_ns: int) -> tuple[State, str]:
        """The state and its reason after a look; `moved_ns` passed on the feed's clock, `passed_ns` on our own."""
        quiet_ns = self._silence.look(heard=heard, moved_ns=moved_ns)
        self._away_ns = 0 if connected else self._away_ns + passed_ns
        if self._away_ns >= self._down_after:
            return "DOWN", "DISCONNECTED"
        if quiet_ns >= self._stale_after:
            return "STALE", "SILENT"
        return "LIVE", "FRAMES"
