"""When a process that ended is started again. Pure: times are arguments (seconds of a monotonic clock).

A crash is answered at once, then after ever longer pauses; a process that ran for `steady_s` has earned a clean slate. Too many
crashes within a window are a loop: one long pause, and a loud line, so that a broken service neither spins nor hides.
"""

from __future__ import annotations

from collections import deque

import msgspec


class RestartLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of the policy; all times in seconds."""

    delay_s_first: float = 0.2
    delay_s_max: float = 10.0
    steady_s: float = 20.0
    loop_crashes: int = 8
    loop_window_s: float = 60.0
    loop_pause_s: float = 60.0


class Restart(msgspec.Struct, frozen=True):
    """Start again after `delay_s`; `is_loop` when this is the long pause after too many crashes."""

    delay_s: float
    is_loop: bool = False


class RestartPolicy:
    """The memory of one process's crashes."""

    def __init__(self, limits: RestartLimits):
        self._limits = limits
        self._crashes: deque[float] = deque()
        self._in_a_row = 0
        self.restarts = 0

    def ended(self, started_at: float, ended_at: float) -> Restart:
        """The process that ran from `started_at` to `ended_at` was not told to end: when to start it again."""
        limits = self._limits
        self.restarts += 1
        self._in_a_row = 0 if ended_at - started_at >= limits.steady_s else self._in_a_row
        self._crashes.append(ended_at)
        while self._crashes[0] <= ended_at - limits.loop_window_s:
            self._crashes.popleft()
        if len(self._crashes) >= limits.loop_crashes:
            self._crashes.clear()
            self._in_a_row = 0
            return Restart(limits.loop_pause_s, is_loop=True)
        self._in_a_row += 1
        return Restart(min(limits.delay_s_first * 2 ** (self._in_a_row - 1), limits.delay_s_max))
