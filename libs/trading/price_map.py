"""Everything a bounded run of bars says about prices that matter: turning points, levels, volume profile; bar by bar.

Theory of operation. `update` folds one closed bar: the zigzag may confirm a pivot, which is kept as it was said. `levels` and
`profile` are functions of what is kept, computed when asked for. Only `bars_max` bars are remembered; a pivot is forgotten with its bar
and never changed before. So the map at an instant depends on the bars up to it alone, and is the same whether it is built bar
by bar, from history, or out of a snapshot.
"""

from __future__ import annotations

import math

import msgspec

from libs.common.messages import PriceZone
from libs.trading.levels import levels_of
from libs.trading.volume_profile import Profile, bin_of, profile_of
from libs.trading.zigzag import Pivot, ZigZag

VOLUME_MAX = 1e100
ATR_SHARE_MIN = 1e-7
"""An ATR below this part of the price is that of a market which stands still; distances in it mean nothing."""

Row = tuple[int, float, float, float, float]
"""What is kept of a bar: its end (ns), high, low, close, volume."""


class PriceMap(msgspec.Struct, kw_only=True):
    """The memory: at most `bars_max` bars and their pivots. A turn fades with the time `tau` (ns)."""

    bars_max: int
    tau: int
    zigzag: ZigZag = msgspec.field(default_factory=ZigZag)
    pivots: list[Pivot] = []
    bars: list[Row] = []

    def __post_init__(self) -> None:
        if self.bars_max < 1 or self.tau < 1:
            raise ValueError(f"bars_max {self.bars_max} and tau {self.tau} must be positive")

    @property
    def ready(self) -> bool:
        """Whether the ATR, in which everything is measured, has forgotten its start, and the market moves."""
        return self.zigzag.atr.ready_for_decisions and 0 < ATR_SHARE_MIN * self.close < self.atr

    @property
    def atr(self) -> float:
        """The latest ATR, in the unit of the price; 0 while there is none."""
        return self.zigzag.atr.value or 0.0

    @property
    def close(self) -> float:
        """The latest close; 0 before the first bar."""
        return self.bars[-1][3] if self.bars else 0.0

    def update(self, ts: int, high: float, low: float, close: float, volume: float) -> Pivot | None:
        """Fold in the bar that closed at `ts` (ns); returns the pivot it confirms, if any.

        Raises:
            ValueError: the bar is not later than the last, or no bar at all; the state is unchanged.
        """
        if self.bars and ts <= self.bars[-1][0]:
            raise ValueError(f"a bar that closed at {ts} comes after one that closed at {self.bars[-1][0]}")
        if not (math.isfinite(volume) and 0 <= volume <= VOLUME_MAX):
            raise ValueError(f"volume is {volume}; drop or repair this bar")
        pivot = self.zigzag.update(ts, high, low, close)
        self.bars.append((ts, high, low, close, volume))
        if pivot is not None:
            self.pivots.append(pivot)
        if len(self.bars) > self.bars_max:
            del self.bars[: -self.bars_max]
            while self.pivots and self.pivots[0].ts < self.bars[0][0]:
                del self.pivots[0]
        return pivot

    def levels(self) -> tuple[PriceZone, ...]:
        """The levels as of the last bar, lowest first; none while the map is not ready."""
        if not self.ready:
            return ()
        closes = [bar[3] for bar in self.bars]
        return levels_of(self.pivots, closes, self.atr, self.bars[-1][0], self.tau)

    def profile(self, px_tick: float = 0.0) -> Profile | None:
        """The volume profile of the bars remembered; None while the map is not ready, or if nothing was traded."""
        if not self.ready:
            return None
        return profile_of([(high, low, volume) for _, high, low, _, volume in self.bars], bin_of(self.atr, px_tick))
