"""How wide an instrument's quote usually is."""

from __future__ import annotations

from statistics import median

import msgspec

from libs.common.messages import Mark
from libs.common.timeframe import SECOND

KEPT = 121
APART_NS = SECOND
BPS = 10_000.0


class Spreads(msgspec.Struct):
    """The last spreads (basis points of the mid), at least a second apart; `ts` is the newest one's (ns)."""

    ts: int = 0
    bps: list[float] = []

    def add(self, mark: Mark) -> None:
        """Take in a quote."""
        if mark.ts - self.ts >= APART_NS:
            self.ts = mark.ts
            self.bps.append(spread_bps(mark))
            del self.bps[:-KEPT]

    @property
    def median(self) -> float:
        """The usual spread; 0 while nothing is known."""
        return median(self.bps) if self.bps else 0.0


def spread_bps(mark: Mark) -> float:
    """The width of a quote in basis points of its middle; a quote that is none is infinitely wide."""
    middle = (mark.bid_px + mark.ask_px) / 2
    return (mark.ask_px - mark.bid_px) / middle * BPS if middle > 0.0 else float("inf")
