"""Venue time: a multiple of wall time (`free`), or standing still until it is moved (`step`).

A signed request carries the time at which its sender believes to be. Its window is meant for the network, so it is counted in wall
time: a stamp is too old when this clock showed it longer than `recvWindow` wall milliseconds ago, at any speed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from libs.common.timeframe import MILLISECOND

AHEAD_MS_MAX = 1000
_STEPS_REMEMBERED = 4096


class VenueClock:
    """`speed` 0 is step mode. `monotonic_ns` is the wall clock underneath."""

    def __init__(self, now_ns: int, speed: float, monotonic_ns: Callable[[], int] = time.monotonic_ns):
        self.speed = speed
        self._monotonic_ns = monotonic_ns
        self._base_ns = now_ns
        self._base_wall_ns = monotonic_ns()
        self._steps: deque[tuple[int, int]] = deque(maxlen=_STEPS_REMEMBERED)

    def now_ns(self) -> int:
        """Venue time, nanoseconds UTC."""
        return self._base_ns + int((self._monotonic_ns() - self._base_wall_ns) * self.speed)

    def step_to(self, now_ns: int) -> None:
        """Move a standing clock forwards."""
        if now_ns > self._base_ns:
            self._steps.append((self._monotonic_ns(), self._base_ns))
            self._base_ns = now_ns

    def is_ahead(self, stamp_ms: int) -> bool:
        """Whether `stamp_ms` is further ahead than clocks may differ."""
        return stamp_ms >= self.now_ns() // MILLISECOND + int(AHEAD_MS_MAX * max(1.0, self.speed))

    def is_behind(self, stamp_ms: int, window_ms: int) -> bool:
        """Whether `stamp_ms` is older than what this clock showed `window_ms` of wall time ago."""
        return stamp_ms < self._shown_at(window_ms) // MILLISECOND

    def _shown_at(self, wall_ms_ago: int) -> int:
        """What this clock showed (or, after a start, would have shown) so many wall milliseconds ago."""
        if self.speed:
            return self.now_ns() - int(wall_ms_ago * MILLISECOND * self.speed)
        since = self._monotonic_ns() - wall_ms_ago * MILLISECOND
        shown = self._base_ns
        for left_at, showed in reversed(self._steps):
            if left_at < since:
                break
            shown = showed
        return min(shown, self._base_ns - wall_ms_ago * MILLISECOND)
