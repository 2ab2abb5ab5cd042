"""Generated history from the top down: each bar is split into smaller ones that add up to it exactly.

A week has an open, a high, a low, a close and a volume drawn from (seed, instrument, week) and the week before. A split
draws the children of a bar from (seed, instrument, interval, bar) so that they begin at its open, end at its close, stay
between its low and its high and reach both once, and share out its volume. So any bar of any interval, from years of weeks to
one minute, is a pure function of the seed, costs only the splits above it, and agrees with all others by construction.

Chance is `random.Random.random` only (the one stream that Python promises to keep), and arithmetic is +, -, * and square roots, so
a seed means the same market on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from math import sqrt
from random import Random
from typing import NamedTuple

from libs.common.timeframe import DAY, MINUTE, WEEK
from services.exchange_sim.listing import Listing
from services.exchange_sim.market import WEEK_ANCHOR

FIRST_TS = WEEK_ANCHOR + 2452 * WEEK  # Monday 2017-01-02
FANOUT: tuple[tuple[str, int], ...] = (("1d", 7), ("4h", 6), ("1h", 4), ("15m", 4), ("1m", 15))
DEPTH = {"1w": 0, "1d": 1, "4h": 2, "1h": 3, "15m": 4, "1m": 5}
TRADES_A_MINUTE = 12

STEP_OF_SPAN = 0.6  # one standard deviation over a bar, as a share of its high-low range
TRENDING_SHARE = 0.55
PERSISTENCE_TRENDING = 0.45
PERSISTENCE_CHOPPY = -0.15
_CACHED_SPLITS_MAX = 30_000


class PlannedBar(NamedTuple):
    """A bar in raw (unrounded) prices; rounding is monotone, so it keeps highs and lows where they are."""

    open: float
    high: float
    low: float
    close: float
    lots: int


def chance(*parts: str | int) -> Random:
    """A generator of its own for the thing that `parts` name."""
    text = "\x1f".join(str(part) for part in parts)
    return Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))  # noqa: S311


def normal(draw: Callable[[], float]) -> float:
    """About normal, mean 0, variance 1: the sum of four uniforms."""
    return (draw() + draw() + draw() + draw() - 2.0) * 1.7320508075688772


class BarTree:
    """All planned bars of one instrument under one seed."""

    def __init__(self, seed: int, instrument: str, listing: Listing):
        self._seed = seed
        self._instrument = instrument
        self._base_px = listing.base_px
        self._week_lots = listing.minute_qty * listing.lots_per_unit * WEEK // MINUTE
        self._weeks: list[PlannedBar] = []
        self._sigma = 0.04
        self._splits: dict[tuple[int, int], tuple[PlannedBar, ...]] = {}

    def bar(self, depth: int, index: int) -> PlannedBar:
        """The bar number `index` at `depth` (0 is weeks counted from FIRST_TS, 5 is minutes counted from FIRST_TS)."""
        if depth == 0:
            while len(self._weeks) <= index:
                self._weeks.append(self._next_week())
            return self._weeks[index]
        fanout = FANOUT[depth - 1][1]
        parent = index // fanout
        children = self._splits.get((depth, parent))
        if children is None:
            if len(self._splits) > _CACHED_SPLITS_MAX:
                self._splits.clear()
            children = self._split(depth, parent, fanout)
            self._splits[depth, parent] = children
        return children[index - parent * fanout]

    def _next_week(self) -> PlannedBar:
        draw = chance(self._seed, self._instrument, "1w", len(self._weeks)).random
        opens = self._weeks[-1].close if self._weeks else self._base_px * (0.8 + 0.4 * draw())
        self._sigma = 0.8 * self._sigma + 0.2 * (0.015 + 0.07 * draw())
        pull = max(-0.06, min(0.06, 0.03 * (self._base_px / opens - 1.0)))  # prices wander, but not away for ever
        close = opens * (1.0 + max(-0.25, min(0.25, self._sigma * normal(draw) + pull)))
        high = max(opens, close) * (1.0 + self._sigma * 0.6 * draw())
        low = min(opens, close) * (1.0 - self._sigma * 0.6 * draw())
        lots = int(self._week_lots * (0.5 + 0.5 * draw() + 12.0 * self._sigma))
        return PlannedBar(opens, high, low, close, lots)

    def _split(self, depth: int, parent: int, fanout: int) -> tuple[PlannedBar, ...]:
        draw = chance(self._seed, self._instrument, FANOUT[depth - 1][0], parent).random
        minutes = 1
        for _, below in FANOUT[depth:]:
            minutes *= below
        return split(self.bar(depth - 1, parent), fanout, draw, lots_min=minutes * TRADES_A_MINUTE)


def split(parent: PlannedBar, count: int, draw: Callable[[], float], *, lots_min: int) -> tuple[PlannedBar, ...]:
    """`count` bars that add up to `parent`, each with at least `lots_min` lots."""
    step = (parent.high - parent.low) * STEP_OF_SPAN / sqrt(count)
    closes = _closes(parent, count, step, draw)
    opens = [parent.open, *closes[:-1]]
    highs, lows = [], []
    for first, last in zip(opens, closes, strict=True):
        highs.append(min(parent.high, max(first, last) + step * draw() * draw()))
        lows.append(max(parent.low, min(first, last) - step * draw() * draw()))
    highs[highs.index(max(highs))] = parent.high
    lows[lows.index(min(lows))] = parent.low
    span = (parent.high - parent.low) or 1.0
    busy = [0.2 + draw() + (high - low) / span for high, low in zip(highs, lows, strict=True)]
    lots = shared_out(parent.lots, busy, lots_min)
    return tuple(PlannedBar(*each) for each in zip(opens, highs, lows, closes, lots, strict=True))


def _closes(parent: PlannedBar, count: int, step: float, draw: Callable[[], float]) -> list[float]:
    """A walk from the parent's open to its close, trending or choppy, reflected at its high and low."""
    persistence = PERSISTENCE_TRENDING if draw() < TRENDING_SHARE else PERSISTENCE_CHOPPY
    walk, at, move = [], 0.0, 0.0
    for _ in range(count):
        move = persistence * move + (0.5 + draw()) * step * normal(draw)
        at += move
        walk.append(at)
    drift = parent.close - parent.open - at
    closes = []
    for place, moved in enumerate(walk, start=1):
        px = parent.open + moved + drift * place / count
        if px > parent.high:
            px = 2.0 * parent.high - px
        if px < parent.low:
            px = 2.0 * parent.low - px
        closes.append(max(parent.low, min(parent.high, px)))
    closes[-1] = parent.close
    return closes


def shared_out(total: int, weights: list[float], least: int) -> list[int]:
    """`total` in whole numbers by `weights`, each at least `least`; the sum is exact."""
    free = total - least * len(weights)
    whole = sum(weights)
    shares, given, so_far = [], 0, 0.0
    for weight in weights[:-1]:
        so_far += weight
        upto = int(free * so_far / whole)
        shares.append(least + upto - given)
        given = upto
    return [*shares, least + free - given]


def index_at(ts: int, depth: int) -> int:
    """The number of the bar at `depth` that opens at `ts` (or contains it)."""
    steps = (WEEK, DAY, DAY // 6, DAY // 24, DAY // 96, MINUTE)
    return (ts - FIRST_TS) // steps[depth]
