"""How instruments move together: exponentially weighted correlation of log returns, and the clusters that follow from it.

Theory of operation. Of each instrument the last closes of one timeframe are kept, by the instant they closed, in whatever order bars and
histories arrive. A return counts where two closes are exactly one step apart; a pair is judged by the instants at which both have one. The
newest of n common returns weighs 1, each older one `DECAY` times the next (RiskMetrics' form, mean zero):

    corr(a, b) = sum w ra rb / sqrt(sum w ra ra * sum w rb rb)

Too few common returns, or one that does not move at all, is no number (None): who asks decides what to assume.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable

import msgspec

from libs.common.messages import Bar
from libs.common.timeframe import STEP

DECAY = 0.97
KEPT = 240
"""The weight of what is older than this is below a thousandth."""


class Series(msgspec.Struct):
    """The closes of one instrument, oldest first: `ends` are ns, `closes` prices."""

    ends: list[int] = []
    closes: list[float] = []

    def add(self, end: int, close: float) -> None:
        """Remember a close; the first word about an instant counts."""
        place = bisect_left(self.ends, end)
        if place < len(self.ends) and self.ends[place] == end:
            return
        self.ends.insert(place, end)
        self.closes.insert(place, close)
        del self.ends[:-KEPT], self.closes[:-KEPT]

    def returns(self, step: int) -> dict[int, float]:
        """The log return of each instant whose predecessor closed exactly one `step` (ns) before."""
        pairs = zip(self.ends, self.ends[1:], self.closes, self.closes[1:], strict=False)
        return {end: math.log(close / before) for start, end, before, close in pairs if end - start == step}


class Comovement(msgspec.Struct, kw_only=True):
    """The closes of all instruments in one `timeframe`."""

    timeframe: str
    series: dict[str, Series] = {}

    def observe(self, bars: Iterable[Bar]) -> None:
        """Take in closed bars; those of another timeframe, or without a positive finite close, say nothing."""
        timeframe = self.timeframe
        for bar in bars:
            if bar.timeframe != timeframe or not 0.0 < bar.close < math.inf:
                continue
            series = self.series.get(bar.instrument)
            if series is None:
                series = self.series[bar.instrument] = Series()
            series.add(bar.ts_close, bar.close)

    def correlation(self, a: str, b: str, count_min: int) -> float | None:
        """In [-1, 1]; None with fewer than `count_min` common returns, or where one of them never moved."""
        if a == b:
            return 1.0
        step = STEP[self.timeframe]
        ours, theirs = (self.series[each].returns(step) if each in self.series else {} for each in (a, b))
        common = sorted(ours.keys() & theirs.keys())
        if len(common) < max(1, count_min):
            return None
        aa = ab = bb = 0.0
        for end in common:
            ra, rb = ours[end], theirs[end]
            aa, ab, bb = DECAY * aa + ra * ra, DECAY * ab + ra * rb, DECAY * bb + rb * rb
        if aa <= 0.0 or bb <= 0.0:
            return None
        return max(-1.0, min(1.0, ab / math.sqrt(aa * bb)))


def cluster_of(name: str, others: Iterable[str], correlation: Callable[[str, str], float], least: float) -> list[str]:
    """Everything linked to `name` by a chain of correlations of at least `least` (single link), `name` included, sorted."""
    left, found, edge = set(others) - {name}, {name}, [name]
    while edge:
        here = edge.pop()
        linked = {each for each in left if correlation(here, each) >= least}
        left -= linked
        found |= linked
        edge += sorted(linked)
    return sorted(found)


def combined(weights: dict[str, float], correlation: Callable[[str, str], float]) -> float:
    """sqrt(w'Cw): the size of one position that would move as much as all of them together, in the unit of the weights."""
    names = sorted(weights)
    total = sum(weights[a] * weights[b] * (1.0 if a == b else correlation(a, b)) for a in names for b in names)
    return math.sqrt(max(0.0, total))
