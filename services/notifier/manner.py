"""What can change how people are told."""

from __future__ import annotations

import msgspec

from libs.runtime.breaker import SECOND_NS, BreakerLimits
from services.notifier.requests import RANKS, Level


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How to tell: by every channel of `channels`, but nothing below the level that stands in `floors` for it (none: everything). After `attempts_max` failures it gives up; the wait doubles from `backoff_s` to at most `backoff_s_max`.

    After `breaker_failures_max` failures in a row nothing is tried for `breaker_pause_s`, doubling to at most `breaker_pause_s_max`;
    letters of at most `waiting_kinds_max` kinds wait for it meanwhile.
    """

    channels: tuple[str, ...] = ("console",)
    floors: dict[str, Level] = {}
    repeat_window_s: int = 300
    send_ttl_s: int = 3_600
    attempts_max: int = 5
    backoff_s: int = 5
    backoff_s_max: int = 300
    breaker_failures_max: int = 5
    breaker_pause_s: int = 30
    breaker_pause_s_max: int = 300
    waiting_kinds_max: int = 100

    def takers(self, level: Level) -> tuple[str, ...]:
        """The channels that tell what is of this level. A page goes to all of them, whatever they were told."""
        return tuple(each for each in self.channels if RANKS[level] <= RANKS[self.floors.get(each, "note")])

    @property
    def limits(self) -> BreakerLimits:
        """Those of a channel's breaker. A longest pause below the first one is taken for the first one."""
        return BreakerLimits(
            failures_in_a_row_max=self.breaker_failures_max,
            open_ns_first=self.breaker_pause_s * SECOND_NS,
            open_ns_max=max(self.breaker_pause_s, self.breaker_pause_s_max) * SECOND_NS,
        )
