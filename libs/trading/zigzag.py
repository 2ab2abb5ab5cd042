"""Turning points of a price that are never revised: an ATR zigzag (directional change), one bar at a time.

Theory of operation. A leg runs until the price has come back far enough. The high of a rising leg becomes a pivot at the first
*later* bar whose low is `reach` ATR (of that bar) below it; from then on the leg falls, and its extreme is the lowest low since that
high. The falling leg is the mirror image; how far the price has come back on it counts from the confirming bar on.

    high ─┐ extreme                      A bar that makes a new extreme never confirms one: within a bar nobody knows whether the
         └─┐   ┌─  low <= high - 3 ATR   high or the low came first. So an extreme and its reversal stand in different bars.
           └───┘   → Pivot(HIGH), known from the end of this bar on

A pivot bears two instants: when the price was there, and when that was known. Whoever uses it before `confirmed_ts` looks into
the future. Pivots alternate, and nothing that was said is ever taken back: what is stored is the confirmation, history is
never computed again. Before the first pivot the direction is unknown and both legs run; where one bar would confirm
both, the older extreme counts.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.trading.indicators import ATR

REACH_ATR = 3.0
ATR_N = 14

PivotKind = Literal["HIGH", "LOW"]


class Pivot(msgspec.Struct, frozen=True):
    """A turn at `px` in the bar that closed at `ts`; known from `confirmed_ts` on (ns, end of the confirming bar)."""

    kind: PivotKind
    px: float
    ts: int
    confirmed_ts: int


class Leg(msgspec.Struct):
    """A move in the making. `px`, `ts`: its extreme. `back_px`, `back_ts`: how far the price came back since; 0 if not yet."""

    kind: PivotKind
    px: float
    ts: int
    back_px: float = 0.0
    back_ts: int = 0

    def moved_on(self, ts: int, high: float, low: float) -> bool:
        """Take the next bar; True if it is a new extreme, which forgets how far the price came back."""
        rising = self.kind == "HIGH"
        if high > self.px if rising else low < self.px:
            self.px, self.ts = (high if rising else low), ts
            self.back_px, self.back_ts = 0.0, 0
            return True
        back_px = low if rising else high
        if self.back_ts == 0 or (back_px < self.back_px if rising else back_px > self.back_px):
            self.back_px, self.back_ts = back_px, ts
        return False


class ZigZag(msgspec.Struct):
    """The legs of one series and the ATR they are measured in. `reach_atr` is how far back the price must come."""

    reach_atr: float = REACH_ATR
    atr: ATR = msgspec.field(default_factory=lambda: ATR(ATR_N))
    legs: list[Leg] = []

    def __post_init__(self) -> None:
        if not self.reach_atr > 0:
            raise ValueError(f"reach_atr is {self.reach_atr}; a price turns only if it comes back at all")

    def update(self, ts: int, high: float, low: float, close: float) -> Pivot | None:
        """Fold in the bar that closed at `ts` (ns, later than all before); returns the pivot it confirms, if any.

        Raises:
            ValueError: a price is not finite or high < low; the state is unchanged.
        """
        atr = self.atr.update(high, low, close)
        if atr is None:
            return None
        if not self.legs:
            self.legs = [Leg("HIGH", high, ts), Leg("LOW", low, ts)]
            return None
        turned: Leg | None = None
        for leg in self.legs:
            if leg.moved_on(ts, high, low) or not _turned(leg, ts, high, low, self.reach_atr * atr):
                continue
            if turned is None or leg.ts < turned.ts:
                turned = leg
        if turned is None:
            return None
        self.legs = [Leg("LOW" if turned.kind == "HIGH" else "HIGH", turned.back_px, turned.back_ts)]
        if turned.back_ts != ts:
            self.legs[0].moved_on(ts, high, low)
        return Pivot(turned.kind, turned.px, turned.ts, ts)


def _turned(leg: Leg, ts: int, high: float, low: float, reach: float) -> bool:
    """Whether this very bar, later than the extreme, is `reach` away from it; where nothing moves nothing turns."""
    distance = leg.px - low if leg.kind == "HIGH" else high - leg.px
    return ts > leg.ts and distance > 0 and distance >= reach
