"""How far a price may move before it is doubted: a robust scale of its own recent moves. Pure: every instant is an argument.

Moves are sampled at most every `SAMPLE_NS` and divided by the square root of the time they took (at most `DT_MAX_S`), so that quiet and busy spells
are comparable; their scale is 0.8693 times the move that three quarters of them stay below, which equals a standard deviation for
a normal distribution. It does not care for the few wild prints it is there to judge; and where half of the trades of a thin market
bounce between bid and offer and half do not, the median (the MAD around zero) would know only one of the two. The band over `dt` is

    band = clip(sigmas * scale * sqrt(dt), band_min, band_max)

with a floor against a market that stood still and a ceiling against one that raced (reference: Brownlees and Gallo 2006 for the
trimmed scale, LULD for bands as such; the figures are measured in docs/market-feed.md).
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

import msgspec

from libs.common.timeframe import MILLISECOND, SECOND

SAMPLE_NS = 250 * MILLISECOND
SAMPLES_MAX = 128
SAMPLES_MIN = 16
UPPER_QUARTILE_TO_SIGMA = 0.8693
DT_MIN_S = 0.25
DT_MAX_S = 30.0


class Volatility(msgspec.Struct):
    """The moves of one instrument's price; `prior` is the scale (per square root of a second) while there are too few."""

    prior: float = 0.0
    moves: list[float] = []
    place: int = 0
    px: float = 0.0
    at: int = 0
    scale: float = 0.0

    def sample(self, px: float, now: int) -> None:
        """A trusted price; one that follows the last sample too closely is not counted."""
        waited = now - self.at
        if waited < SAMPLE_NS and self.px:
            return
        if self.px:
            self._count(abs(px / self.px - 1.0) / sqrt(min(waited / SECOND, DT_MAX_S)))
        self.px, self.at = px, now

    def restart(self, px: float, now: int) -> None:
        """The price is `px` after a jump that says nothing about how it usually moves."""
        self.px, self.at = px, now

    def band(self, dt: int, sigmas: float, least: float, most: float) -> float:
        """The largest relative move over `dt` (ns) that is believed at once."""
        seconds = min(max(dt / SECOND, DT_MIN_S), DT_MAX_S)
        return min(max(sigmas * self.scale_now * sqrt(seconds), least), most)

    @property
    def scale_now(self) -> float:
        """The scale by its own moves, or the prior while these are few."""
        return self.scale if len(self.moves) >= SAMPLES_MIN else max(self.prior, self.scale)

    def _count(self, move: float) -> None:
        if len(self.moves) < SAMPLES_MAX:
            self.moves.append(move)
        else:
            self.moves[self.place] = move
            self.place = (self.place + 1) % SAMPLES_MAX
        self.scale = _scale_of(self.moves)


def prior_of(closes: list[float], step: int) -> float:
    """The scale that closes of bars `step` ns apart suggest, per square root of a second; 0.0 if there are fewer than four."""
    if len(closes) < 4:
        return 0.0
    return _scale_of([abs(late / early - 1.0) for early, late in pairwise(closes)]) / sqrt(step / SECOND)


def _scale_of(moves: list[float]) -> float:
    return UPPER_QUARTILE_TO_SIGMA * sorted(moves)[3 * len(moves) // 4]
