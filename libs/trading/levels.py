"""Price levels out of confirmed turning points: where the market has turned more often than chance explains.

Theory of operation. `levels_of` is a function of what was known at one instant, so it cannot repaint: the same pivots, closes and
ATR give the same levels, whatever came later.

1. *Density.* A Gaussian kernel of 0.2 ATR over the pivots' prices, each weighted by exp(-age / tau). Its maxima are candidates; of
   those closer than 1.2 ATR to each other the densest stays.
2. *Significance.* Crowded is not enough: a random walk crowds, too. The pivots that no level explains are taken as a uniform
   background over the prices visited; a candidate stays only if so many turns within 0.4 ATR of it have a Poisson tail
   below 0.001. What a level explains is then no background any more, which may reveal a weaker one: again, until nothing changes.
3. *Zone.* Its price is the median of its turns, its edges the outermost of them, its score the sum of their weights.
4. *Role.* A level is what the last close more than 0.25 ATR beyond its zone makes it: SUPPORT below that close, RESISTANCE above.
   A close within is no break.

Distances are taken in log price where the history spans more than a doubling: 1 ATR at half the price is half an ATR. Significance
judges what is remembered, not what it is worth: that a level was respected says nothing about whether it will be.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import median
from typing import Literal

from libs.common.messages import PriceZone
from libs.trading.zigzag import Pivot

BANDWIDTH_ATR = 0.2
KERNEL_REACH = 3.0
"""In bandwidths: beyond it a Gaussian adds 1 % of its height."""
SEPARATION_ATR = 1.2
WITHIN_ATR = 0.4
TAIL_MAX = 1e-3
FLIP_ATR = 0.25
LOG_SPAN = 2.0

Role = Literal["SUPPORT", "RESISTANCE"]


class _Turns:
    """The pivots in order of price, in units of one ATR, with their weights."""

    def __init__(self, pivots: Sequence[Pivot], atr: float, close: float, now: int, tau: float):
        pxs = [pivot.px for pivot in pivots]
        in_log = min(pxs) > 0 and max(pxs) > LOG_SPAN * min(pxs)
        unit = atr / close if in_log else atr
        placed = sorted(
            ((math.log(pivot.px) if in_log else pivot.px) / unit, place) for place, pivot in enumerate(pivots)
        )
        self.at = [at for at, _ in placed]
        self.pivots = [pivots[place] for _, place in placed]
        self.weights = [math.exp(min(0.0, (pivot.ts - now) / tau)) for pivot in self.pivots]

    def within(self, at: float, reach: float) -> tuple[int, int]:
        """The turns no further than `reach` from `at`, as a slice."""
        return bisect_left(self.at, at - reach), bisect_right(self.at, at + reach)


def levels_of(
    pivots: Sequence[Pivot], closes: Sequence[float], atr: float, now: int, tau: float
) -> tuple[PriceZone, ...]:
    """The levels as of `now` (ns), lowest first. `closes` end with the latest; `tau` is the fading time of a turn (ns).

    Raises:
        ValueError: `atr`, `tau` or the latest close is not positive, or a pivot is not known yet at `now`.
    """
    if not pivots or not closes:
        return ()
    if not (atr > 0 and tau > 0 and closes[-1] > 0):
        raise ValueError(f"atr {atr}, tau {tau} and close {closes[-1]} must be positive")
    if late := [pivot for pivot in pivots if pivot.confirmed_ts > now]:
        raise ValueError(f"a pivot confirmed at {late[0].confirmed_ts} is not known at {now}")
    turns = _Turns(pivots, atr, closes[-1], now, tau)
    found = _significant(turns, _candidates(turns))
    return tuple(_zone(turns, start, stop, closes, atr) for start, stop in sorted(found))


def _candidates(turns: _Turns) -> list[float]:
    """The places of the density's maxima, densest first, none within `SEPARATION_ATR` of a denser one."""
    density = [_density(turns, at) for at in turns.at]
    by_density = sorted(range(len(density)), key=lambda place: (-density[place], place))
    kept: list[float] = []
    for place in by_density:
        at = turns.at[place]
        start, stop = turns.within(at, BANDWIDTH_ATR)
        if density[place] < max(density[start:stop]):
            continue
        if all(abs(at - other) >= SEPARATION_ATR for other in kept):
            kept.append(at)
    return kept


def _density(turns: _Turns, at: float) -> float:
    start, stop = turns.within(at, KERNEL_REACH * BANDWIDTH_ATR)
    scale = 1.0 / BANDWIDTH_ATR
    return math.fsum(
        turns.weights[place] * math.exp(-0.5 * ((turns.at[place] - at) * scale) ** 2) for place in range(start, stop)
    )


def _significant(turns: _Turns, candidates: list[float]) -> list[tuple[int, int]]:
    """The slices of turns that chance does not explain."""
    waiting = [turns.within(at, WITHIN_ATR) for at in candidates]
    waiting.sort(key=lambda span: (span[0] - span[1], span[0]))
    span = turns.at[-1] - turns.at[0] + 2 * WITHIN_ATR
    found: list[tuple[int, int]] = []
    while True:
        explained = sum(stop - start for start, stop in found)
        width = max(span - 2 * WITHIN_ATR * len(found), 2 * WITHIN_ATR)
        expected = (len(turns.at) - explained) * 2 * WITHIN_ATR / width
        more = [each for each in waiting if poisson_tail(each[1] - each[0], expected) < TAIL_MAX]
        if not more:
            return found
        found += more
        waiting = [each for each in waiting if each not in more]


def poisson_tail(count: int, expected: float) -> float:
    """The chance of `count` or more where `expected` are expected, summed from `count` upwards: exact even where it is tiny."""
    if count <= 0:
        return 1.0
    if expected <= 0:
        return 0.0
    term = math.exp(count * math.log(expected) - expected - math.lgamma(count + 1))
    total, at = 0.0, count
    while term > 0.0 and (at <= expected or term > 1e-16 * total):
        total += term
        at += 1
        term *= expected / at
    return min(1.0, total)


def _zone(turns: _Turns, start: int, stop: int, closes: Sequence[float], atr: float) -> PriceZone:
    members = turns.pivots[start:stop]
    pxs = [pivot.px for pivot in members]
    lo, hi = min(pxs), max(pxs)
    highs = sum(pivot.kind == "HIGH" for pivot in members)
    return PriceZone(
        lo=lo,
        hi=hi,
        mid=median(pxs),
        role=role_of(lo, hi, closes, FLIP_ATR * atr) or ("RESISTANCE" if 2 * highs > len(members) else "SUPPORT"),
        touches=len(members),
        score=math.fsum(turns.weights[start:stop]),
        first_ts=min(pivot.ts for pivot in members),
        last_ts=max(pivot.ts for pivot in members),
        confirmed_ts=max(pivot.confirmed_ts for pivot in members),
    )


def role_of(lo: float, hi: float, closes: Sequence[float], beyond: float) -> Role | None:
    """What the latest close more than `beyond` outside [lo, hi] makes of a zone; None if there was none."""
    for close in reversed(closes):
        if close > hi + beyond:
            return "SUPPORT"
        if close < lo - beyond:
            return "RESISTANCE"
    return None
