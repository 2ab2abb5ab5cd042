"""Three votes and a hysteresis: what the numbers of a closed week make of the regime.

    level   +1 if close - EMA20  >  level_atr x ATR14     -1 if it is below the same with a minus     else 0
    slope   +1 if EMA20 - EMA20 four weeks ago  >  slope_atr x ATR14     -1 likewise     else 0
    cross   +1 if EMA10 > EMA20     -1 if EMA10 < EMA20     else 0

    the sum is    >= 2 → BULL    <= -2 → BEAR    1 → BULL stays, else NEUTRAL    -1 → BEAR stays, else NEUTRAL    0 → NEUTRAL

So BULL is left only when the sum has come down to 0 or passed it; a jump to the other extreme switches at once. Three votes were
chosen for fewest weeks on the wrong side of a trend, on synthetic series; no market claim is made.
"""

from __future__ import annotations

import msgspec

from libs.common.messages import RegimeState

EXTREME = 2
ROUNDING = 1e-12
"""Differences below this share of the price are the arithmetic's: a market that stands still must not vote."""


class Bands(msgspec.Struct, frozen=True, kw_only=True):
    """How far is far, in weekly ATR: the close from its EMA20 (`level_atr`), the EMA20 from where it was (`slope_atr`)."""

    level_atr: float
    slope_atr: float


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """What one closed week comes to, in the unit of the price; `ema20_change` is over four weeks."""

    close: float
    ema20: float
    ema10: float
    atr14: float
    ema20_change: float


class Votes(msgspec.Struct, frozen=True, kw_only=True):
    """What each of the three says: 1 up, -1 down, 0 undecided."""

    level: int
    slope: int
    cross: int

    @property
    def total(self) -> int:
        """Their sum, -3 to 3."""
        return self.level + self.slope + self.cross


def votes_of(numbers: Numbers, bands: Bands) -> Votes:
    """The three votes on a week; a difference that only reaches its band is undecided."""
    rounding = ROUNDING * numbers.close
    return Votes(
        level=_sign(numbers.close - numbers.ema20, max(bands.level_atr * numbers.atr14, rounding)),
        slope=_sign(numbers.ema20_change, max(bands.slope_atr * numbers.atr14, rounding)),
        cross=_sign(numbers.ema10 - numbers.ema20, rounding),
    )


def state_after(state: RegimeState, total: int) -> RegimeState:
    """The regime after a week whose votes sum to `total`."""
    if abs(total) >= EXTREME:
        return "BULL" if total > 0 else "BEAR"
    if (state == "BULL" and total > 0) or (state == "BEAR" and total < 0):
        return state
    return "NEUTRAL"


def _sign(difference: float, band: float) -> int:
    return (difference > band) - (difference < -band)
