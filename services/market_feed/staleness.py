"""When data are too old to act on, in absolute time: per kind, and per timeframe for bars. Never a multiple of a timeframe.

A daily bar that is missing an hour after midnight is as wrong as a minute bar missing after an hour: somebody trades on the day
before yesterday. So each series has its own limit, counted from the instant at which its next bar should have been there, and a
heartbeat does not help it: only a bar does.
"""

from __future__ import annotations

from libs.common.messages import Bar
from libs.common.timeframe import MINUTE, SECOND, STEP

OVERDUE_MAX: dict[str, int] = {
    "1m": 30 * SECOND,
    "15m": 45 * SECOND,
    "1h": MINUTE,
    "4h": 2 * MINUTE,
    "1d": 5 * MINUTE,
    "1w": 10 * MINUTE,
}
"""How long after its end a bar may be missing (ns)."""


class BarClock:
    """The newest bar of every series, and what is overdue. A series of which no bar was ever seen is not missed."""

    def __init__(self) -> None:
        self._closed: dict[tuple[str, str], int] = {}

    def hear(self, bar: Bar) -> None:
        """A bar left."""
        key = (bar.instrument, bar.timeframe)
        self._closed[key] = max(self._closed.get(key, 0), bar.ts_close)

    def overdue(self, now: int) -> dict[str, int]:
        """Per timeframe, how long (ns) the bar missing for longest has been missing at `now`; 0: none is."""
        found = dict.fromkeys(OVERDUE_MAX, 0)
        for (_, timeframe), closed in self._closed.items():
            found[timeframe] = max(found[timeframe], now - closed - STEP[timeframe])
        return found

    def stale(self, now: int) -> str:
        """The shortest timeframe that is overdue beyond its limit; "" if none is."""
        overdue = self.overdue(now)
        return next((timeframe for timeframe, most in OVERDUE_MAX.items() if overdue[timeframe] > most), "")
