"""The liquidity the venue model lets us take: the best quote, and a fixed ladder behind it.

Only the best bid and offer of the market are known, so what lies behind is a rule: level k (k = 0 is the best quote) holds
the quoted quantity times 2^k and is k basis points worse (at least k ticks), for `LEVELS` levels; beyond them there is nothing.
What we took stays taken until the next quote arrives. A trade outside the quote proves the quote stale and moves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from libs.common.messages import InstrumentSpec, Side
from libs.common.money import ZERO, floor_to_step, round_px

LEVELS = 20
LEVEL_WORSENING = Decimal("0.0001")


class QuotedSide(msgspec.Struct, kw_only=True):
    """One side of the quote: its price, its quantity, and how much of the ladder we have taken since it was quoted."""

    px: Decimal | None = None
    qty: Decimal = ZERO
    taken: Decimal = ZERO

    def quoted(self, px: Decimal, qty: Decimal) -> None:
        """A new quote: the ladder is whole again. A price or quantity of 0 means that this side is empty."""
        self.px = px if px > 0 and qty > 0 else None
        self.qty = qty
        self.taken = ZERO


class TopOfBook(msgspec.Struct, kw_only=True):
    """Best bid, best offer and last trade of one instrument."""

    bid: QuotedSide = msgspec.field(default_factory=QuotedSide)
    ask: QuotedSide = msgspec.field(default_factory=QuotedSide)
    last_px: Decimal | None = None

    def opposite(self, side: Side) -> QuotedSide:
        """Where an order of `side` finds its counterpart."""
        return self.ask if side == "BUY" else self.bid

    def is_crossed_by(self, side: Side, limit_px: Decimal | None) -> bool:
        """Whether an order of `side` at `limit_px` would meet the best price opposite."""
        px = self.opposite(side).px
        if px is None or limit_px is None:
            return False
        return limit_px >= px if side == "BUY" else limit_px <= px

    def has_reached(self, side: Side, stop_px: Decimal) -> bool:
        """Whether the last trade is at or beyond a stop of `side`, or the whole quote beyond it."""
        last_px = self.last_px
        if side == "BUY":
            return (last_px is not None and last_px >= stop_px) or (self.bid.px is not None and self.bid.px > stop_px)
        return (last_px is not None and last_px <= stop_px) or (self.ask.px is not None and self.ask.px < stop_px)

    def traded(self, px: Decimal, qty: Decimal) -> None:
        """A trade printed: remember it, and let it move a quote it contradicts or stand in for one that never came."""
        self.last_px = px
        if self.bid.px is None or px < self.bid.px:
            self.bid.quoted(px, self.bid.qty or qty)
        if self.ask.px is None or px > self.ask.px:
            self.ask.quoted(px, self.ask.qty or qty)

    def ladder(self, side: Side, spec: InstrumentSpec, limit_px: Decimal | None) -> Iterator[tuple[Decimal, Decimal]]:
        """Price and quantity, best first, that a taker of `side` may have now without crossing `limit_px`."""
        quote = self.opposite(side)
        taken = quote.taken
        for level in range(LEVELS):
            px = _level_px(quote.px, side, level, spec.px_tick)
            if px is None or (limit_px is not None and (px > limit_px if side == "BUY" else px < limit_px)):
                return
            held = floor_to_step(quote.qty * 2**level, spec.qty_step)
            left = held - taken
            taken = max(ZERO, taken - held)
            if left > 0:
                yield px, left


def _level_px(best: Decimal | None, side: Side, level: int, tick: Decimal) -> Decimal | None:
    if best is None:
        return None
    if level == 0:
        return best
    if side == "BUY":
        return max(round_px(best * (1 + level * LEVEL_WORSENING), tick, up=True), best + level * tick)
    px = min(round_px(best * (1 - level * LEVEL_WORSENING), tick, up=False), best - level * tick)
    return px if px > 0 else None
