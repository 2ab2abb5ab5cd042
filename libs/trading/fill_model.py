"""How much worse than the market we looked at a paper fill is: one set of numbers for every venue we only imagine.

The numbers are settings, the formulas are pure, and chance has no part: the same orders against the same market cost the same
for ever. `venue.SpotVenue` (quotes and trades) and `bar_venue.BarVenue` (bars) ask here and nowhere else; docs/paper-venue.md
says what they do with the answers, and what the model leaves out.

All costs are basis points of the price (1 bp = 0.0001) and always against the taker. Makers pay none: a resting limit fills at
its own price or not at all.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

from libs.common.messages import Side
from libs.common.money import ZERO, floor_to_step, round_px

BP = Decimal("0.0001")
COST_STEP = Decimal("0.00000001")
ONE = Decimal(1)

_exact = Context(prec=28, rounding=ROUND_HALF_EVEN)


class FillModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands between an order and the price on the screen. The defaults cost nothing and cap nothing.

    `latency_ms`: from submitting to being active at the venue. `half_spread_bps`: from a bar's price to the quote (bars only:
    quotes have their own spread). `slip_bps`: what a taker always pays on top. `impact_bps`: what a taker of the whole volume
    would pay; less goes by the square root. `participation_max`: the share of the traded volume our fills may be, in (0, 1].

    Raises:
        ValueError: a number below zero, costs that eat the price, or a share outside (0, 1].
    """

    latency_ms: int = 0
    half_spread_bps: Decimal = ZERO
    slip_bps: Decimal = ZERO
    impact_bps: Decimal = ZERO
    participation_max: Decimal = ONE

    def __post_init__(self) -> None:
        costs = (self.half_spread_bps, self.slip_bps, self.impact_bps)
        if self.latency_ms < 0 or not all(each.is_finite() and each >= 0 for each in costs):
            raise ValueError("latency and costs must be numbers of at least 0")
        if sum(costs, ZERO) * BP >= 1:
            raise ValueError("costs together must be below 10000 basis points")
        if not self.participation_max.is_finite() or not 0 < self.participation_max <= 1:
            raise ValueError("participation_max must be above 0 and at most 1")

    @property
    def latency_ns(self) -> int:
        """`latency_ms` in nanoseconds, the unit of all our times."""
        return self.latency_ms * 1_000_000

    @property
    def caps(self) -> bool:
        """Whether our share of the volume is limited at all."""
        return self.participation_max < 1

    def quote_cost_bps(self, qty: Decimal, volume: Decimal) -> Decimal:
        """Cost of taking `qty` from a book while `volume` trades (both in base currency), beyond the levels it walks."""
        return self.slip_bps + impact_bps(self.impact_bps, qty, volume)

    def bar_cost_bps(self, qty: Decimal, volume: Decimal) -> Decimal:
        """Cost of taking `qty` at a price of a bar of `volume` (both in base currency)."""
        return self.half_spread_bps + self.quote_cost_bps(qty, volume)

    def bar_cost_bps_max(self) -> Decimal:
        """The most a taker can pay at a price of a bar: the cost of all that `participation_max` allows."""
        return self.bar_cost_bps(self.participation_max, ONE)

    def room(self, volume: Decimal, filled: Decimal, step: Decimal) -> Decimal:
        """What may still fill, in whole steps, where `volume` traded and `filled` of ours counts against our share of it."""
        return max(ZERO, floor_to_step(volume * self.participation_max - filled, step))


AS_QUOTED = FillModel()
"""The market as it is shown: no delay, no cost beyond the book's, no cap."""

REALISTIC = FillModel(
    latency_ms=150,
    half_spread_bps=ONE,
    slip_bps=ONE,
    impact_bps=Decimal(10),
    participation_max=Decimal("0.10"),
)
"""A liquid spot pair seen from a rented server: assumptions on the careful side, not measurements.

150 ms is a round trip to a far region; 1 + 1 bp is wider than the usual spread of a major pair; 10 bp is about one minute's
volatility of a major pair, the unit of the square-root law; the cap is the 10 % of quant.md section 7."""

REALISTIC_BARS = msgspec.structs.replace(REALISTIC, latency_ms=0)
"""`REALISTIC` for bars, where any latency costs at least a whole bar: what happens within one is not known."""


def impact_bps(coefficient_bps: Decimal, qty: Decimal, volume: Decimal) -> Decimal:
    """Price impact of taking `qty` out of `volume` (base currency): coefficient x sqrt(q / V), in basis points.

    The square-root law of market impact (Almgren et al. 2005, Toth et al. 2011), as in quant.md section 7. Where no volume is
    known, the order is taken to be all of it (q / V = 1). Rounded to 1e-8 bp, so that a root cannot move a price by a tick.
    """
    if not coefficient_bps:
        return ZERO
    share = _exact.divide(qty, volume) if volume > 0 else ONE
    return _exact.multiply(coefficient_bps, _exact.sqrt(share)).quantize(COST_STEP, ROUND_HALF_EVEN)


def taker_px(px: Decimal, side: Side, tick: Decimal, cost_bps: Decimal, limit_px: Decimal | None = None) -> Decimal:
    """`px` x (1 + cost) for a buy, x (1 - cost) for a sell, to the next worse tick; never beyond `limit_px`, never below a tick.

    Without cost the price stays what it was, on a tick or not.
    """
    if not cost_bps:
        return px
    if side == "BUY":
        worse = round_px(px * (1 + cost_bps * BP), tick, up=True)
        return worse if limit_px is None else min(worse, limit_px)
    worse = max(tick, round_px(px * (1 - cost_bps * BP), tick, up=False))
    return worse if limit_px is None else max(worse, limit_px)


def is_marketable(side: Side, limit_px: Decimal | None, px: Decimal) -> bool:
    """Whether an order with this limit (None: any price) would trade at `px` at once."""
    return limit_px is None or (limit_px >= px if side == "BUY" else limit_px <= px)


def went_through(side: Side, limit_px: Decimal, px: Decimal, tick: Decimal) -> bool:
    """Whether a market at `px` lies at least a tick beyond a resting limit: then all who were ahead of us there were served."""
    return (limit_px - px if side == "BUY" else px - limit_px) >= tick
