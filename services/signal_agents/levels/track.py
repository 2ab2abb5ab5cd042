"""What the levels agent remembers of one instrument: the map of a bounded run of closed bars."""

from __future__ import annotations

import msgspec

from libs.common.messages import Bar, LevelMap, PriceZone
from libs.common.timeframe import STEP
from libs.trading.price_map import PriceMap


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Of what the maps are made; maps of different shapes are never mixed.

    Bars of `timeframe`, the last `bars_max` of them; a turn is worth 1/e after `fade_bars`.
    """

    timeframe: str
    bars_max: int
    fade_bars: int


class Track(msgspec.Struct, kw_only=True):
    """The map of one instrument, and the instant (ns) up to which it knows the market."""

    shape: Shape
    price_map: PriceMap
    ts_close_last: int = 0

    @classmethod
    def cold(cls, shape: Shape) -> Track:
        """A track that has seen nothing."""
        tau = shape.fade_bars * STEP[shape.timeframe]
        return cls(shape=shape, price_map=PriceMap(bars_max=shape.bars_max, tau=tau))

    def update(self, bar: Bar) -> None:
        """Fold in a bar that `fault_of` finds nothing wrong with."""
        self.price_map.update(bar.ts_close, bar.high, bar.low, bar.close, bar.volume)
        self.ts_close_last = bar.ts_close

    def said_of(self, instrument: str, px_tick: float, zones_max: int) -> LevelMap:
        """The map as it is said: the `zones_max` strongest zones; `px_tick` 0 if it is not known."""
        it = self.price_map
        profile = it.profile(px_tick)
        return LevelMap(
            instrument=instrument,
            timeframe=self.shape.timeframe,
            ready=it.ready,
            close_px=it.close,
            atr=it.atr if it.ready else None,
            zones=strongest(it.levels(), zones_max),
            poc=profile.poc if profile else None,
            val=profile.val if profile else None,
            vah=profile.vah if profile else None,
            hvn=profile.hvn if profile else (),
            lvn=profile.lvn if profile else (),
        )


def strongest(zones: tuple[PriceZone, ...], count: int) -> tuple[PriceZone, ...]:
    """The `count` zones of highest score, lowest price first; of equals the lower."""
    kept = sorted(zones, key=lambda zone: (-zone.score, zone.lo))[:count]
    return tuple(sorted(kept, key=lambda zone: zone.lo))
