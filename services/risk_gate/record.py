"""What the book has done of late: the day's beginning, and the round trips that lost money.

A round trip lasts from flat to flat; what the venue would not let us sell is flat. Its result is what realized profit less
commissions changed by. Nothing here is ever reset by a restart: it is part of the view.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.messages import InstrumentSpec, PositionChanged
from libs.common.money import ZERO
from libs.common.timeframe import DAY


class DayStart(msgspec.Struct):
    """The equity at 00:00 UTC, unrealized results included: the last one told before it, or the first one told at all.

    `day` counts from 1970.
    """

    day: int = 0
    equity: Decimal | None = None

    def on_equity(self, before: Decimal | None, equity: Decimal, ts: int) -> None:
        """The equity was `before` until `ts` (ns), and is `equity` from then on."""
        day = ts // DAY
        if self.equity is None:
            self.day, self.equity = day, equity
        elif day > self.day:
            self.day, self.equity = day, equity if before is None else before

    def on_capital(self, value: Decimal) -> None:
        """Money came in or went out: neither profit nor loss of the day."""
        if self.equity is not None:
            self.equity += value


class RoundTrips(msgspec.Struct):
    """`net` is profit less commissions by instrument since the books were opened, `opened` what it was when a round trip began."""

    net: dict[str, Decimal] = {}
    opened: dict[str, Decimal] = {}
    lost_at: dict[str, int] = {}
    losses: int = 0
    last_loss_at: int = 0

    def on_position(self, event: PositionChanged, spec: InstrumentSpec | None, ts: int) -> None:
        """A fill was booked at `ts` (ns)."""
        name = event.instrument
        before = self.net.get(name, ZERO)
        self.net[name] = event.realized_pnl - event.commission
        if not _is_flat(event, spec):
            self.opened.setdefault(name, before)
        elif name in self.opened:
            self._ended(name, self.net[name] - self.opened.pop(name), ts)

    def _ended(self, instrument: str, result: Decimal, ts: int) -> None:
        if result >= ZERO:
            self.losses = 0
            self.lost_at.pop(instrument, None)
            return
        self.losses += 1
        self.last_loss_at = self.lost_at[instrument] = ts


def _is_flat(event: PositionChanged, spec: InstrumentSpec | None) -> bool:
    held = abs(event.signed_qty)
    if spec is None:
        return held == ZERO
    return held < spec.qty_min or held * event.avg_entry_px < spec.notional_min
